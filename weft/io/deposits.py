"""Where charge truly arrived at the wire planes: a product, and the tree of our ROOT files that it is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.products import CLASSES, Schema, structured
from weft.io.root_tree import Tree

Encode = Callable[[str, str, Sequence[str]], np.ndarray]

_dtype, _columns = structured(
    ("tpc", "i1", "", "drift volume"),
    ("row", "i4", "", "row of the images; −1 where the readout was not open"),
    *((f"wire_{plane}", "i4", "", f"nearest wire in plane {plane}; −1 where it has none there") for plane in range(3)),
    ("particle", "i4", "", "row of `particles`"),
    ("class", "i1", "", "semantic class of the particle"),
    ("electrons", "f4", "", "electrons that reach these wires in this row"),
    ("energy", "f4", "MeV", "energy of the deposits that lie here themselves; 0 where electrons only diffused to"),
    *((axis, "f4", "cm", f"{axis} of these electrons as they arrive, in the detector's coordinates") for axis in "xyz"),
)
WIRE_DEPOSITS = Schema(
    "wire_deposits", "table", _dtype, _columns, codes={"class": CLASSES},
    description="what each particle left where a row and three wires meet; unique in these columns, sorted by them",
)  # fmt: skip

#: Columns that say where a row and three wires meet.
CELL = ("tpc", "row", "wire_0", "wire_1", "wire_2")


def arrived(deposits: np.ndarray) -> np.ndarray:
    """Those rows of `WIRE_DEPOSITS` of which electrons arrived where the readout and all three planes see them."""
    seen = deposits["electrons"] > 0
    for name in CELL:
        seen &= deposits[name] >= 0
    return deposits if seen.all() else deposits[seen]


class DepositTree:
    """``wire_deposits``: a branch per column."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.name, self.where = name, tree.where
        self.columns = {field: tree.column(f"deposit_v.{field}") for field in WIRE_DEPOSITS.dtype.names or ()}
        self.schemas = [dataclasses.replace(WIRE_DEPOSITS, name=name)]

    def load(self, start: int, stop: int, encode: Encode) -> None:
        self._start = start
        self._columns = {field: column.jagged(start, stop) for field, column in self.columns.items()}

    def products(self, k: int) -> dict[str, Any]:
        number = {field: len(column[k]) for field, column in self._columns.items()}
        if len(set(number.values())) > 1:
            raise WeftError(f"{self.where}: entry {self._start + k}: members have different numbers of rows: {number}")
        rows = np.empty(number["row"], WIRE_DEPOSITS.dtype)
        for field, column in self._columns.items():
            rows[field] = column[k]
        return {self.name: rows}
