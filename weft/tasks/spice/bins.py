"""Voxels sorted into the cells of a grid over the embedding, so that a seed looks only at those near it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.compiled import kernel

_MOST = 64
"""cells along an axis"""


class Bins(NamedTuple):
    """Cells [k, k, k]; the last axis is contiguous."""

    k: int
    low: np.ndarray
    """float64 [3]: the corner of the first cell"""
    scale: np.ndarray
    """float64 [3]: cells per unit"""
    starts: np.ndarray
    """int64 [k³+1]: where the rows of each cell begin"""
    rows: np.ndarray
    """int64 [n], cell after cell"""


def bins(position: np.ndarray) -> Bins:
    """As many cells as there are rows, about, over the box that they fill. position: float64 [n, 3], n > 0."""
    k = min(_MOST, int(np.ceil(len(position) ** (1 / 3))))
    finite = np.nan_to_num(position, nan=0.0, posinf=0.0, neginf=0.0)  # what has no place claims nothing anywhere
    low = finite.min(0)
    extent = finite.max(0) - low
    scale = np.where(extent > 0, k / np.where(extent > 0, extent, 1), 0.0)
    x, y, z = np.minimum(((finite - low) * scale).astype(np.int64), k - 1).T
    cell = (x * k + y) * k + z
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=k**3))])
    return Bins(k, low, scale, starts, np.argsort(cell, kind="stable"))


@kernel
def along(centre: float, reach: float, bins: Bins, axis: int) -> tuple[int, int]:
    """The first cell of an axis that can hold what is within `reach` of `centre`, and the one after the last."""
    first = (centre - reach - bins.low[axis]) * bins.scale[axis]
    last = (centre + reach - bins.low[axis]) * bins.scale[axis]
    begin = 0 if not first > 0 else int(first) if first < bins.k - 1 else bins.k - 1
    return begin, max(begin, int(last) + 1 if last < bins.k - 1 else bins.k)
