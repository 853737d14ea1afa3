"""Non-maximum suppression of weighted points in space: those that have no heavier one within a radius."""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel

#: Cells along one axis, at most: their numbers then fit into 64 bits.
_MOST_CELLS = 1 << 20


def suppress(
    position: np.ndarray, weight: np.ndarray, radius: float, min_support: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Points that are the heaviest within a radius of themselves.

    A point that has fewer than `min_support` points within the radius, itself included, is no maximum and keeps no
    other from being one. Points of equal weight go by their x, y, z, so the order in which they are given does not
    matter. Other than in the greedy form, which takes the heaviest point that is left again and again, points that were
    put aside themselves put others aside: the far slope of a hill that is wider than the radius is no hill of its own.
    The time is about that of sorting the points, the memory about 150 bytes a point.

    Args:
        position: (n, 3), any unit. weight: (n,). radius: in that unit; a point on the rim is within.

    Returns:
        int64 (m,), rows of the maxima, heaviest first; int64 (m,), points within the radius of each.

    Raises:
        ValueError: positions or weights that are not finite.
    """
    position = np.ascontiguousarray(position, np.float64).reshape(-1, 3)
    weight = np.asarray(weight, np.float64)
    if not (np.isfinite(position).all() and np.isfinite(weight).all()):
        raise ValueError("positions and weights must be finite")
    if not len(position):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low = position.min(axis=0)
    # A little more than the radius, so that rounding cannot put a point on the rim two cells away.
    size = max(radius * (1 + 1e-9), float((position.max(axis=0) - low).max()) / _MOST_CELLS)
    cell = np.floor((position - low) / size).astype(np.int64) + 1
    stride = cell.max(axis=0) + 2
    by_weight = np.lexsort((position[:, 2], position[:, 1], position[:, 0], -weight))
    key = ((cell[:, 0] * stride[1] + cell[:, 1]) * stride[2] + cell[:, 2])[by_weight]
    # Sorted by cell, the heaviest first in each: what puts a point aside is found soon.
    by_cell = np.argsort(key, kind="stable")
    sorted_rows = by_weight[by_cell]
    rows, support = _suppress(position[sorted_rows], key[by_cell], by_cell, stride, radius * radius, min_support)
    heaviest_first = np.argsort(by_cell[rows])
    return sorted_rows[rows[heaviest_first]], support[heaviest_first]


@kernel
def _suppress(position, key, rank, stride, reach, min_support):
    """Rows of maxima and their support; points are sorted by the key of their cell, the heaviest of all has rank 0."""
    n = len(position)
    lone = np.zeros(n, np.bool_)
    rows = np.empty(n, np.int64)
    support = np.empty(n, np.int64)
    first = np.empty(9, np.int64)
    last = np.empty(9, np.int64)
    m = 0
    for judging in range(2):  # first who is alone, then who is a maximum among the others
        start = 0
        while start < n:
            stop = np.searchsorted(key, key[start], side="right")
            for k in range(9):
                # Cells that differ in the last number alone lie side by side.
                middle = key[start] + ((k // 3 - 1) * stride[1] + k % 3 - 1) * stride[2]
                first[k] = np.searchsorted(key, middle - 1)
                last[k] = np.searchsorted(key, middle + 1, side="right")
            for i in range(start, stop):
                if judging == 0:
                    lone[i] = _count(position, i, first, last, reach, min_support) < min_support
                elif not lone[i] and not _is_below(position, i, first, last, reach, rank, lone):
                    rows[m] = i
                    support[m] = _count(position, i, first, last, reach, n)
                    m += 1
            start = stop
    return rows[:m].copy(), support[:m].copy()


@kernel
def _count(position, i, first, last, reach, enough):
    """Points of some ranges within reach of point i, up to `enough`."""
    count = 0
    for k in range(len(first)):
        for j in range(first[k], last[k]):
            if _square(position, i, j) <= reach:
                count += 1
                if count == enough:
                    return count
    return count


@kernel
def _is_below(position, i, first, last, reach, rank, lone):
    """Whether a heavier point that is not alone is within reach of point i."""
    for k in range(len(first)):
        for j in range(first[k], last[k]):
            if rank[j] < rank[i] and not lone[j] and _square(position, i, j) <= reach:
                return True
    return False


@kernel
def _square(position, i, j):
    total = 0.0
    for axis in range(3):
        total += (position[i, axis] - position[j, axis]) ** 2
    return total
