"""k-d trees of many clusters in flat arrays, for searches that may skip most pairs of voxels.

A tree halves its voxels at the median of its longest side until few are left. Each tree node knows the box of its
voxels and the lowest position among them: with the first, a search skips pairs of tree nodes that are too far (or too
near); with the second, it decides between pairs of equal distance as a search through all of them would.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError
from weft.io.products import Ragged

#: Voxels of a leaf, at most.
LEAF = 12


class Trees(NamedTuple):
    """A tree for each cluster; voxels are known by their position in the cluster."""

    points: np.ndarray
    """float64 (M, 3), voxels of all clusters, those of a leaf side by side"""
    position: np.ndarray
    """int64 (M,), position of each in its cluster"""
    root: np.ndarray
    """int64 (n,), tree node with all voxels of a cluster; −1 for an empty cluster"""
    first: np.ndarray
    """int64 (T,), first row of `points` of a tree node"""
    last: np.ndarray
    """int64 (T,), one past the last row"""
    child: np.ndarray
    """int64 (T,), the first of the two halves, which are neighbours; −1 for a leaf"""
    low: np.ndarray
    """float64 (T, 3), corner of the box of the voxels"""
    high: np.ndarray
    """float64 (T, 3), opposite corner"""
    lowest: np.ndarray
    """int64 (T,), lowest position among the voxels"""


def cluster_points(coords: np.ndarray, nodes: Ragged) -> np.ndarray:
    """float64 (M, 3): coordinates of the voxels of all clusters, one cluster after the other.

    Raises:
        WeftError: `coords` is not (N, 3), or a cluster names a row that it has not.
    """
    coords, rows = np.asarray(coords), np.asarray(nodes.values)
    if coords.ndim != 2 or coords.shape[1] != 3:
        raise WeftError(f"coordinates of shape {coords.shape}, expected (N, 3)")
    rows = rows.reshape(len(rows)).astype(np.int64, copy=False)
    if len(rows) and (rows.min() < 0 or rows.max() >= len(coords)):
        raise WeftError(f"clusters with voxel rows {rows.min()} to {rows.max()}, expected 0 to {len(coords) - 1}")
    return np.ascontiguousarray(coords[rows], np.float64)


def grow_trees(coords: np.ndarray, nodes: Ragged) -> Trees:
    """Trees of all clusters. coords: (N, 3); nodes: rows of it."""
    offsets = np.asarray(nodes.offsets, np.int64)
    points, position, *trees = _grow(cluster_points(coords, nodes), offsets)
    return Trees(points, position, *trees)


@kernel
def _partition(points: np.ndarray, position: np.ndarray, start: int, stop: int, middle: int, axis: int) -> None:
    """Move rows of [start, stop) so that none before `middle` has a larger coordinate than any after (Hoare)."""
    left, right = start, stop - 1
    while left < right:
        pivot = points[(left + right) // 2, axis]
        i, j = left, right
        while i <= j:
            while points[i, axis] < pivot:
                i += 1
            while points[j, axis] > pivot:
                j -= 1
            if i <= j:
                for a in range(3):
                    points[i, a], points[j, a] = points[j, a], points[i, a]
                position[i], position[j] = position[j], position[i]
                i += 1
                j -= 1
        if middle <= j:
            right = j
        elif middle >= i:
            left = i
        else:
            return


@kernel
def _grow(
    points: np.ndarray, offsets: np.ndarray
) -> tuple[
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
]:
    n = len(offsets) - 1
    position = np.empty(len(points), np.int64)
    root = np.full(n, -1, np.int64)
    room = 0  # a leaf has more than half of LEAF voxels, unless it is all there is
    for k in range(n):
        room += 2 * ((offsets[k + 1] - offsets[k]) // (LEAF // 2) + 1)
    first, last = np.empty(room, np.int64), np.empty(room, np.int64)
    child, lowest = np.empty(room, np.int64), np.empty(room, np.int64)
    low, high = np.empty((room, 3)), np.empty((room, 3))
    t = 0
    for k in range(n):
        start, stop = offsets[k], offsets[k + 1]
        if start == stop:
            continue
        for i in range(start, stop):
            position[i] = i - start
        root[k] = done = t
        first[t], last[t] = start, stop
        t += 1
        while done < t:  # breadth first: children are made before they are looked at
            start, stop = first[done], last[done]
            lowest[done] = position[start]
            for a in range(3):
                low[done, a] = high[done, a] = points[start, a]
            for i in range(start + 1, stop):
                lowest[done] = min(lowest[done], position[i])
                for a in range(3):
                    low[done, a] = min(low[done, a], points[i, a])
                    high[done, a] = max(high[done, a], points[i, a])
            child[done] = -1
            if stop - start > LEAF:
                axis = 0
                for a in range(1, 3):
                    if high[done, a] - low[done, a] > high[done, axis] - low[done, axis]:
                        axis = a
                middle = (start + stop) // 2
                _partition(points, position, start, stop, middle, axis)
                child[done] = t
                first[t], last[t] = start, middle
                first[t + 1], last[t + 1] = middle, stop
                t += 2
            done += 1
    return points, position, root, first[:t], last[:t], child[:t], low[:t], high[:t], lowest[:t]
