"""One mesh of an event store: its faces by what is true, by what was predicted, by what is wrong, as they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.io.products import Ragged
from weft.io.store import EventStore
from weft.report.class_names import class_names
from weft.report.figure import Figure
from weft.report.mesh_colours import RIGHT, UNKNOWN, WRONG, class_colours
from weft.report.mesh_viewer import FaceLayer, mesh_viewer

TRUTH = "truth"
#: Of faces without a texture, RGB.
_BARE = (178, 172, 160)
_HINT = "Drag to turn, shift-drag to move, click and scroll or use + and − to zoom, 0 to begin anew."


def can_show_mesh(store: EventStore) -> bool:
    """Whether the events of a store are meshes."""
    return f"{TRUTH}/vertices" in store and f"{TRUTH}/faces" in store


def mesh_figure(store: EventStore, index: int) -> Figure:
    """The viewer of mesh `index` of a store opened as ``truth``, beside as many predictions as there are."""
    sides = list(store.files)
    row = store.events[index]
    caption = f"Mesh {row['run']}/{row['subrun']}/{row['event']}{_name(store, index)}. {_HINT}"
    return view_mesh(store, index, caption, sides, class_names(store, sides, "face_labels"))


def view_mesh(store: Any, index: int, caption: str, sides: Sequence[str], classes: Sequence[str]) -> Figure:
    """The viewer of one mesh.

    sides: aliases of the truth and of predictions; the first prediction is the one whose errors are shown. classes:
    names of the classes; where a label is beyond them, its number stands for its name.
    """
    vertices, faces = np.asarray(store[f"{TRUTH}/vertices"][index]), np.asarray(store[f"{TRUTH}/faces"][index])
    said = {side: _labels(store[f"{side}/face_labels"][index]) for side in sides if f"{side}/face_labels" in store}
    highest = max((int(labels.max(initial=-1)) for labels in said.values()), default=-1)
    named = [*classes, *map(str, range(len(classes), highest + 1))]
    colours = {-1: ("no class", UNKNOWN)} | class_colours(named)
    layers = [FaceLayer(side, labels, colours) for side, labels in said.items()]
    predicted = [side for side in said if side != TRUTH]
    if TRUTH in said and predicted:
        layers.append(_errors(said[TRUTH], said[predicted[0]]))
    pixels = store[f"{TRUTH}/face_pixels"][index] if f"{TRUTH}/face_pixels" in store else None
    if pixels is not None and len(pixels.values):
        layers.append(FaceLayer("texture", mean_colours(pixels)))
    if not layers:
        layers.append(FaceLayer("surface", np.broadcast_to(np.array(_BARE, np.uint8), (len(faces), 3))))
    return mesh_viewer("mesh", "A mesh", caption, vertices, faces, layers)


def event_caption(store: Any, index: int, note: str) -> str:
    """Which mesh it is, why this one, and what can be done with it."""
    row = store.events[index]
    return f"Mesh {row['run']}/{row['subrun']}/{row['event']}, {note}. {_HINT}"


def mean_colours(pixels: Ragged) -> np.ndarray:
    """uint8 [M, 3]: the mean of the pixels under each face; a grey without any."""
    counts = pixels.counts
    sums = np.zeros((len(counts), 3))
    rgb = np.stack([pixels.values[name] for name in "rgb"], 1).astype(np.float64)
    np.add.at(sums, np.repeat(np.arange(len(counts)), counts), rgb)
    mean = np.divide(sums, counts[:, None], out=np.full(sums.shape, _BARE, np.float64), where=counts[:, None] > 0)
    return np.rint(mean).astype(np.uint8)


def _errors(truth: np.ndarray, predicted: np.ndarray) -> FaceLayer:
    values = np.where(truth < 0, -1, truth != predicted)
    return FaceLayer("errors", values, {0: ("right", RIGHT), 1: ("wrong", WRONG), -1: ("not judged", UNKNOWN)})


def _labels(product: np.ndarray) -> np.ndarray:
    """int64 [M]; what is below 0 is no class."""
    return np.maximum(np.asarray(product)[:, 0].astype(np.int64), -1)


def _name(store: EventStore, index: int) -> str:
    """``, Tile_+1984_+2692``, where the store says it."""
    if f"{TRUTH}/origin" not in store:
        return ""
    product = store[f"{TRUTH}/origin"]
    return f", {product.schema.codes['mesh'][int(product[index][0]['mesh'])]}"
