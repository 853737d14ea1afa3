"""The content hash of an event store: what "the same result" means.

It covers the events table, every product's arrays and the parts of its schema that give them meaning (names,
types, units, versions, codes, what they are on). It does not see provenance, descriptions, chunking or
compression, so the same events written by two machines at two times hash alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import h5py
import numpy as np

from weft.io.dense import PIECE_BYTES, pieces
from weft.io.products import EVENT_DTYPE, Schema
from weft.io.provenance import canonical_json

#: Bytes of a layer of chunks that are still read together.
_LARGEST_LAYER = 128 << 20


class ContentHasher:
    """Streaming hash: arrays are fed piece by piece, in order, under the name of their dataset."""

    def __init__(self) -> None:
        self._digests: dict[str, Any] = {}
        self._rows: dict[str, int] = {}

    def update(self, dataset: str, rows: np.ndarray, count: int | None = None) -> None:
        """Feed further rows of ``<product>/<array>``, or bytes of `count` of them."""
        digest = self._digests.setdefault(dataset, hashlib.sha256())
        self._rows[dataset] = self._rows.get(dataset, 0) + (len(rows) if count is None else count)
        if rows.size:
            digest.update(np.ascontiguousarray(rows).view(np.uint8).data)

    def update_dense(self, product: str, shape: Sequence[int]) -> None:
        """Announce the next event's array; its blocks follow through `update`."""
        self.update(f"{product}/shape", np.array([len(shape), *shape], "<i8"))

    def hexdigest(self, schemas: Sequence[Schema]) -> str:
        arrays: dict[str, dict[str, Any]] = {schema.name: {} for schema in schemas}
        for dataset, digest in self._digests.items():
            product, _, array = dataset.partition("/")
            arrays.setdefault(product, {})[array] = [self._rows[dataset], digest.hexdigest()]
        products = {s.name: {"schema": _meaning(s), "arrays": arrays[s.name]} for s in schemas}
        text = canonical_json({"events": arrays.get("events", {}), "products": products})
        return hashlib.sha256(text.encode()).hexdigest()


def _meaning(schema: Schema) -> Mapping[str, Any]:
    """The schema without its prose."""
    data = schema.to_json()
    del data["description"]
    data["columns"] = [[c["name"], c["unit"]] for c in data["columns"]]
    return data


def hash_file(file: h5py.File, schemas: Sequence[Schema]) -> str:
    """Content hash of an open store, read block by block."""
    hasher = ContentHasher()
    feed(hasher, "events/ids", file["events"], EVENT_DTYPE)
    for schema in schemas:
        group = file["products"][schema.name]
        if schema.kind == "dense":
            for i in range(len(file["events"])):
                dataset = group["data"][str(i)]
                hasher.update_dense(schema.name, dataset.shape)
                feed(hasher, f"{schema.name}/data", dataset, schema.dtype)
            continue
        for name in sorted(group):
            dtype = schema.dtype if name == "values" else group[name].dtype
            feed(hasher, f"{schema.name}/{name}", group[name], dtype)
    return hasher.hexdigest(schemas)


def feed(hasher: ContentHasher, name: str, dataset: h5py.Dataset, dtype: np.dtype, *, counted: bool = False) -> None:
    """Hash a dataset piece by piece, in the order of its bytes; one row may be larger than memory.

    counted: whether its rows have been counted before.
    """
    hasher.update(name, np.empty(0, dtype), count=0 if counted else len(dataset))
    for piece in pieces(dataset.shape, dtype.itemsize, _bytes_at_once(dataset, dtype.itemsize)):
        hasher.update(name, dataset[piece].astype(dtype, copy=False), count=0)


def _bytes_at_once(dataset: h5py.Dataset, itemsize: int) -> int:
    """Whole layers of chunks where they are not too large, so that no chunk is decompressed for each plane of it."""
    for axis in range(dataset.ndim):
        plane = itemsize * prod(dataset.shape[axis + 1 :])
        if 0 < plane <= PIECE_BYTES:
            layer = plane * (dataset.chunks[axis] if dataset.chunks else 1)
            return layer * max(1, PIECE_BYTES // layer) if layer <= _LARGEST_LAYER else PIECE_BYTES
    return PIECE_BYTES
