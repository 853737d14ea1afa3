"""Products of an event store as trees of a ROOT file, for those whose next step reads ROOT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.flat_root import columns_of, parent_rows, require_flat, write_flat
from weft.io.products import Nested, Ragged, Schema
from weft.io.provenance import collect
from weft.io.root_write import RootWriter
from weft.io.store import EventStore
from weft.io.voxels import voxel_id

#: Events and rows of a basket, at most; an event is never divided.
_BLOCK, _ROWS = 64, 1_000_000


def store_to_root(
    stores: str | Path | Mapping[str, str | Path],
    target: str | Path,
    products: Sequence[str] | None = None,
    producer: str = "weft",
    together: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Write products of one or several event stores to a ROOT file; it appears only when all went well.

    Args:
        stores: a store, or alias → store. Products of voxels need the store that holds `voxels` and `meta`.
        target: the ROOT file.
        products: names, qualified where needed; by default those of the last store but `voxels` and `meta`.
        producer: middle of the trees' names, followed by the alias of the store where several have the product.
        together: by name of a tree, those of the last store's tables that share it (`weft.io.flat_root`).

    Returns:
        The names of the trees: a column of a table on `voxels` becomes ``sparse3d_<producer>_<product>_tree`` (with
        the column's name added where there are several), its branches ``_voxel_v._id`` and ``_voxel_v._value`` as in
        LArCV; any other table ``<product>_<producer>_tree`` with ``_v._<column>``; a list the same, with the sizes
        of its items in ``_v._n``, and of filtered rows the row numbers in their parent in ``_v._index``.

    Raises:
        WeftError: an unknown or a dense product, voxels that are in none of the stores, or anything but a table that
            is to share a tree.
    """
    with EventStore.open(stores) as store:
        alias, file = list(store.files.items())[-1]
        shared = {tree: [f"{alias}/{name}" for name in names] for tree, names in (together or {}).items()}
        chosen = list(products or [f"{alias}/{name}" for name in file.schemas if name not in ("voxels", "meta")])
        chosen = [name for name in chosen if not any(name in names for names in shared.values())]
        schemas = {name: store[name].schema for name in (*chosen, *(n for names in shared.values() for n in names))}
        for tree, names in shared.items():
            require_flat(tree, [schemas[name] for name in names], str(target))
        for name in chosen:
            schema = schemas[name]
            if schema.kind == "dense":
                raise WeftError(f"{target}: {name} is dense, which ROOT files of ours do not hold; leave it out")
            if _is_voxel_table(schema) and not ("voxels" in store and "meta" in store):
                raise WeftError(f"{target}: {name} is on voxels: open the store that holds voxels and meta beside it")
        hashes = {alias: file.content_hash for alias, file in store.files.items()}
        texts: dict[str, Any] = {"weft_provenance": collect(inputs=hashes, products=list(schemas))}
        texts["weft_codes"] = {
            f"{s.name}.{column}": table for s in schemas.values() for column, table in s.codes.items()
        }
        texts["weft_units"] = {f"{s.name}.{c.name}": c.unit for s in schemas.values() for c in s.columns if c.unit}
        plain = Counter(schemas[name].name for name in chosen)
        middles = {n: f"{producer}_{n.partition('/')[0]}" if plain[schemas[n].name] > 1 else producer for n in chosen}
        trees: dict[str, None] = {}
        with atomic_path(target) as temporary, RootWriter(temporary, texts) as writer:
            for start, stop in blocks(store, list(schemas)):
                for name in chosen:
                    trees |= dict.fromkeys(_write(writer, store, name, schemas[name], middles[name], start, stop))
                for tree, names in shared.items():
                    write_flat(writer, store, tree, {name: schemas[name] for name in names}, start, stop)
                    trees[tree] = None
        return list(trees)


def blocks(store: EventStore, products: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Runs of events, start and stop, that are written at a time, so that memory does not grow with their number; of
    no events an empty one, so that the trees are there."""
    rows = np.zeros(len(store), np.int64)
    for name in products:
        rows += store[name].counts
    start = 0
    if not len(store):
        yield 0, 0
    while start < len(store):
        within = np.searchsorted(np.cumsum(rows[start : start + _BLOCK]), _ROWS, side="right")
        stop = start + max(1, int(within))
        yield start, stop
        start = stop


def _is_voxel_table(schema: Schema) -> bool:
    return schema.kind == "table" and schema.on == "voxels" and not schema.filtered and schema.dtype.names is None


def _write(
    writer: RootWriter, store: EventStore, name: str, schema: Schema, producer: str, start: int, stop: int
) -> list[str]:
    events = store.events[start:stop]
    flat = {f"_{n}": events[n].astype(np.uint64) for n in ("run", "subrun", "event")}
    rows = store.read(name, start, stop)
    if _is_voxel_table(schema):
        assert isinstance(rows, Ragged)
        boxes, ids = _voxels(store, start, stop)
        trees = []
        for k, column in enumerate(schema.columns):
            suffix = f"_{column.name}" if len(schema.columns) > 1 else ""
            trees.append(f"sparse3d_{producer}_{schema.name}{suffix}_tree")
            members = {"._id": ids, "._value": rows.values[:, k].astype(np.float32)}
            writer.extend(trees[-1], flat | boxes, {"_voxel_v": (rows.counts, members)})
        return trees
    tree = f"{schema.name}_{producer}_tree"
    members = {f"._{column}": values for column, values in columns_of(rows.values, schema).items()}
    if isinstance(rows, Nested):
        counts = np.diff(rows.item_offsets[rows.event_offsets])
        sizes = {"": np.diff(rows.item_offsets).astype(np.int32)}
        writer.extend(tree, flat, {"_v": (counts, members), "_v._n": (np.diff(rows.event_offsets), sizes)})
    else:
        if schema.filtered:
            members["._index"] = parent_rows(store, name, start, stop)
        writer.extend(tree, flat, {"_v": (rows.counts, members)})
    return [tree]


def _voxels(store: EventStore, start: int, stop: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Voxel3DMeta of each event as flat branches, and the LArCV ids of all voxels."""
    voxels, meta = store.read("voxels", start, stop), store.read("meta", start, stop).values
    boxes = {}
    for a in "xyz":
        boxes[f"_meta._p1._{a}"] = meta[f"min_{a}"]
        boxes[f"_meta._p2._{a}"] = meta[f"min_{a}"] + meta[f"n{a}"] * meta[f"size_{a}"]
        boxes[f"_meta._{a}len"] = meta[f"size_{a}"]
        boxes[f"_meta._{a}num"] = meta[f"n{a}"].astype(np.uint64)
    assert isinstance(voxels, Ragged)
    ids = [voxel_id(voxels[k], (m["nx"], m["ny"], m["nz"])) for k, m in enumerate(meta)]
    return boxes, np.concatenate([np.empty(0, np.uint64), *ids])
