"""Products of event stores as one CSV or Parquet table each, for those whose next step is a data frame.

A row of a table is a row of the product, a row of a list is a value of it. Both come with the event that they belong to
(run, subrun, event, uid) and their number in it; values of a list also with their item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.products import EVENT_DTYPE, Column, Nested, Schema
from weft.io.provenance import canonical_json, collect
from weft.io.store import EventStore, Product

Format = Literal["csv", "parquet"]

#: Events read at a time.
_BLOCK = 64
_EVENT_COLUMNS = [
    Column("run"),
    Column("subrun"),
    Column("event"),
    Column("uid", "", "unique number of the event"),
]


def export_tables(
    stores: str | Path | Mapping[str, str | Path],
    folder: str | Path,
    form: Format,
    products: Sequence[str] | None = None,
) -> list[Path]:
    """Write products to ``<folder>/<product>.<form>``; the files appear only when all of them are whole.

    Args:
        stores: a store, or alias → store, of the same events. A product that several have is named
            ``<alias>/<product>``; its file is ``<alias>.<product>``.
        folder: it is made if it does not exist; files of the same names are replaced.
        form: Parquet keeps unit, description and codes of each column in the metadata of the field, and schema and
            provenance in those of the file; beside a CSV there is the same as ``<product>.json``.
        products: names, qualified where needed; by default all but dense ones.

    Raises:
        WeftError: no such product, or a dense one.
    """
    folder = Path(folder)
    with EventStore.open(stores) as store, ExitStack() as stack:
        chosen = list(products or [name for name, schema in store.products.items() if schema.kind != "dense"])
        for name in chosen:
            if store[name].schema.kind == "dense":
                raise WeftError(f"{folder}: {name} is dense, which has no rows; leave it out")
        record = collect(inputs={alias: file.content_hash for alias, file in store.files.items()})
        paths = []
        for name in chosen:
            path = folder / f"{name.replace('/', '.')}.{form}"
            _write(stack, store, name, path, form, record)
            paths.append(path)
    return paths


def _write(stack: ExitStack, store: EventStore, name: str, path: Path, form: Format, record: Mapping[str, Any]) -> None:
    product = store[name]
    schema, about = _arrow_schema(product.schema), {"product": product.schema.to_json(), "provenance": record}
    temporary = stack.enter_context(atomic_path(path))
    if form == "csv":
        sidecar = stack.enter_context(atomic_path(path.with_suffix(".json")))
        columns = {field.name: _text(field.metadata) for field in schema}
        text = json.dumps({"columns": columns, **about}, indent=1, sort_keys=True, ensure_ascii=False)
        sidecar.write_text(text + "\n", encoding="utf-8")
        writer: Any = pa_csv.CSVWriter(temporary, schema)
    else:
        schema = schema.with_metadata({key: canonical_json(value) for key, value in about.items()})
        writer = pq.ParquetWriter(temporary, schema, compression="zstd")
    with writer:
        for start in range(0, len(store), _BLOCK):
            block = _columns(store.events[start : start + _BLOCK], product, start)
            arrays = [pa.array(values, field.type) for values, field in zip(block, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _arrow_schema(schema: Schema) -> pa.Schema:
    own = schema.columns
    types = [schema.dtype[k] if schema.dtype.names is not None else schema.dtype for k in range(len(own))]
    place = [(Column("row", "", "number of the row in its event"), np.dtype("i8"))]
    if schema.kind == "list":
        place = [
            (Column("item", "", "number of the item in its event"), np.dtype("i8")),
            (Column("position", "", "number of the value in its item"), np.dtype("i8")),
        ]
    elif schema.filtered:
        place = [(Column("row", "", f"row of {schema.on} in this event"), np.dtype("i8"))]
    ids = [(column, EVENT_DTYPE[column.name]) for column in _EVENT_COLUMNS]
    taken: set[str] = set()
    fields = []
    for k, (column, dtype) in enumerate([*ids, *place, *zip(own, types, strict=True)]):
        name = f"{schema.name}_{column.name}" if column.name in taken else column.name
        taken.add(name)
        about = {"unit": column.unit, "description": column.description}
        codes = schema.codes.get(column.name) if k >= len(ids) + len(place) else None
        if codes:
            about["codes"] = json.dumps({str(code): text for code, text in sorted(codes.items())})
        fields.append(pa.field(name, pa.from_numpy_dtype(dtype), nullable=False, metadata=about))
    return pa.schema(fields)


def _columns(events: np.ndarray, product: Product, start: int) -> Iterator[np.ndarray]:
    """Event ids, place and values of the rows of a run of events, in the order of the schema."""
    read = product.read(start, start + len(events))
    if isinstance(read, Nested):
        lengths = np.diff(read.item_offsets)
        items = np.diff(read.event_offsets)
        rows = read.item_offsets[read.event_offsets[1:]] - read.item_offsets[read.event_offsets[:-1]]
        place = [np.repeat(_running(items), lengths), _running(lengths)]
    else:
        rows = read.counts
        place = [_running(rows)]
        if product.schema.filtered:
            index = [product.index(start + k) for k in range(len(events))]
            place = [np.concatenate(index) if index else np.empty(0, np.int32)]
    for column in _EVENT_COLUMNS:
        yield np.repeat(events[column.name], rows)
    yield from place
    values = read.values
    if values.dtype.names is not None:
        for name in values.dtype.names:
            yield np.ascontiguousarray(values[name])
    else:
        flat = values[:, None] if values.ndim == 1 else values
        for k in range(flat.shape[1]):
            yield np.ascontiguousarray(flat[:, k])


def _running(counts: np.ndarray) -> np.ndarray:
    """0, 1, … within each of `counts`, end to end."""
    starts = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(starts, counts)


def _text(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    about = {key.decode(): value.decode() for key, value in metadata.items()}
    return about | ({"codes": json.loads(about["codes"])} if "codes" in about else {})
