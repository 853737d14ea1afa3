"""Writing event stores: one pass over the events, bounded memory, a whole file or none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.conform import conform_all
from weft.io.content import ContentHasher, feed
from weft.io.dense import DenseBlocks
from weft.io.products import EVENT_DTYPE, EventId, Schema
from weft.io.provenance import canonical_json, collect

FORMAT = "weft event store"
FORMAT_VERSION = 1

#: Rows per chunk; a single event of a few thousand rows touches one or two.
CHUNK_ROWS = 4096
#: Wide rows get shorter chunks: a chunk is the least that can be read.
_CHUNK_BYTES = 128 << 10
_BUFFER_CHUNKS = 4
#: A layer of chunks of an array that comes in slabs.
_LAYER_BYTES = 64 << 20


def compression() -> Mapping[str, Any]:
    """How values are compressed (measured in benchmarks/io.py)."""
    return hdf5plugin.Blosc2(cname="lz4", clevel=5, filters=hdf5plugin.Blosc2.SHUFFLE)


class _Stream:
    """An extendible dataset behind a buffer of whole chunks, so that no chunk is compressed twice."""

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        dtype: np.dtype,
        width: tuple[int, ...],
        hasher: ContentHasher,
        hash_name: str | None = None,
    ) -> None:
        row = dtype.itemsize * int(np.prod(width, dtype=np.int64))
        rows = max(16, min(CHUNK_ROWS, _CHUNK_BYTES // max(row, 1)))
        self.dataset = group.create_dataset(
            name, (0, *width), dtype, maxshape=(None, *width), chunks=(rows, *width), **compression()
        )
        self.hash_name = hash_name or f"{group.name.rpartition('/')[2]}/{name}"
        self.hasher = hasher
        self.buffer = np.empty((rows * _BUFFER_CHUNKS, *width), dtype)
        self.filled = 0
        self.rows = 0
        hasher.update(self.hash_name, self.buffer[:0])

    def append(self, rows: np.ndarray) -> None:
        self.rows += len(rows)
        while len(rows):
            taken = min(len(rows), len(self.buffer) - self.filled)
            self.buffer[self.filled : self.filled + taken] = rows[:taken]
            self.filled += taken
            rows = rows[taken:]
            if self.filled == len(self.buffer):
                self.flush()

    def flush(self) -> None:
        if self.filled:
            start = len(self.dataset)
            self.dataset.resize(start + self.filled, axis=0)
            self.dataset[start:] = self.buffer[: self.filled]
            self.hasher.update(self.hash_name, self.buffer[: self.filled])
            self.filled = 0


class _Offsets(_Stream):
    """Running totals, starting with 0."""

    def __init__(self, group: h5py.Group, name: str, hasher: ContentHasher):
        super().__init__(group, name, np.dtype("<i8"), (), hasher)
        self.append(np.zeros(1, np.int64))
        self.total = 0

    def extend(self, counts: np.ndarray) -> None:
        self.append(self.total + np.cumsum(counts, dtype=np.int64))
        self.total += int(np.sum(counts))


class StoreWriter:
    """Context manager that writes one event store; the file appears under `path` on a clean exit only.

    Args:
        path: the target.
        schemas: the products, all of which every event must bring.
        provenance: record for `weft inspect`, see `weft.io.provenance.collect`; called last if None.
            It may still be changed through the attribute `provenance` before the writer closes.
        parents: content hash of each store that this one was made from, by name.

    Attributes:
        content_hash: of the finished file, set on exit.
    """

    def __init__(
        self,
        path: str | Path,
        schemas: Sequence[Schema],
        provenance: Mapping[str, Any] | None = None,
        parents: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.parents = dict(parents or {})
        self.provenance: dict[str, Any] | None = None if provenance is None else dict(provenance)
        self.schemas: dict[str, Schema] = {}
        self.content_hash: str | None = None
        for schema in schemas:
            if schema.name in self.schemas:
                raise WeftError(f"{self.path}: product {schema.name!r} is declared twice")
            self.schemas[schema.name] = schema
        self._codes = {
            (s.name, column): {text: code for code, text in table.items()}
            for s in schemas
            for column, table in s.codes.items()
        }
        self._count = 0

    def __enter__(self) -> StoreWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file = stack.enter_context(h5py.File(temporary, "w", libver=("v110", "v110")))
            self._hasher = ContentHasher()
            self._file.attrs["format"] = FORMAT
            self._file.attrs["format_version"] = FORMAT_VERSION
            self._file.attrs["complete"] = False
            self._events = _Stream(self._file, "events", EVENT_DTYPE, (), self._hasher, "events/ids")
            products = self._file.create_group("products")
            self._groups = {name: products.create_group(name) for name in self.schemas}
            self._streams = {name: self._open_streams(schema) for name, schema in self.schemas.items()}
            self._stack = stack.pop_all()
        return self

    def _open_streams(self, schema: Schema) -> dict[str, _Stream]:
        group = self._groups[schema.name]
        if schema.kind == "dense":
            group.create_group("data")
            return {}
        streams: dict[str, _Stream] = {"values": _Stream(group, "values", schema.dtype, schema.width, self._hasher)}
        if schema.kind == "list":
            streams["item_offsets"] = _Offsets(group, "item_offsets", self._hasher)
            streams["event_offsets"] = _Offsets(group, "event_offsets", self._hasher)
        else:
            streams["offsets"] = _Offsets(group, "offsets", self._hasher)
        if schema.filtered:
            streams["index"] = _Stream(group, "index", np.dtype("<i4"), (), self._hasher)
        return streams

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as problem:
            self._stack.__exit__(type(problem), problem, problem.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

    def encode(self, product: str, column: str, strings: Iterable[str]) -> np.ndarray:
        """int32 codes of `strings` in a coded column; unseen strings get the next free code."""
        table = self._codes[product, column]
        codes = []
        for text in strings:
            if text not in table:
                table[text] = max(table.values(), default=-1) + 1
            codes.append(table[text])
        return np.array(codes, np.int32)

    def append(self, event: EventId, products: Mapping[str, Any]) -> None:
        """Write one event: an array where table or dense, `Ragged` where list, `Filtered` where filtered.

        A dense product may also come as `DenseBlocks`, which are written and hashed slab by slab; several of an event
        take turns.

        Raises WeftError where a product is missing or unknown, its shape or type does not fit its schema, or
        its rows do not match those of the product it is on.
        """
        where = f"{self.path}: event {event.run}/{event.subrun}/{event.event} (number {self._count})"
        conformed = conform_all(self.schemas.values(), products, where)
        arrays = {name: _arrays(self.schemas[name], value) for name, value in conformed.items()}
        for schema in self.schemas.values():
            self._check_parents(schema, arrays, where)
        slabs = []
        for name, parts in arrays.items():
            if isinstance(parts.get("data"), DenseBlocks):
                slabs.append(self._written_slabs(self.schemas[name], parts["data"]))
            else:
                self._write(self.schemas[name], parts)
        while slabs:
            slabs = [writing for writing in slabs if next(writing, None) is not None]
        self._events.append(np.array([tuple(event)], EVENT_DTYPE))
        self._count += 1

    def _check_parents(self, schema: Schema, arrays: Mapping[str, Mapping[str, Any]], where: str) -> None:
        """Rows against the products of this file; other files are checked when opened together."""
        parts = arrays[schema.name]
        if schema.on is not None and schema.on in arrays:
            parent = len(arrays[schema.on]["values"])
            if schema.kind == "list" or schema.filtered:
                rows = parts["index"] if schema.filtered else _first_column(parts["values"])
                if len(rows) and not 0 <= rows.min() <= rows.max() < parent:
                    raise WeftError(
                        f"{where}: {schema.name} refers to rows {rows.min()} to {rows.max()} of {schema.on}, "
                        f"which has {parent}"
                    )
            elif len(parts["values"]) != parent:
                raise WeftError(f"{where}: {schema.name} has {len(parts['values'])} rows, {schema.on} has {parent}")
        if schema.items_on is not None and schema.items_on in arrays:
            items, owners = len(parts["counts"]), len(arrays[schema.items_on]["values"])
            if items != owners:
                raise WeftError(f"{where}: {schema.name} has {items} items, {schema.items_on} has {owners} rows")

    def _write(self, schema: Schema, parts: Mapping[str, np.ndarray]) -> None:
        if schema.kind == "dense":
            self._write_dense(schema, parts["data"])
            return
        streams = self._streams[schema.name]
        streams["values"].append(parts["values"])
        if schema.filtered:
            streams["index"].append(parts["index"])
        if schema.kind == "list":
            streams["item_offsets"].extend(parts["counts"])  # type: ignore[attr-defined]
            streams["event_offsets"].extend(np.array([len(parts["counts"])]))  # type: ignore[attr-defined]
        else:
            streams["offsets"].extend(np.array([len(parts["values"])]))  # type: ignore[attr-defined]

    def _write_dense(self, schema: Schema, data: np.ndarray) -> None:
        chunks = _dense_chunks(data.shape, data.itemsize) if data.size else None
        options = compression() if data.size else {}
        self._groups[schema.name]["data"].create_dataset(str(self._count), data=data, chunks=chunks, **options)
        self._hasher.update_dense(schema.name, data.shape)
        self._hasher.update(f"{schema.name}/data", data)

    def _written_slabs(self, schema: Schema, blocks: DenseBlocks) -> Iterator[int]:
        """Write an array slab by slab, saying after each how many planes of it have come.

        Only whole layers of chunks are written before the end, so that no chunk is compressed twice.
        """
        axis, shape, name = blocks.axis, blocks.shape, f"{schema.name}/data"
        options: dict[str, Any] = {}
        depth = max(1, shape[axis])
        if prod(shape):
            chunks = _slab_chunks(shape, schema.dtype.itemsize, axis)
            options, depth = {"chunks": chunks, **compression()}, chunks[axis]
        group = self._groups[schema.name]["data"]
        dataset = group.create_dataset(str(self._count), shape, schema.dtype, **options)
        # Bytes come in the order of the hash where a slab is full along the last axes and there is one of the first.
        in_order = prod(shape[:axis]) == 1
        self._hasher.update_dense(schema.name, shape)
        self._hasher.update(name, np.empty(0, schema.dtype), count=shape[0])
        lead = (slice(None),) * axis
        kept, written = np.empty((*shape[:axis], 0, *shape[axis + 1 :]), schema.dtype), 0
        for start, slab in blocks.slabs():
            if in_order:
                self._hasher.update(name, slab, count=0)
            stop = start + slab.shape[axis]
            whole = stop if stop == shape[axis] else stop - stop % depth
            if kept.shape[axis]:
                slab = np.concatenate([kept, slab], axis)
            if whole > written:
                dataset[(*lead, slice(written, whole))] = slab[(*lead, slice(0, whole - written))]
                slab = slab[(*lead, slice(whole - written, None))]
                written = whole
            kept = slab.copy()
            yield stop
        if not in_order:
            feed(self._hasher, name, dataset, schema.dtype, counted=True)

    def _finish(self) -> None:
        self._events.flush()
        self._check_unique()
        for streams in self._streams.values():
            for stream in streams.values():
                stream.flush()
        schemas = [self._final(schema) for schema in self.schemas.values()]
        for schema in schemas:
            attributes = self._groups[schema.name].attrs
            attributes["schema"] = json.dumps(schema.to_json(), ensure_ascii=False)
            attributes["columns"] = [c.name for c in schema.columns]
            attributes["units"] = [c.unit for c in schema.columns]
        self.content_hash = self._hasher.hexdigest(schemas)
        provenance = collect() if self.provenance is None else self.provenance
        self._file["provenance"] = canonical_json(provenance)
        self._file["parents"] = canonical_json(self.parents)
        self._file.attrs["content_hash"] = self.content_hash
        self._file.flush()
        self._file.attrs["complete"] = True

    def _check_unique(self) -> None:
        events = self._file["events"][:]
        order = np.argsort(events["uid"], kind="stable")
        twin = np.flatnonzero(np.diff(events["uid"][order]) == 0)
        if len(twin):
            first, second = (events[order[k]] for k in (twin[0], twin[0] + 1))
            raise WeftError(f"{self.path}: two events have the same unique id: {first} and {second}")

    def _final(self, schema: Schema) -> Schema:
        codes = {c: {code: text for text, code in self._codes[schema.name, c].items()} for c in schema.codes}
        return dataclasses.replace(schema, codes=codes)


def _arrays(schema: Schema, value: Any) -> dict[str, Any]:
    """The arrays of one event's product, by dataset name; counts instead of offsets."""
    if schema.kind == "list":
        return {"values": value.values, "counts": value.counts}
    if schema.filtered:
        return {"values": value.values, "index": value.index}
    return {"data" if schema.kind == "dense" else "values": value}


def _first_column(values: np.ndarray) -> np.ndarray:
    if values.dtype.names is not None:
        return values[values.dtype.names[0]]
    return values if values.ndim == 1 else values[:, 0]


def _dense_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Halve the longest side until a chunk has at most 1 MiB: near-cubic chunks for patches from anywhere."""
    chunks = list(shape)
    while np.prod(chunks, dtype=np.int64) * itemsize > 1 << 20:
        longest = int(np.argmax(chunks))
        chunks[longest] = (chunks[longest] + 1) // 2
    return tuple(chunks)


def _slab_chunks(shape: tuple[int, ...], itemsize: int, axis: int) -> tuple[int, ...]:
    """Chunks of an array that comes in slabs: thin along it, since a layer of chunks is held until it is full."""
    plane = itemsize * prod(shape) // shape[axis]
    depth = min(shape[axis], 16, max(1, _LAYER_BYTES // plane))
    rest = _dense_chunks((1,) * axis + shape[axis + 1 :], itemsize * depth)
    return (*rest[:axis], depth, *rest[axis:])
