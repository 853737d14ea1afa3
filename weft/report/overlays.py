"""What of an event can be drawn beside the class of each voxel: which fragment, particle or interaction it belongs to,
and points and vertices; by the kind of the products, whatever task makes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from weft.io.products import Ragged, Schema
from weft.io.reco_objects import (
    RECO_FRAGMENT_VOXELS,
    RECO_INTERACTION_PARTICLES,
    RECO_INTERACTIONS,
    RECO_PARTICLE_VOXELS,
)
from weft.io.reco_products import CANDIDATE_VOXELS, FRAGMENT_VOXELS, POINTS, groups, vertex
from weft.reco.feed import FedStore

TRUTH, PREDICTION = "truth", "prediction"
#: What is shown of a store without predictions, if it can be derived.
_TRUE = {
    schema.name: schema for schema in (FRAGMENT_VOXELS, CANDIDATE_VOXELS, groups("interaction", "candidates"), POINTS)
}
#: The true counterpart of what is not predicted under the name of a true product.
_TRUE_OF = {
    RECO_FRAGMENT_VOXELS.name: FRAGMENT_VOXELS,
    RECO_PARTICLE_VOXELS.name: CANDIDATE_VOXELS,
    RECO_INTERACTION_PARTICLES.name: groups("interaction", "candidates"),
    RECO_INTERACTIONS.name: vertex("interaction", "candidates"),
}
#: Layers of what objects are made of, by name, and the layer of these objects.
_OBJECT_OF = {
    "fragments": "reco fragments",
    "candidates": "reco particles",
    "interaction groups": "reco interactions",
}
_PARTICLES = _OBJECT_OF["candidates"]
_LEAST = 0.5
"""score from which a vertex that is said of every node is drawn"""


@dataclass(frozen=True)
class Layer:
    """The item that each voxel belongs to; int [N], −1: none. Items of the prediction have the number of the true one
    that they share most voxels with, so that both have one colour."""

    name: str
    truth: np.ndarray | None
    predicted: np.ndarray | None
    judged: bool = False
    """whether the stage that is shown made it, rather than was fed it"""


@dataclass(frozen=True)
class Markers:
    """Places that are drawn over the voxels; positions [n, 3] in cm, classes int [n] (−1: none)."""

    name: str
    source: str
    positions: np.ndarray
    classes: np.ndarray


def layers(store: FedStore, index: int) -> list[Layer]:
    """Every list of voxels, and every grouping of items that have voxels, of one event; what is judged comes first, of
    what a reconstruction makes its particles."""
    found = []
    n = len(store["voxels"][index])
    for name, schema, where in _products(store):
        sides = {side: _labels(store, index, n, _on_side(schema, side), alias) for side, alias in where.items()}
        truth, predicted = sides.get(TRUTH), sides.get(PREDICTION)
        if truth is None and predicted is None:
            continue
        if truth is not None and predicted is not None:
            predicted = alike(truth, predicted)
        judged = where.get(PREDICTION) == PREDICTION
        found.append(Layer(_layer_name(name, schema), truth, predicted, judged))
    return sorted(_different(found), key=lambda layer: (not layer.judged, layer.name != _PARTICLES))


def _different(found: list[Layer]) -> list[Layer]:
    """Without what reconstructed objects were made of where these colour all voxels alike."""
    objects = {layer.name: layer for layer in found}
    made = {layer.name: objects.get(_OBJECT_OF.get(layer.name, "")) for layer in found}
    return [
        layer
        for layer in found
        if (other := made[layer.name]) is None
        or not (_same(layer.truth, other.truth) and _same(layer.predicted, other.predicted))
    ]


def _same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    return first is second if first is None or second is None else np.array_equal(first, second)


def markers(store: FedStore, index: int) -> list[Markers]:
    """Every table of places of one event."""
    found = []
    for name, schema, where in _products(store):
        for side, alias in where.items():
            of_side = _on_side(schema, side)
            places = _places(store[f"{alias}/{of_side.name}"][index], of_side)
            if places is not None and len(places[0]):
                kind = "vertex" if "vertex" in " ".join(c.name for c in schema.columns) + name else "point"
                found.append(Markers(kind, side, *places))
    return found


def alike(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The predicted items numbered as the true ones that they share most voxels with; of several with the same true one
    the largest share has its number, the others and those without get numbers of their own. int [N], −1: none."""
    both = (truth >= 0) & (predicted >= 0)
    pairs, shared = np.unique(np.stack([predicted[both], truth[both]]), axis=1, return_counts=True)
    items = np.unique(predicted[predicted >= 0])
    number = {}
    taken = set()
    for k in np.argsort(-shared, kind="stable"):
        item, true = int(pairs[0, k]), int(pairs[1, k])
        if item not in number and true not in taken:
            number[item] = true
            taken.add(true)
    free = int(max(truth.max(initial=-1), -1)) + 1
    for item in items.tolist():
        if item not in number:
            number[item] = free
            free += 1
    renamed = np.full(len(predicted), -1)
    for item, new in number.items():
        renamed[predicted == item] = new
    return renamed


def _products(store: FedStore) -> Iterator[tuple[str, Schema, dict[str, str]]]:
    """Products of this event by name: schema, and the file of each side that has it."""
    predicted: dict[str, str] = {}
    schemas: dict[str, Schema] = {}
    for alias in sorted(store.store.files, key=lambda alias: alias != PREDICTION):
        for name, schema in store.store.files[alias].schemas.items() if alias != TRUTH else ():
            schemas.setdefault(name, schema)
            predicted.setdefault(name, alias)
    if not predicted:
        schemas = dict(_TRUE)
    for name, schema in sorted(schemas.items()):
        where = {PREDICTION: predicted[name]} if name in predicted else {}
        if f"{TRUTH}/{_on_side(schema, TRUTH).name}" in store:
            where[TRUTH] = TRUTH
        if where:
            yield name, schema, where


def _on_side(schema: Schema, side: str) -> Schema:
    """As the product is called in the truth, which does not know which stage of a chain made it."""
    if side != TRUTH:
        return schema
    on, items_on = (name and _without_stage(name) for name in (schema.on, schema.items_on))
    plain = replace(schema, name=_without_stage(schema.name), on=on, items_on=items_on)
    return _TRUE_OF.get(plain.name, plain)


def _without_stage(name: str) -> str:
    """``fragments`` of ``<stage>.fragments``, as a chain calls what several of its stages make."""
    return name.rpartition(".")[2]


def _labels(store: FedStore, index: int, n: int, schema: Schema, alias: str) -> np.ndarray | None:
    """int64 [n]: the item of each voxel; None where the product is none that says so."""
    if _is_voxel_list(schema):
        return _voxel_labels(store[f"{alias}/{schema.name}"][index], n)
    grouping = schema.kind == "table" and schema.name.endswith("_groups")
    # Particles of interactions, which have no voxels of their own; fragments of particles, which have, say nothing new.
    members = schema.kind == "list" and schema.items_on and _voxels_of(store, schema.items_on, alias) is None
    if schema.on is None or not (grouping or members):
        return None
    lists = _voxels_of(store, schema.on, alias)
    if lists is None:
        return None
    items: Ragged = store[lists][index]
    said = store[f"{alias}/{schema.name}"][index]
    if grouping:
        group = said[:, 0].astype(np.int64)
        if len(group) != len(items):
            return None
    else:
        group = _voxel_labels(said, len(items))
    return np.append(group, -1)[_voxel_labels(items, n)]


def _voxels_of(store: FedStore, nodes: str, alias: str) -> str | None:
    """The product with the voxels of some nodes: beside the grouping, or what it was fed."""
    if alias == TRUTH:
        name = f"{TRUTH}/{_VOXELS.get(nodes, '')}"
        return name if nodes in _VOXELS and name in store else None
    for other in (alias, *(other for other in store.store.files if other != TRUTH)):
        for name, schema in store.store.files[other].schemas.items():
            if _is_voxel_list(schema) and schema.items_on == nodes:
                return f"{other}/{name}"
    return _voxels_of(store, nodes, TRUTH)


_VOXELS = {schema.items_on: schema.name for schema in (FRAGMENT_VOXELS, CANDIDATE_VOXELS)}


def _is_voxel_list(schema: Schema) -> bool:
    return schema.kind == "list" and schema.on == "voxels" and schema.items_on is not None and schema.width == ()


def _voxel_labels(items: Ragged, n: int) -> np.ndarray:
    labels = np.full(n, -1)
    values = items.values if items.values.dtype.names is None else items.values[items.values.dtype.names[0]]
    labels[values] = np.repeat(np.arange(len(items)), items.counts)
    return labels


def _places(values: np.ndarray, schema: Schema) -> tuple[np.ndarray, np.ndarray] | None:
    """Positions and classes of a table of places; None where it is none."""
    names = [column.name for column in schema.columns]
    if schema.kind != "table" or not any({f"{p}x", f"{p}y", f"{p}z"} <= set(names) for p in ("", "vertex_")):
        return None
    if schema.name == "voxels" or "pixel_0" in names or "wire_0" in names:  # what an event is made of, no marks on it
        return None
    prefix = "" if "x" in names else "vertex_"
    column: Any = values if schema.dtype.names else dict(zip(names, values.T, strict=True))
    xyz = np.stack([np.asarray(column[f"{prefix}{axis}"], np.float64) for axis in "xyz"], axis=1)
    kept = np.isfinite(xyz).all(axis=1)
    if schema.on is not None and "score" in names:  # said of every node
        kept &= np.asarray(column["score"]) > _LEAST
        xyz = np.unique(np.round(xyz[kept], 3), axis=0)
        return xyz, np.full(len(xyz), -1)
    classes = np.asarray(column["class"], np.int64) if "class" in names else np.full(len(xyz), -1)
    return xyz[kept], classes[kept]


def _layer_name(name: str, schema: Schema) -> str:
    stage, _, product = (schema.items_on or name).rpartition(".")
    return product.replace("_", " ") + (f" of {stage}" if stage else "")
