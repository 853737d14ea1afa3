"""Tables of an event side by side in one tree of a ROOT file: one entry per event, plain and jagged columns.

What an analysis reads with one line: `uproot.open(path)["larmatch"].arrays()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from weft.errors import WeftError
from weft.io.products import Ragged, Schema
from weft.io.store import EventStore

if TYPE_CHECKING:
    from weft.io.root_write import RootWriter


def require_flat(tree: str, schemas: Sequence[Schema], where: str) -> None:
    """Raise WeftError unless every product is a table, so that each of its columns is one of the tree.

    where: begins the message, such as the file that was to be written.
    """
    for schema in schemas:
        if schema.kind != "table":
            raise WeftError(
                f"{where}: the tree '{tree}' holds tables, a column each for their columns; {schema.name} is "
                f"{'a list' if schema.kind == 'list' else 'dense'}"
            )


def write_flat(
    writer: RootWriter, store: EventStore, tree: str, schemas: Mapping[str, Schema], start: int, stop: int
) -> None:
    """Append events `start` to `stop` of a store to a tree.

    Its branches are `run`, `subrun`, `event` and `uid`; for each table its number of rows, `n<table>`, and each column,
    `<table>_<column>`; for filtered rows `<table>_index` too, their row numbers in the table that they are of.

    schemas: by the product's name in the store.
    """
    events = store.events[start:stop]
    flat = {name: np.ascontiguousarray(events[name]) for name in ("run", "subrun", "event", "uid")}
    jagged = {}
    for name, schema in schemas.items():
        rows = store.read(name, start, stop)
        assert isinstance(rows, Ragged)
        members = {f"_{column}": values for column, values in columns_of(rows.values, schema).items()}
        if schema.filtered:
            members["_index"] = parent_rows(store, name, start, stop)
        jagged[schema.name.replace(".", "_")] = (rows.counts, members)
    writer.extend(tree, flat, jagged)


def columns_of(values: np.ndarray, schema: Schema) -> dict[str, np.ndarray]:
    """Columns (n,) of the rows of a table, by name."""
    if schema.dtype.names is not None:
        return {name: values[name] for name in schema.dtype.names}
    rows = values.reshape(len(values), len(schema.columns))
    return {column.name: rows[:, k] for k, column in enumerate(schema.columns)}


def parent_rows(store: EventStore, name: str, start: int, stop: int) -> np.ndarray:
    """int32 (n,): the row numbers in their parent of the rows of a filtered table, events `start` to `stop`."""
    product = store[name]
    return np.concatenate([np.empty(0, np.int32), *(product.index(i) for i in range(start, stop))])
