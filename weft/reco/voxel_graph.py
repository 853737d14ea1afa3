"""Graphs on voxels: which are near each other.

Coordinates are integers, so the neighbours within a radius are a fixed set of displacements. Voxels are sorted by one
integer key; displaced by any amount they are still in order, so one walk along the keys finds all neighbours of one
displacement: the work is (number of displacements) × N.
"""

from __future__ import annotations

from itertools import product
from math import floor

import numpy as np
from scipy.spatial import cKDTree

from weft.compiled import kernel
from weft.errors import WeftError

_MOST_KEYS = 2**62


def radius_edges(coords: np.ndarray, radius: float, groups: np.ndarray | None = None) -> np.ndarray:
    """int32 [E, 2]: pairs i < j of voxels at most `radius` apart, each once, sorted.

    coords: int [N, 3], unique within a group. groups: integer [N]: only voxels of the same group are joined, and those
    of a negative one with none. With 1.9 these are the 26 voxels that touch one.
    """
    if not radius > 0:
        raise WeftError(f"a graph of voxels within {radius}: expected a radius above 0")
    group = np.zeros(len(coords), np.int64) if groups is None else np.asarray(groups, np.int64).reshape(-1)
    rows = np.flatnonzero(group >= 0)
    if len(rows) < 2:
        return np.empty((0, 2), np.int32)
    cells = np.column_stack([group[rows], np.asarray(coords, np.int64)[rows]])
    reach = floor(radius)
    steps = [s for s in product(range(-reach, reach + 1), repeat=3) if s > (0, 0, 0) and _square(s) <= radius**2]
    margin = np.array([0, reach, reach, reach])
    low = cells.min(0) - margin
    width = cells.max(0) + margin + 1 - low
    if not np.prod(width.astype(np.float64)) < _MOST_KEYS:
        raise WeftError(f"voxels over {width[1:].tolist()} cells are too far apart for one graph")
    radix = np.array([width[1] * width[2] * width[3], width[2] * width[3], width[3], 1])
    key = (cells - low) @ radix
    order = np.argsort(key, kind="stable")
    key = key[order]
    if (key[1:] == key[:-1]).any():
        raise WeftError("a graph of voxels where some occur twice: expected each once")
    return _joined(key, rows[order], np.array(steps, np.int64).reshape(-1, 3) @ radix[1:], len(coords))


def knn_edges(coords: np.ndarray, k: int, groups: np.ndarray | None = None) -> np.ndarray:
    """int32 [E, 2]: pairs i < j of which one is among the `k` nearest of the other, each once, sorted.

    coords: int [N, 3]. groups: as in :func:`radius_edges`. Of equally near voxels those that come first are taken.
    """
    if k < 1:
        raise WeftError(f"a graph of the {k} nearest voxels: expected at least 1")
    group = np.zeros(len(coords), np.int64) if groups is None else np.asarray(groups, np.int64).reshape(-1)
    pairs = [np.empty((0, 2), np.int64)]
    for g in np.unique(group[group >= 0]):
        rows = np.flatnonzero(group == g)
        if len(rows) > 1:
            pairs.append(rows[_nearest(np.asarray(coords)[rows], min(k, len(rows) - 1))])
    return _sorted(np.concatenate(pairs))


def _nearest(coords: np.ndarray, k: int) -> np.ndarray:
    """[n·k, 2]: each voxel with its k nearest; n > k. Asks for more until a tie at the end cannot cut any off."""
    n, many = len(coords), k + 2
    tree = cKDTree(coords)
    while True:
        many = min(many, n)
        distance, index = tree.query(coords, k=many)
        if many == n or (distance[:, -1] > distance[:, k] + 1e-9).all():
            break
        many *= 2
    itself = index == np.arange(n)[:, None]
    order = np.lexsort((index, np.where(itself, -1.0, np.round(distance, 9))), axis=1)[:, 1 : k + 1]
    return np.column_stack([np.repeat(np.arange(n), k), np.take_along_axis(index, order, 1).ravel()])


def _square(step: tuple[int, ...]) -> int:
    return sum(s * s for s in step)


def _sorted(pairs: np.ndarray) -> np.ndarray:
    """Each pair once, the lower row first, in order."""
    n = int(pairs.max(initial=0)) + 1
    keys = np.unique(pairs.min(1, initial=n) * n + pairs.max(1, initial=-1)) if len(pairs) else np.empty(0, np.int64)
    return np.column_stack([keys // n, keys % n]).astype(np.int32)


@kernel
def _joined(key: np.ndarray, row: np.ndarray, steps: np.ndarray, n: int) -> np.ndarray:
    """int32 [E, 2]: pairs of rows whose keys, which increase, differ by one of the steps; the lower row first, sorted.

    Each pair is found once. They are sorted by counting, since a row has few: sorting all of them by comparison, or
    finding unique ones by a hash, took nine tenths of the time and grew faster than linearly.
    """
    most = len(key) * len(steps)
    low, high = np.empty(most, np.int32), np.empty(most, np.int32)
    starts = np.zeros(n + 1, np.int64)
    found = 0
    for s in range(len(steps)):
        j = 0
        for i in range(len(key)):
            wanted = key[i] + steps[s]
            while j < len(key) and key[j] < wanted:
                j += 1
            if j < len(key) and key[j] == wanted:
                low[found], high[found] = min(row[i], row[j]), max(row[i], row[j])
                starts[low[found] + 1] += 1
                found += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    pairs = np.empty((found, 2), np.int32)
    free = starts.copy()
    for e in range(found):
        first, other = starts[low[e]], high[e]
        place = free[low[e]]
        free[low[e]] += 1
        while place > first and pairs[place - 1, 1] > other:
            pairs[place, 1] = pairs[place - 1, 1]
            place -= 1
        pairs[place, 1] = other
    for i in range(n):
        for e in range(starts[i], starts[i + 1]):
            pairs[e, 0] = i
    return pairs
