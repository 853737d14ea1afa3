"""Density-based clustering of voxels (Ester et al., KDD 1996), and its split at points of interest (spec §1.6).

Coordinates are in voxels, or any unit that `eps` is in too. Points are sorted into cells of the size of `eps`, so only
those of adjacent cells are compared: the work grows with the number of points where their density is bounded, as that
of voxels is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError
from weft.reco.label_points import near_points
from weft.reco.nearest import nearest_rows
from weft.reco.nodes import numbered_by_first

Metric = Literal["euclidean", "chebyshev"]

_COUNT, _JOIN, _REACH = range(3)  # what is done with a pair of neighbours
_MOST_CELLS = 2**62


def dbscan(
    coords: np.ndarray,
    eps: float,
    min_samples: int = 1,
    metric: Metric = "euclidean",
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """int64 [N]: the cluster of each point, numbered in the order of their first core points; −1: noise.

    coords: [N, 3], integers or floats. Points at most `eps` apart are neighbours, and a core point has `min_samples`
    of them, itself included: with 1 all are, and clusters are connected components. A point that is no core but near
    several clusters joins the one of the lowest number, as in scikit-learn.
    groups: integer [N]: only points of the same group are neighbours; those of a negative one are noise.
    """
    coords = np.ascontiguousarray(coords, np.float64).reshape(-1, 3)
    if not eps > 0 or min_samples < 1:
        raise WeftError(f"DBSCAN with eps {eps} and min_samples {min_samples}: expected above 0 and at least 1")
    group = np.zeros(len(coords), np.int64) if groups is None else np.asarray(groups, np.int64).reshape(-1)
    if not len(coords):
        return np.empty(0, np.int64)
    key, row = _cells(coords, eps)
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    grid = (coords, group, order, np.append(starts, len(order)), key[order[starts]], row)
    reach = (eps * eps, False) if metric == "euclidean" else (eps, True)
    neighbours = np.ones(len(coords), np.int64)
    if min_samples > 1:
        _visit(_COUNT, *grid, *reach, neighbours, neighbours >= 0, neighbours)
    core = (neighbours >= min_samples) & (group >= 0)
    parent = np.arange(len(coords))
    _visit(_JOIN, *grid, *reach, parent, core, parent)
    labels = _number(parent, core)
    if min_samples > 1:
        reached = labels.copy()
        _visit(_REACH, *grid, *reach, reached, core, labels)
        labels = reached
    return labels


def break_clusters(
    coords: np.ndarray, labels: np.ndarray, eps: float = 1.1, metric: Metric = "chebyshev"
) -> np.ndarray:
    """int64 [N]: labels in which every connected piece of a cluster is one of its own, numbered from 0; −1 stays.

    coords: [N, 3] voxels. labels: integer [N]. With the defaults voxels touch that share a face, an edge or a corner.
    """
    return dbscan(coords, eps, metric=metric, groups=labels)


def masked_dbscan(
    coords: np.ndarray, points: np.ndarray, eps: float, min_samples: int = 1, mask_radius: float = 5.0
) -> np.ndarray:
    """int64 [N]: DBSCAN clusters, cut where particles meet, numbered from 0; −1: noise.

    Voxels [N, 3] within `mask_radius` (inclusive) of any of `points` [P, 3] are set aside, what is left of every
    component is clustered anew, and each voxel set aside joins the cluster of the nearest voxel that is left of its own
    component, of several the first. A component of which nothing is left stays whole.
    """
    coords = np.asarray(coords, np.float64).reshape(-1, 3)
    whole = dbscan(coords, eps, min_samples)
    aside = near_points(coords, np.asarray(points, np.float64).reshape(-1, 3), mask_radius)
    labels = dbscan(coords, eps, min_samples, groups=np.where(aside, -1, whole))
    left = np.flatnonzero(labels >= 0)
    remains = np.isin(whole, whole[left])
    follows = np.flatnonzero(aside & remains)
    labels[follows] = labels[nearest_rows(coords, left, follows, whole)]
    gone = (whole >= 0) & ~remains
    labels[gone] = whole[gone] + labels.max(initial=-1) + 1
    return numbered_by_first(labels)


def _cells(coords: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """int64 [N]: the number of each point's cell, and [2]: how far it is to the next one along x and along y.

    Cells are a little wider than eps, so that rounding never puts neighbours two cells apart; there is one empty cell
    around all, so that a step never leads to the other end of the next row.
    """
    index = np.floor((coords - coords.min(0)) / (eps * (1 + 1e-9)))
    width = index.max(0) + 3
    if not np.prod(width) < _MOST_CELLS:
        raise WeftError(f"DBSCAN with eps {eps} over {np.ptp(coords, axis=0).tolist()}: too many cells; is eps right?")
    cell, (_, y, z) = index.astype(np.int64) + 1, width.astype(np.int64)
    return (cell[:, 0] * y + cell[:, 1]) * z + cell[:, 2], np.array([y * z, z])


@kernel
def _visit(
    what: int,
    coords: np.ndarray,
    group: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    keys: np.ndarray,
    row: np.ndarray,
    reach: float,
    chebyshev: bool,
    result: np.ndarray,
    core: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Go through all pairs of neighbours once.

    order: points by cell; those of cell c are ``order[starts[c]:starts[c + 1]]``; keys: the number of each cell.
    Of the cells around one, those behind it are looked at: the next along z, and the three of each of four rows ahead.
    Rows ahead of cells in order are in order themselves, so a pointer into each moves on and never back.
    """
    ahead = np.array([0, row[1], row[0] - row[1], row[0], row[0] + row[1]])
    pointers = np.zeros(5, np.int64)
    for c in range(len(keys)):
        for i in range(starts[c], starts[c + 1]):
            for j in range(i + 1, starts[c + 1]):
                _meet(what, order[i], order[j], coords, group, reach, chebyshev, result, core, labels)
        for k in range(5):
            first = keys[c] + ahead[k] + (1 if k == 0 else -1)
            last = keys[c] + ahead[k] + 1
            other = pointers[k]
            while other < len(keys) and keys[other] < first:
                other += 1
            pointers[k] = other
            while other < len(keys) and keys[other] <= last:
                for i in range(starts[c], starts[c + 1]):
                    for j in range(starts[other], starts[other + 1]):
                        _meet(what, order[i], order[j], coords, group, reach, chebyshev, result, core, labels)
                other += 1


@kernel
def _meet(
    what: int,
    i: int,
    j: int,
    coords: np.ndarray,
    group: np.ndarray,
    reach: float,
    chebyshev: bool,
    result: np.ndarray,
    core: np.ndarray,
    labels: np.ndarray,
) -> None:
    if group[i] != group[j] or group[i] < 0:
        return
    x = abs(coords[i, 0] - coords[j, 0])
    y = abs(coords[i, 1] - coords[j, 1])
    z = abs(coords[i, 2] - coords[j, 2])
    if (max(x, y, z) if chebyshev else x * x + y * y + z * z) > reach:
        return
    if what == _COUNT:
        result[i] += 1
        result[j] += 1
    elif what == _JOIN:
        if core[i] and core[j]:
            _join(result, i, j)
    else:
        if core[i] and not core[j] and (result[j] < 0 or labels[i] < result[j]):
            result[j] = labels[i]
        if core[j] and not core[i] and (result[i] < 0 or labels[j] < result[i]):
            result[i] = labels[j]


@kernel
def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _join(parent: np.ndarray, i: int, j: int) -> None:
    """The lower index leads, so the root of a cluster is its first point."""
    i, j = _root(parent, i), _root(parent, j)
    if i < j:
        parent[j] = i
    elif j < i:
        parent[i] = j


@kernel
def _number(parent: np.ndarray, core: np.ndarray) -> np.ndarray:
    labels = np.full(len(parent), -1, np.int64)
    number = 0
    for i in range(len(parent)):
        if core[i]:
            root = _root(parent, i)
            if root == i:
                labels[i] = number
                number += 1
            else:
                labels[i] = labels[root]
    return labels
