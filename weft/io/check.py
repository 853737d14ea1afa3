"""Sanity checks of an event store: what a damaged or careless writer would get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from weft.errors import WeftError
from weft.io.products import CLASSES, Ragged, Schema
from weft.io.store import EventStore, Product, content_hash


def check(path: str | Path) -> list[str]:
    """Problems of a store, one line each; empty where there are none.

    Looked at: the file opens and is complete; content against the recorded hash; unique ids; offsets; row counts and
    row numbers against the parent product; voxels within the box, sorted by id and unique; classes; finite values.
    """
    try:
        store = EventStore.open(path)
        problems = (
            [] if content_hash(path) == store.content_hash else [f"{path}: content differs from its recorded hash"]
        )
    except WeftError as error:
        return [str(error)]
    except OSError as error:
        return [f"{path}: cannot be read (truncated or damaged?): {error}"]
    with store:
        if len(np.unique(store.events["uid"])) < len(store):
            problems.append(f"{path}: unique ids repeat")
        for name, schema in store.products.items():
            problems += [f"{path}: {name}: {problem}" for problem in _check_product(store, name, schema)]
    return problems


def _check_product(store: EventStore, name: str, schema: Schema) -> Iterator[str]:
    if schema.kind == "dense":
        for i in range(len(store)):
            if not np.isfinite(np.asarray(store[name][i])).all():
                yield f"event {i}: values that are not finite"
        return
    try:
        product = store[name]
    except WeftError as error:
        yield str(error)
        return
    if product.offsets[0] != 0 or (np.diff(product.offsets) < 0).any():
        yield "offsets do not increase from 0"
        return
    for i in range(len(store)):
        yield from (f"event {i}: {problem}" for problem in _check_event(store, product, i))


def _check_event(store: EventStore, product: Product, i: int) -> Iterator[str]:
    schema, rows = product.schema, product[i]
    values = rows.values if isinstance(rows, Ragged) else rows
    if isinstance(rows, Ragged) and (np.diff(rows.offsets) < 0).any():
        yield "item offsets do not increase"
    if schema.on is not None and schema.on in store and (schema.kind == "list" or schema.filtered):
        parent = store[schema.on].counts[i]
        rows_of_parent = product.index(i) if schema.filtered else _first(values)
        if len(rows_of_parent) and not 0 <= rows_of_parent.min() <= rows_of_parent.max() < parent:
            yield f"row numbers beyond the {parent} rows of {schema.on}"
    # What a source does not have is NaN by definition of `particles` and of `texcoords`.
    if (
        schema.name != "texcoords"
        and values.dtype.names is None
        and values.dtype.kind == "f"
        and not np.isfinite(values).all()
    ):
        yield "values that are not finite"
    if schema.name == "clusters" and not np.isfinite(values["energy"]).all():
        yield "energies that are not finite"
    if schema.name == "semantics" and len(values) and not -1 <= values.min() <= values.max() <= max(CLASSES):
        yield f"classes from {values.min()} to {values.max()}, expected -1 to {max(CLASSES)}"
    if schema.name == "faces" and "vertices" in store and len(values):
        rows = store["vertices"].counts[i]
        if not 0 <= values.min() <= values.max() < rows:
            yield f"corners from {values.min()} to {values.max()}, there are {rows} vertices"
    if schema.name == "voxels" and "meta" in store:
        yield from _check_voxels(values.astype(np.int64), store["meta"][i])


def _check_voxels(voxels: np.ndarray, meta: np.ndarray) -> Iterator[str]:
    if len(meta) != 1:
        yield f"{len(meta)} rows of meta, expected one"
        return
    shape = np.array([int(meta[f"n{a}"][0]) for a in "xyz"])
    if len(voxels) and ((voxels < 0) | (voxels >= shape)).any():
        yield f"voxels beyond the box of {'×'.join(map(str, shape))}"
        return
    ids = (voxels[:, 2] * shape[1] + voxels[:, 1]) * shape[0] + voxels[:, 0]
    if (np.diff(ids) <= 0).any():
        yield "voxels are not sorted by id, or not unique"


def _first(values: np.ndarray) -> np.ndarray:
    if values.dtype.names is not None:
        return values[values.dtype.names[0]]
    return values if values.ndim == 1 else values[:, 0]
