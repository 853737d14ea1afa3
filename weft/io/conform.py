"""Products of an event as a store holds them: what a writer writes and a reader gives back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.dense import DenseBlocks
from weft.io.products import Filtered, Ragged, Schema, cast


def conform(schema: Schema, value: Any, where: str) -> Any:
    """`value` in the form and types of its schema: an array where table or dense, `Ragged` where list, `Filtered`
    where filtered.

    Raises WeftError where it does not fit; `where` names file and event in it.
    """
    if schema.kind == "dense":
        return schema.conform_dense(value, where)
    if schema.kind == "list":
        if not isinstance(value, Ragged):
            raise WeftError(f"{where}: {schema.name} is a {type(value).__name__}, expected a Ragged")
        values = schema.conform(value.values, where) if len(value.values) else schema.empty()
        offsets = np.asarray(value.offsets, np.int64)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 0).any():
            raise WeftError(f"{where}: offsets of {schema.name} do not run from 0 to its {len(values)} rows")
        return Ragged(values, offsets)
    if schema.filtered:
        if not isinstance(value, Filtered):
            raise WeftError(f"{where}: {schema.name} is a {type(value).__name__}, expected Filtered(values, index)")
        values = schema.conform(value.values, where)
        index = cast(np.asarray(value.index), np.dtype(np.int32), f"{where}: the index of {schema.name}")
        if index.shape != (len(values),) or (np.diff(index) <= 0).any() or (len(index) and index[0] < 0):
            raise WeftError(f"{where}: the index of {schema.name} is not one increasing row number per row")
        return Filtered(values, index)
    return schema.conform(value, where)


def conform_all(
    schemas: Iterable[Schema], products: Mapping[str, Any], where: str, *, whole: bool = False
) -> dict[str, Any]:
    """All products of an event, each in the form of its schema; a missing or unknown one is an error.

    whole: put dense products that come in slabs together, for what is kept in memory.
    """
    known = {schema.name: schema for schema in schemas}
    if products.keys() != known.keys():
        missing, unknown = known.keys() - products.keys(), products.keys() - known.keys()
        raise WeftError(f"{where}: products missing {sorted(missing)}, not declared {sorted(unknown)}")
    made = {name: conform(schema, products[name], where) for name, schema in known.items()}
    if whole:
        made = {name: np.asarray(value) if isinstance(value, DenseBlocks) else value for name, value in made.items()}
    return made
