"""The content hash of an event store: what "the same result" means.

It covers the events table, every product's arrays and the parts of its schema that give them meaning (names,
types, units, versions, codes, what they are on). It does not see provenance, descriptions, chunking or
compression, so the same events written by two machines at two times hash alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from weft.io.products import EVENT_DTYPE, Schema
from weft.io.provenance import canonical_json

#: Rows hashed at a time.
_BLOCK = 1 << 16


class ContentHasher:
    """Streaming hash: arrays are fed piece by piece, in order, under the name of their dataset."""

    def __init__(self) -> None:
        self._digests: dict[str, Any] = {}
        self._rows: dict[str, int] = {}

    def update(self, dataset: str, rows: np.ndarray) -> None:
        """Feed further rows of ``<product>/<array>``."""
        digest = self._digests.setdefault(dataset, hashlib.sha256())
        self._rows[dataset] = self._rows.get(dataset, 0) + len(rows)
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
    _feed(hasher, "events/ids", file["events"], EVENT_DTYPE)
    for schema in schemas:
        group = file["products"][schema.name]
        if schema.kind == "dense":
            for i in range(len(file["events"])):
                dataset = group["data"][str(i)]
                hasher.update_dense(schema.name, dataset.shape)
                _feed(hasher, f"{schema.name}/data", dataset, schema.dtype)
            continue
        for name in sorted(group):
            dtype = schema.dtype if name == "values" else group[name].dtype
            _feed(hasher, f"{schema.name}/{name}", group[name], dtype)
    return hasher.hexdigest(schemas)


def _feed(hasher: ContentHasher, name: str, dataset: h5py.Dataset, dtype: np.dtype) -> None:
    row_bytes = max(1, dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    step = max(1, min(_BLOCK, (16 << 20) // row_bytes))
    hasher.update(name, np.empty((0, *dataset.shape[1:]), dtype))
    for start in range(0, len(dataset), step):
        hasher.update(name, dataset[start : start + step].astype(dtype, copy=False))
