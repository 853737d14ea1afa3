"""Predictions of meshes as PLY: the files they were made of, with labels, probabilities and colours.

``<mesh>_predicted.ply`` has all that the mesh's own PLY had, in its order and types: every property of vertices and
faces, coordinates of texture, comments, further elements. Faces get ``label`` (as the files number the classes),
``label_probabilities`` (of that label) and ``red green blue`` (of its class). Properties that had these names become
``<name>_original``, and what a file had as its labels ``label_original``; where that is taken, as in a mesh that was
predicted before, ``<name>_original_2`` and so on. An OBJ file becomes a PLY with its textures. Triangles that were cut
from a polygon vote for its class, by the sum of their probabilities weighted with their areas.
"""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.class_files import is_unlabelled
from weft.io.mesh_files import find_meshes
from weft.io.mesh_products import UNKNOWN
from weft.io.mesh_reading import Mesh, read_mesh
from weft.io.ply import Element, Form, Ply, Property, write_ply
from weft.io.products import Ragged
from weft.io.provenance import canonical_json
from weft.io.store import EventStore
from weft.meshes.geometry import areas

#: Of classes that SUM has (specification §2.2); others take hues that are far apart.
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "terrain": (170, 85, 0),
    "high vegetation": (0, 255, 0),
    "building": (255, 255, 0),
    "water": (0, 255, 255),
    "car": (255, 0, 255),
    "vehicle": (255, 0, 255),
    "boat": (0, 0, 153),
}
#: Of the provenance of the predictions, what says how they came to be.
_RECORD = ("weft", "commit", "config_hash", "model")
_GOLDEN = 0.61803398875


@dataclass(frozen=True)
class PlyOptions:
    """How predictions are written."""

    form: Form = "binary_little_endian"
    probabilities: bool = False
    """``probability_<class>`` of every class"""
    folder: Path | None = None
    """where the meshes lie now; None: where they were converted"""


def export_meshes(
    events: str | Path, predictions: str | Path, folder: str | Path, options: PlyOptions | None = None
) -> list[Path]:
    """Write what was predicted of meshes to a folder; each file appears whole or not at all.

    Args:
        events: the event store that was converted from the meshes.
        predictions: the store made of it, with `face_labels`, and `face_probabilities` where there are any.
        folder: where the files go, which replace those of the same name.
        options: binary, little-endian, without all probabilities by default.

    Returns:
        The files, in the order of the events.

    Raises:
        WeftError: stores that do not belong together, that are not of meshes, or meshes that are not there or have
            changed since they were converted.
    """
    chosen, folder = options or PlyOptions(), Path(folder)
    with EventStore.open({"truth": events, "prediction": predictions}) as store:
        source = store.files["truth"].provenance.get("source", {})
        if "prediction/face_labels" not in store or not isinstance(source.get("meshes"), dict):
            raise WeftError(
                f"{predictions}: no prediction of converted meshes, which alone become PLY; expected face_labels, and "
                f"{events} to be converted from PLY or OBJ"
            )
        record = {key: value for key, value in store.files["prediction"].provenance.items() if key in _RECORD}
        record["predictions"] = store.files["prediction"].content_hash
        codes = store["truth/origin"].schema.codes["mesh"]
        names = [codes[int(store["truth/origin"][row]["mesh"][0])] for row in range(len(store))]
        twin = next((name for k, name in enumerate(names) if name in names[:k]), None)
        if twin is not None:
            raise WeftError(f"{events}: two meshes are called {twin}: their files would have one name")
        where = chosen.folder or Path(source["folder"])
        written = []
        for row, name in enumerate(names):
            mesh = _original(store, row, where / source["meshes"][name]["file"], source, str(events))
            ply = predicted_ply(mesh, Predicted.of(store, row, source, mesh), chosen)
            said = canonical_json({**record, "mesh": name, "uid": int(store.events["uid"][row])})
            ply = replace(ply, comments=(*ply.comments, f"weft {said}"))
            written.append(write_ply(folder / f"{name}_predicted.ply", ply))
        return written


@dataclass(frozen=True)
class Predicted:
    """What is said of the triangles of one mesh."""

    labels: np.ndarray
    probabilities: np.ndarray | None
    names: tuple[str, ...]
    ids: tuple[int, ...]

    @classmethod
    def of(cls, store: EventStore, row: int, source: Mapping[str, Any], mesh: Mesh) -> Predicted:
        labels = np.asarray(store["prediction/face_labels"][row])[:, 0].astype(np.int64)
        probabilities, names = None, tuple[str, ...]()
        if "prediction/face_probabilities" in store:
            product = store["prediction/face_probabilities"]
            probabilities = np.asarray(product[row], np.float64)
            names = tuple(column.name for column in product.schema.columns)
        else:
            codes = store["prediction/face_labels"].schema.codes.get("class", {})
            names = tuple(codes[k] for k in sorted(codes))
        count = max(len(names), int(labels.max(initial=-1)) + 1)
        names += tuple(f"class_{k}" for k in range(len(names), count))
        return cls(labels, probabilities, names, _ids(names, source, mesh))


def _ids(names: Sequence[str], source: Mapping[str, Any], mesh: Mesh) -> tuple[int, ...]:
    """Label in the files of each class: by the class's name, as converted or in the mesh's header, else its number."""
    said = {entry["name"]: int(entry["label"]) for entry in source.get("classes", ())}
    if not said:
        said = {name: label for label, name in mesh.classes.items() if label >= 0 and not is_unlabelled(name)}
    if not set(names) <= said.keys():
        return tuple(range(len(names)))
    return tuple(said[name] for name in names)


def _original(store: EventStore, row: int, path: Path, source: Mapping[str, Any], events: str) -> Mesh:
    """The mesh that an event was converted from.

    Raises WeftError where it is not there, or is another one now.
    """
    if not path.is_file():
        raise WeftError(f"{path}: the mesh is not there any more; say in which folder it lies")
    files = find_meshes(path, {"labels": None, "textures": None})[0]
    # Of an OBJ the textures are read too, for they become properties; those of a PLY are some already.
    textures = path.suffix.lower() == ".obj" and "truth/texture" in store
    mesh = read_mesh(files, source.get("reading", {}).get("label_property"), textures)
    faces, vertices = np.asarray(store["truth/faces"][row]), np.asarray(store["truth/vertices"][row])
    if not (np.array_equal(mesh.faces, faces) and np.array_equal(mesh.vertices, vertices)):
        raise WeftError(f"{path}: the mesh has changed since {events} was converted from it; convert it again")
    return mesh


def predicted_ply(mesh: Mesh, predicted: Predicted, options: PlyOptions) -> Ply:
    """The file of a mesh with what was predicted of its faces."""
    labels, probabilities = _of_polygons(mesh, predicted)
    ply = mesh.ply or _as_ply(mesh)
    face = ply.elements["face"]
    ids = np.array([*predicted.ids, UNKNOWN], np.int32)
    made = {"label": ids[labels]}
    colours = np.array([*(_colour(name, k) for k, name in enumerate(predicted.names)), (0, 0, 0)], np.uint8)
    made |= {name: colours[labels, k] for k, name in enumerate(("red", "green", "blue"))}
    if probabilities is not None:
        best = np.where(labels >= 0, probabilities[np.arange(len(labels)), labels], 0) if len(labels) else np.empty(0)
        made["label_probabilities"] = best.astype(np.float32)
        for k, name in enumerate(predicted.names) if options.probabilities else ():
            made[f"probability_{'_'.join(name.split())}"] = probabilities[:, k].astype(np.float32)
    kept = _kept_as(list(face.columns), made, mesh.label_property)
    columns = {kept[name]: column for name, column in face.columns.items()} | made
    properties = [prop._replace(name=kept[prop.name]) for prop in face.properties]
    properties += [Property(name, values.dtype) for name, values in made.items()]
    elements = {**ply.elements, "face": Element("face", face.rows, tuple(properties), columns)}
    return Ply(options.form, elements, _named(ply.comments, predicted), ply.obj_info)


def _named(comments: Sequence[str], predicted: Predicted) -> tuple[str, ...]:
    """The comments, and the names of the predicted classes in place of what the file called the same labels."""
    named = {f"label {k}": f"label {k} {name}" for k, name in zip(predicted.ids, predicted.names, strict=True)}
    kept = [line for line in comments if " ".join(line.split()[:2]) not in named]
    return (*kept, *named.values())


def _kept_as(names: Sequence[str], made: Collection[str], labels: str | None) -> dict[str, str]:
    """What each property of a file is called beside those that are made; `labels`: the property of its labels."""
    kept = {name: name for name in names}
    taken = {*names, *made}
    # The labels first: nothing else becomes label_original where they can.
    for name in sorted(names, key=lambda name: name != labels):
        if name != labels and name not in made:
            continue
        wanted = f"{'label' if name == labels else name}_original"
        free = (wanted, *(f"{wanted}_{k}" for k in range(2, len(taken) + 2)))
        kept[name] = next(one for one in free if one not in taken)
        taken.add(kept[name])
    return kept


def _of_polygons(mesh: Mesh, predicted: Predicted) -> tuple[np.ndarray, np.ndarray | None]:
    """Class and probabilities of each face of the file; a polygon takes the mean of its triangles by area."""
    if mesh.parent is None:
        return predicted.labels, predicted.probabilities
    weight = areas(mesh.vertices[mesh.faces])
    total = np.bincount(mesh.parent, weight, mesh.polygons)
    # A polygon without area counts its triangles.
    weight = np.where(total[mesh.parent] > 0, weight, 1)
    total = np.bincount(mesh.parent, weight, mesh.polygons)
    count = len(predicted.names)
    votes = predicted.probabilities
    if votes is None:
        votes = (predicted.labels[:, None] == np.arange(count)).astype(np.float64)
    sums = [np.bincount(mesh.parent, weight * votes[:, k], mesh.polygons) for k in range(count)]
    mean = np.stack(sums, axis=1) / total[:, None]
    labels = np.where(mean.max(axis=1, initial=0) > 0, mean.argmax(axis=1), UNKNOWN)
    return labels, None if predicted.probabilities is None else mean


def _as_ply(mesh: Mesh) -> Ply:
    """A mesh that was no PLY: vertices, polygons, textures."""
    vertex = Element.of("vertex", {axis: mesh.vertices[:, k].copy() for k, axis in enumerate("xyz")})
    fans = mesh.faces
    if mesh.parent is None:
        corners = Ragged(fans.reshape(-1), np.arange(mesh.polygons + 1) * 3)
        first = np.ones(len(fans), bool)
    else:
        # The first triangle of a fan has the corners 0, 1, 2, each further one the next.
        first = np.r_[True, mesh.parent[1:] != mesh.parent[:-1]][: len(fans)]
        corners = _joined(fans, first)
    columns: dict[str, np.ndarray | Ragged] = {"vertex_indices": corners}
    if mesh.texcoords is not None and mesh.texture is not None:
        uv = mesh.texcoords.reshape(-1, 3, 2)
        joined = np.stack([_joined(uv[..., k], first).values for k in range(2)], axis=1)
        there = mesh.texture[first] >= 0
        counts = np.where(there, 2 * corners.counts, 0)
        values = joined[np.repeat(there, corners.counts)].reshape(-1).astype(np.float32)
        columns["texcoord"] = Ragged(values, np.r_[0, np.cumsum(counts)])
        columns["texnumber"] = mesh.texture[first].astype(np.int32)
    long = int(corners.counts.max(initial=0)) * 2 > np.iinfo(np.uint8).max
    face = Element.of("face", columns, "i4" if long else "u1")
    return Ply("ascii", {"vertex": vertex, "face": face}, tuple(f"TextureFile {name}" for name in mesh.textures))


def _joined(fans: np.ndarray, first: np.ndarray) -> Ragged:
    """What fans of triangles [M, 3] have at the corners of the polygons that they were cut from."""
    counts = np.where(first, 3, 1)
    keep = np.stack([first, first, np.ones(len(fans), bool)], axis=1)
    polygon = np.cumsum(first) - 1
    sizes = np.bincount(polygon, counts, int(first.sum())).astype(np.int64)
    return Ragged(fans[keep], np.r_[0, np.cumsum(sizes)])


def _colour(name: str, number: int) -> tuple[int, int, int]:
    if name.lower() in COLOURS:
        return COLOURS[name.lower()]
    r, g, b = colorsys.hsv_to_rgb((number * _GOLDEN) % 1, 0.75, 0.9)
    return round(255 * r), round(255 * g), round(255 * b)
