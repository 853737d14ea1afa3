"""From a proposal at every voxel to points: thresholds, agreement with the segmentation, merging (spec §1.3)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from weft.compiled import kernel
from weft.io.products import LOW_ENERGY
from weft.io.reco_products import POINTS
from weft.reco.nodes import numbered_by_first
from weft.tasks.points.options import CLASSES, MergeOptions

OFFSET, SCORE, CLASS_SCORES, END = slice(0, 3), 3, slice(4, 4 + CLASSES), 4 + CLASSES
"""columns of the product ``point_proposals``"""


def merge_proposals(
    proposals: np.ndarray,
    voxels: np.ndarray,
    semantics: np.ndarray | None,
    low: np.ndarray,
    size: np.ndarray,
    options: MergeOptions,
    least_score: float = 0.0,
) -> np.ndarray:
    """The points of an event, :data:`~weft.io.reco_products.POINTS`, by the first voxel that proposed each.

    proposals: float32 [N, 10], the product ``point_proposals``. voxels: int [N, 3]. semantics: int [N], the class of
    each voxel; not needed without ``enforce_class``. low, size: [3] cm, lower edge of the box and size of a voxel.
    least_score: of the network's own mask; the higher of it and ``options.score`` counts.

    A merged point has the mean position, the pooled scores (the mean of the end scores), and the class that most of its
    proposals have, the lowest of equals. Of overlapping boxes the best proposal is the point.
    """
    rows = np.flatnonzero(proposals[:, SCORE] > max(options.score, least_score))
    position = voxels[rows] + 0.5 + proposals[rows, OFFSET].astype(np.float64)
    if options.enforce_class:
        assert semantics is not None
        chosen = _agreeing(position, voxels[rows], proposals[rows, CLASS_SCORES], semantics[rows], options)
        rows, position = rows[chosen], position[chosen]
    scores = proposals[rows]
    if options.select == "nms":
        group, best = _suppressed(position, scores[:, SCORE], options)
        merged, position = scores[best], position[best]
        classes = merged[:, CLASS_SCORES].argmax(1)
    else:
        group = _components(position, options.distance)
        merged, position, classes = _pooled(scores, position, group, options)
    points = np.zeros(len(merged), POINTS.dtype)
    for axis, values in zip("xyz", (low + position * size).T, strict=True):
        points[axis] = values
    points["class"], points["score"], points["end_score"] = classes, merged[:, SCORE], merged[:, END]
    points["occupancy"] = np.bincount(group, minlength=len(merged))
    names = [name for name in POINTS.dtype.names or () if name.startswith("score_")]
    for name, values in zip(names, merged[:, CLASS_SCORES].T, strict=True):
        points[name] = values
    return points


def _agreeing(
    position: np.ndarray, voxels: np.ndarray, class_scores: np.ndarray, semantics: np.ndarray, options: MergeOptions
) -> np.ndarray:
    """Proposals whose voxel has a class that is also theirs, near a voxel that proposes for that class."""
    own = (semantics >= 0) & (semantics < LOW_ENERGY)
    own &= class_scores[np.arange(len(own)), np.where(own, semantics, 0)] > options.class_score
    anchors = voxels + (0.5 if options.anchor == "centre" else 0.0)
    for label in np.unique(semantics[own]):
        rows = np.flatnonzero(own & (semantics == label))
        distance, _ = cKDTree(anchors[rows]).query(position[rows])
        own[rows[distance >= options.class_distance]] = False
    return np.flatnonzero(own)


def _components(position: np.ndarray, distance: float) -> np.ndarray:
    """int64 [n]: number of the group of each, numbered by first member; DBSCAN of one sample is just this."""
    if not len(position):
        return np.zeros(0, np.int64)
    pairs = cKDTree(position).query_pairs(distance, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(position),) * 2)
    return numbered_by_first(connected_components(graph, directed=False)[1])


def _pooled(
    scores: np.ndarray, position: np.ndarray, group: np.ndarray, options: MergeOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))[:, None]
    if not len(starts):
        return scores, position, np.zeros(0, np.int64)
    sums = np.add.reduceat(scores[order], starts, axis=0, dtype=np.float64) / counts
    merged = sums if options.pool == "mean" else np.maximum.reduceat(scores[order], starts, axis=0)
    merged[:, END] = sums[:, END]
    votes = np.add.reduceat(np.eye(CLASSES, dtype=np.int64)[scores[order, CLASS_SCORES].argmax(1)], starts, axis=0)
    return merged, np.add.reduceat(position[order], starts, axis=0) / counts, votes.argmax(1)


def _suppressed(position: np.ndarray, score: np.ndarray, options: MergeOptions) -> tuple[np.ndarray, np.ndarray]:
    """The point that each proposal became part of, and the proposal that each point is, in the order of their rows."""
    order = np.argsort(-score, kind="stable")
    keeper = _suppress(position[order], 2 * options.nms_half_side, options.nms_iou)
    best = np.empty(len(order), np.int64)
    best[order] = order[keeper]
    kept, group = np.unique(best, return_inverse=True)
    return group, kept


@kernel
def _suppress(position: np.ndarray, side: float, limit: float) -> np.ndarray:
    """For boxes in the order of their scores: the first kept one that each overlaps more than ``limit``, or itself."""
    keeper = np.empty(len(position), np.int64)
    kept = np.empty(len(position), np.int64)
    n = 0
    for i in range(len(position)):
        keeper[i] = i
        for m in range(n):
            shared = 1.0
            for axis in range(position.shape[1]):
                shared *= max(0.0, side - abs(position[i, axis] - position[kept[m], axis]))
            if shared > limit * (2 * side**3 - shared):
                keeper[i] = kept[m]
                break
        if keeper[i] == i:
            kept[n] = i
            n += 1
    return keeper
