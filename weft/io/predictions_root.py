"""Products of an event store as trees of a ROOT file, for those whose next step reads ROOT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.products import Nested, Ragged, Schema
from weft.io.provenance import collect
from weft.io.root_write import RootWriter
from weft.io.store import EventStore
from weft.io.voxels import voxel_id

#: Events per basket.
_BLOCK = 64


def store_to_root(
    stores: str | Path | Mapping[str, str | Path],
    target: str | Path,
    products: Sequence[str] | None = None,
    producer: str = "weft",
) -> list[str]:
    """Write products of one or several event stores to a ROOT file; it appears only when all went well.

    Args:
        stores: a store, or alias → store. Products of voxels need the store that holds `voxels` and `meta`.
        target: the ROOT file.
        products: names, qualified where needed; by default those of the last store but `voxels` and `meta`.
        producer: middle of the trees' names, followed by the alias of the store where several have the product.

    Returns:
        The names of the trees: a column of a table on `voxels` becomes ``sparse3d_<producer>_<product>_tree`` (with
        the column's name added where there are several), its branches ``_voxel_v._id`` and ``_voxel_v._value`` as in
        LArCV; any other table ``<product>_<producer>_tree`` with ``_v._<column>``; a list the same, with the sizes
        of its items in ``_v._n``.

    Raises:
        WeftError: an unknown or a dense product, or voxels that are in none of the stores.
    """
    with EventStore.open(stores) as store:
        alias, file = list(store.files.items())[-1]
        chosen = list(products or [f"{alias}/{name}" for name in file.schemas if name not in ("voxels", "meta")])
        schemas = {name: store[name].schema for name in chosen}
        for name, schema in schemas.items():
            if schema.kind == "dense":
                raise WeftError(f"{target}: {name} is dense, which ROOT files of ours do not hold; leave it out")
            if _is_voxel_table(schema) and not ("voxels" in store and "meta" in store):
                raise WeftError(f"{target}: {name} is on voxels: open the store that holds voxels and meta beside it")
        hashes = {alias: file.content_hash for alias, file in store.files.items()}
        texts: dict[str, Any] = {"weft_provenance": collect(inputs=hashes, products=chosen)}
        texts["weft_codes"] = {
            f"{s.name}.{column}": table for s in schemas.values() for column, table in s.codes.items()
        }
        texts["weft_units"] = {f"{s.name}.{c.name}": c.unit for s in schemas.values() for c in s.columns if c.unit}
        plain = Counter(schema.name for schema in schemas.values())
        middles = {
            n: f"{producer}_{n.partition('/')[0]}" if plain[s.name] > 1 else producer for n, s in schemas.items()
        }
        trees: dict[str, None] = {}
        with atomic_path(target) as temporary, RootWriter(temporary, texts) as writer:
            for start in range(0, len(store), _BLOCK):
                for name, schema in schemas.items():
                    stop = min(start + _BLOCK, len(store))
                    trees |= dict.fromkeys(_write(writer, store, name, schema, middles[name], start, stop))
        return list(trees)


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
    values = rows.values
    if values.dtype.names is not None:
        members = {f"._{n}": values[n] for n in values.dtype.names}
    else:
        columns = values.reshape(len(values), len(schema.columns))
        members = {f"._{c.name}": columns[:, k] for k, c in enumerate(schema.columns)}
    if isinstance(rows, Nested):
        counts = np.diff(rows.item_offsets[rows.event_offsets])
        sizes = {"": np.diff(rows.item_offsets).astype(np.int32)}
        writer.extend(tree, flat, {"_v": (counts, members), "_v._n": (np.diff(rows.event_offsets), sizes)})
    else:
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
