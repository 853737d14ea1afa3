"""Non-maximum suppression of weighted points in space: the maxima that are farther apart than a radius."""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel

#: Cells along one axis, at most: their numbers then fit into 64 bits.
_MOST_CELLS = 1 << 20


def suppress(
    position: np.ndarray, weight: np.ndarray, radius: float, min_support: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Greedy maxima: the heaviest point, then the heaviest of those farther than `radius` from it, and so on.

    A point that has fewer than `min_support` points within the radius, itself included, is no maximum and keeps no
    other from being one. Points of equal weight go by their x, y, z, so the order in which they are given does not
    matter. The time is that of sorting them, the memory about 100 bytes a point.

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
    key = (cell[:, 0] * stride[1] + cell[:, 1]) * stride[2] + cell[:, 2]
    by_cell = np.argsort(key, kind="stable")
    place = position[by_cell]
    order = np.lexsort((place[:, 2], place[:, 1], place[:, 0], -weight[by_cell]))
    rows, support = _suppress(place, key[by_cell], order, stride, radius * radius, min_support)
    return by_cell[rows], support


@kernel
def _suppress(position, key, order, stride, reach, min_support):
    """Rows of maxima, and their support; points are sorted by the key of their cell, `order` is that of the weights."""
    n = len(position)
    gone = np.zeros(n, np.bool_)
    rows = np.empty(n, np.int64)
    support = np.empty(n, np.int64)
    first = np.empty(9, np.int64)
    last = np.empty(9, np.int64)
    near = np.empty(n, np.int64)
    m = 0
    for i in order:
        if gone[i]:
            continue
        for k in range(9):
            # Cells that differ in the last number alone lie side by side.
            middle = key[i] + ((k // 3 - 1) * stride[1] + k % 3 - 1) * stride[2]
            first[k] = np.searchsorted(key, middle - 1)
            last[k] = np.searchsorted(key, middle + 1, side="right")
        count = 0
        for k in range(9):
            for j in range(first[k], last[k]):
                d = 0.0
                for axis in range(3):
                    d += (position[j, axis] - position[i, axis]) ** 2
                if d <= reach:
                    near[count] = j
                    count += 1
        if count < min_support:
            continue
        for k in range(count):
            gone[near[k]] = True
        rows[m] = i
        support[m] = count
        m += 1
    return rows[:m].copy(), support[:m].copy()
