"""A random view of a whole event: voxels and all positions mirrored, with permuted axes, moved by whole voxels.

What is derived from the products afterwards, labels included, is that of an event that could have happened so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.io.products import Ragged
from weft.reco.views import orientation
from weft.tasks.joint.options import DataOptions

_AXES = "xyz"
_FIRST_COLUMN = re.compile(r"(?:.*_)?(?P<momentum>p?)x")  # x, <point>_x: positions; px, <...>_px: momenta
_VECTOR_COLUMNS: Mapping[str, slice] = {"point_proposals": slice(0, 3)}
_POSITION_COLUMNS = re.compile(r"_vertex$")  # of GrapPA: a score, then the position in cm


@dataclass(frozen=True)
class Turn:
    """One way to turn an event with ``meta``; axis k of the view is axis ``order[k]`` of the event.

    low, size: float64 [3], cm; count: int64 [3], voxels; mirrored: bool [3]; all along the axes of the event.
    shift: int64 [3], voxels, along the axes of the view. charge: factor.
    """

    low: np.ndarray
    size: np.ndarray
    count: np.ndarray
    order: np.ndarray
    mirrored: np.ndarray
    shift: np.ndarray
    charge: float

    @classmethod
    def draw(cls, meta: np.ndarray, data: DataOptions, rng: np.random.Generator) -> Turn:
        """meta: the product, one row."""
        low, size, count = (np.array([meta[f"{what}{a}"][0] for a in _AXES]) for what in ("min_", "size_", "n"))
        order, mirrored = orientation(3, data.flip, data.rotate, rng)
        shift = rng.integers(0, data.shift, 3, endpoint=True) if data.shift else np.zeros(3, np.int64)
        charge = float(np.exp(data.charge_jitter * rng.standard_normal())) if data.charge_jitter else 1.0
        return cls(low.astype(np.float64), size.astype(np.float64), count.astype(np.int64), order, mirrored, shift,
                   charge)  # fmt: skip

    def product(self, name: str, value: Any) -> Any:
        """A product of the event, by its name without an alias, as it is in the view."""
        if isinstance(value, Ragged):
            return Ragged(self.product(name, value.values), value.offsets)
        if name == "voxels":
            turned = np.where(self.mirrored, self.count - 1 - value, value)[:, self.order] + self.shift
            return np.ascontiguousarray(turned, value.dtype)
        if name == "meta":
            return self._meta(value)
        if name == "charge":
            return value * np.float32(self.charge)
        if value.dtype.names:
            return self._structured(value)
        if name in _VECTOR_COLUMNS:
            return self._columns(value, _VECTOR_COLUMNS[name], self._vector)
        if _POSITION_COLUMNS.search(name):
            return self._columns(value, slice(1, 4), self._position)
        return value

    def _position(self, cm: np.ndarray) -> np.ndarray:
        """[n, 3] cm. The box of the view grows downwards by the shift, so that this leaves positions where they are."""
        high = self.low + self.size * self.count
        return np.where(self.mirrored, self.low + high - cm, cm)[:, self.order]

    def _vector(self, values: np.ndarray) -> np.ndarray:
        return np.where(self.mirrored, -values, values)[:, self.order]

    def _meta(self, meta: np.ndarray) -> np.ndarray:
        turned = meta.copy()
        size = self.size[self.order]
        low = self.low[self.order] - self.shift * size
        count = self.count[self.order] + self.shift
        for k, axis in enumerate(_AXES):
            turned[f"min_{axis}"], turned[f"size_{axis}"], turned[f"n{axis}"] = low[k], size[k], count[k]
        return turned

    def _structured(self, table: np.ndarray) -> np.ndarray:
        turned = table.copy()
        for name in table.dtype.names or ():
            first = _FIRST_COLUMN.fullmatch(name)
            if first is None:
                continue
            columns = [name[:-1] + axis for axis in _AXES]
            values = np.stack([table[column] for column in columns], axis=1).astype(np.float64)
            changed = self._vector(values) if first["momentum"] else self._position(values)
            for column, result in zip(columns, changed.T, strict=True):
                turned[column] = result
        return turned

    def _columns(self, table: np.ndarray, which: slice, change: Any) -> np.ndarray:
        turned = table.copy()
        turned[:, which] = change(table[:, which])
        return turned
