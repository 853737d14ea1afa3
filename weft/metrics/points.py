"""How well predicted points stand where true ones are: distances, shares within a distance, confusion of classes.

Distances are in the unit of the positions given; the marks of the literature are in voxels (arXiv:2006.14745).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: Distances, voxels, at which shares of found points are quoted.
MARKS = (3.0, 10.0)
#: Edges of the bins of distance, voxels: bin k holds edges[k] < distance ≤ edges[k + 1], the first one 0 too.
EDGES = np.concatenate(
    [
        np.arange(10) / 20,
        np.arange(5, 10) / 10,
        [1, 1.25, 1.5, 1.75, 2, 2.5],
        np.arange(3.0, 10.0),
        [10, 12, 15, 20, np.inf],
    ]
)
N_BINS = len(EDGES) - 1


class Nearest(NamedTuple):
    """The nearest of other points to each point."""

    distance: NDArray[np.float64]
    """[n]; infinite where there is none"""
    row: NDArray[np.int64]
    """[n]; −1 where there is none"""


def nearest(
    points: np.ndarray,
    others: np.ndarray,
    classes: np.ndarray | None = None,
    other_classes: np.ndarray | None = None,
) -> Nearest:
    """The nearest of ``others`` [m, 3] to each of ``points`` [n, 3]; of the same class where ``classes`` [n] and
    ``other_classes`` [m] are given. Of others in one place the first."""
    found = Nearest(np.full(len(points), np.inf), np.full(len(points), -1, np.int64))
    if classes is None or other_classes is None:
        classes, other_classes = np.zeros(len(points), np.int8), np.zeros(len(others), np.int8)
    for label in np.intersect1d(classes, other_classes):
        rows, candidates = np.flatnonzero(classes == label), np.flatnonzero(other_classes == label)
        # Several particles start at one vertex: of points in one place the first is taken, not any.
        places, first = np.unique(others[candidates], axis=0, return_index=True)
        distance, place = cKDTree(places).query(points[rows])
        found.distance[rows], found.row[rows] = distance, candidates[first[place]]
    return found


def matched(
    points: np.ndarray, others: np.ndarray, classes: np.ndarray, other_classes: np.ndarray, limit: float
) -> tuple[Nearest, Nearest]:
    """Pairs of ``points`` [n, 3] and ``others`` [m, 3] of one class, each in one pair at most: again and again the two
    that are nearest to each other of those that are left, up to the limit. Of equal distances lower rows go first.

    What is paired within a smaller distance is what a smaller limit would pair.

    Returns the partners of the points and those of the others; without one the distance is infinite.
    """
    first = Nearest(np.full(len(points), np.inf), np.full(len(points), -1, np.int64))
    second = Nearest(np.full(len(others), np.inf), np.full(len(others), -1, np.int64))
    for label in np.intersect1d(classes, other_classes):
        mine, theirs = np.flatnonzero(classes == label), np.flatnonzero(other_classes == label)
        trees = cKDTree(points[mine]), cKDTree(others[theirs])
        pairs = trees[0].sparse_distance_matrix(trees[1], limit, output_type="ndarray")
        order = np.lexsort((pairs["j"], pairs["i"], pairs["v"]))
        for i, j, distance in zip(mine[pairs["i"][order]], theirs[pairs["j"][order]], pairs["v"][order], strict=True):
            if first.row[i] < 0 and second.row[j] < 0:
                first.row[i], second.row[j] = j, i
                first.distance[i] = second.distance[j] = distance
    return first, second


def distinct(points: np.ndarray, classes: np.ndarray, apart: float) -> NDArray[np.int64]:
    """Rows of the points [n, 3], increasing, that are left if each that lies at most ``apart`` from an earlier one of
    its class that is left is left out."""
    left = np.ones(len(points), bool)
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        pairs = cKDTree(points[rows]).query_pairs(apart, output_type="ndarray")
        for i, j in rows[pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]]:
            left[j] &= not left[i]
    return np.flatnonzero(left)


def distance_bins(distance: np.ndarray) -> NDArray[np.int64]:
    """The bin of :data:`EDGES` that each distance falls into; infinite ones into the last."""
    return np.clip(np.searchsorted(EDGES, distance, side="left") - 1, 0, N_BINS - 1).astype(np.int64)


def share_within(histogram: np.ndarray) -> NDArray[np.float64]:
    """[..., bins] → [..., bins − 1]: share of the points within each upper edge but the infinite one; NaN for none."""
    histogram = np.asarray(histogram, np.float64)
    total = histogram.sum(axis=-1, keepdims=True)
    within = histogram[..., :-1].cumsum(axis=-1)
    return np.divide(within, total, out=np.full(within.shape, np.nan), where=total > 0)


def median_within(histogram: np.ndarray, limit: float = MARKS[0]) -> NDArray[np.float64]:
    """[..., bins] → [...]: median distance of the points that lie within ``limit``, an edge; linear within a bin.

    NaN where there are none.
    """
    histogram = np.asarray(histogram, np.float64)
    last = int(np.flatnonzero(limit == EDGES)[0])
    cumulated = histogram[..., :last].cumsum(axis=-1)
    half = cumulated[..., -1:] / 2
    k = np.minimum((cumulated < half).sum(axis=-1, keepdims=True), last - 1)
    inside = np.take_along_axis(histogram[..., :last], k, axis=-1)
    below = np.take_along_axis(cumulated, k, axis=-1) - inside
    part = np.divide(half - below, inside, out=np.full(inside.shape, np.nan), where=inside > 0)
    return (EDGES[k] + part * (EDGES[k + 1] - EDGES[k]))[..., 0]


def harmonic_mean(first: np.ndarray, second: np.ndarray) -> NDArray[np.float64]:
    """F1 of efficiency and purity; 0 where both are 0, NaN where either is not defined."""
    total = np.asarray(first + second, np.float64)
    return np.where(total == 0, 0.0, np.divide(2 * first * second, total, out=np.full(total.shape, np.nan),
                                               where=total > 0))  # fmt: skip


def copies(to_true: Nearest, to_predicted: Nearest, limit: float = MARKS[0]) -> NDArray[np.bool_]:
    """bool [n predicted]: within ``limit`` of a true point that another predicted point is nearer to.

    to_true: of the predicted points; to_predicted: of the true ones.
    """
    copied = np.zeros(len(to_true.row), bool)
    near = np.flatnonzero((to_true.row >= 0) & (to_true.distance <= limit))
    claimed = to_predicted.row[to_true.row[near]]
    copied[near] = claimed != near
    return copied
