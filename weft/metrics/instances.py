"""Objects found, missed and invented: matching of two instance volumes by IoU.

At a threshold t a predicted object matches a true one where their IoU is at least t, one with one; below 0.5 more than
one match may be possible, and the assignment with the most matches, and of these the largest IoU, is taken. Then
F1 = 2 TP / (2 TP + FP + FN), and average precision as cell segmentation uses the word, AP = TP / (TP + FP + FN)
(Stringer et al., Nat Methods 18 (2021) 100; Weigert et al., WACV 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from weft.errors import WeftError
from weft.metrics.shares import share

#: IoU from which two objects count as the same.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Overlap(NamedTuple):
    """Objects of two volumes and the pairs that share voxels; objects are rows, pairs name rows."""

    true: NDArray[np.int64]
    """[n] numbers of the true objects"""
    predicted: NDArray[np.int64]
    """[m] numbers of the predicted ones"""
    true_size: NDArray[np.int64]
    """[n] judged voxels"""
    predicted_size: NDArray[np.int64]
    pairs: NDArray[np.int64]
    """[p, 2] rows of a true and of a predicted object"""
    iou: NDArray[np.float64]
    """[p]"""


def overlap(truth: np.ndarray, predicted: np.ndarray, judged: np.ndarray | None = None) -> Overlap:
    """Compare instance volumes of one shape: 0 background, above 0 objects, -1 in the truth not known.

    judged: bool, which voxels count. Voxels that are not known are not judged either; an object with more than half of
    its voxels there is left out, on both sides. Raises WeftError for shapes that differ.
    """
    if truth.shape != predicted.shape:
        raise WeftError(f"the predicted instances have shape {predicted.shape}, the true ones {truth.shape}")
    known = truth >= 0 if judged is None else judged & (truth >= 0)
    true, true_row, true_size = _objects(truth, known)
    made, made_row, made_size = _objects(predicted, known)
    both = known & (truth > 0) & (predicted > 0)
    rows, columns = true_row[truth[both]], made_row[predicted[both]]
    kept = (rows >= 0) & (columns >= 0)
    flat, shared = np.unique(rows[kept] * max(len(made), 1) + columns[kept], return_counts=True)
    pairs = np.stack(np.divmod(flat, max(len(made), 1)), 1)
    union = true_size[pairs[:, 0]] + made_size[pairs[:, 1]] - shared
    return Overlap(true, made, true_size, made_size, pairs, shared / union)


def _objects(instances: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the objects, the row of each number (-1: left out), and their known voxels."""
    inside = np.maximum(instances, 0).ravel().astype(np.int64)
    every = np.bincount(inside, minlength=1)
    seen = np.bincount(inside[known.ravel()], minlength=len(every))
    number = np.flatnonzero((every > 0) & (2 * seen >= every))
    number = number[number > 0]
    row = np.full(len(every), -1, np.int64)
    row[number] = np.arange(len(number))
    return number, row, seen[number]


def match(found: Overlap, threshold: float) -> NDArray[np.int64]:
    """int64 [k]: the pairs (entries of ``found.pairs``) that match at an IoU threshold, one with one."""
    candidates = np.flatnonzero(found.iou >= threshold)
    if not len(candidates):
        return candidates
    n, m = len(found.true), len(found.predicted)
    rows, columns = found.pairs[candidates].T
    graph = coo_array((np.ones(len(candidates), bool), (rows, n + columns)), shape=(n + m, n + m))
    _, group = connected_components(graph, directed=False)
    kept = []
    order = np.argsort(group[rows], kind="stable")
    for members in np.split(candidates[order], np.flatnonzero(np.diff(group[rows[order]])) + 1):
        kept.append(members if len(members) == 1 else members[_assigned(found, members)])
    return np.sort(np.concatenate(kept))


def _assigned(found: Overlap, members: np.ndarray) -> np.ndarray:
    """Which of some pairs are chosen: most pairs first, then the largest sum of IoU."""
    rows, row = np.unique(found.pairs[members, 0], return_inverse=True)
    columns, column = np.unique(found.pairs[members, 1], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = len(members) + found.iou[members]  # a pair more outweighs all of the IoU
    chosen = np.zeros(gain.shape, bool)
    chosen[linear_sum_assignment(gain, maximize=True)] = True
    return np.flatnonzero(chosen[row, column])


def match_counts(found: Overlap, thresholds: Sequence[float] = THRESHOLDS) -> NDArray[np.int64]:
    """int64 [thresholds, 3]: matched, invented (FP) and missed (FN) objects; they add up over images."""
    matched = np.array([len(match(found, threshold)) for threshold in thresholds], np.int64)
    return np.stack([matched, len(found.predicted) - matched, len(found.true) - matched], 1)


def f1(counts: ArrayLike) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN): [..., 3] -> [...]; NaN without objects on either side."""
    counts = np.asarray(counts, np.float64)
    return share(2 * counts[..., 0], 2 * counts[..., 0] + counts[..., 1] + counts[..., 2])


def average_precision(counts: ArrayLike) -> NDArray[np.float64]:
    """TP / (TP + FP + FN): [..., 3] -> [...]; NaN without objects on either side."""
    counts = np.asarray(counts, np.float64)
    return share(counts[..., 0], counts.sum(axis=-1))


def best_iou(found: Overlap) -> NDArray[np.float64]:
    """float64 [n]: the largest IoU of each true object with any predicted one; 0 where none touches it."""
    best = np.zeros(len(found.true))
    np.maximum.at(best, found.pairs[:, 0], found.iou)
    return best
