"""Which of the points that PPN proposed lie at which particle (spec §1.11, `ppn`)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from weft.io.products import Ragged


def particle_points(
    points: np.ndarray,
    nodes: Ragged,
    position: np.ndarray,
    within: float,
    shapes: np.ndarray | None = None,
    classes: np.ndarray | None = None,
) -> Ragged:
    """int32 rows of the proposed points that are nearer than `within` to a voxel of each particle, increasing.

    points: [N, 3] cm, centres of voxels; nodes: rows of each of n particles. position: [m, 3] cm, proposed points.
    within: cm. shapes [n], classes [m]: given both, only points of the particle's class count. A point may belong to
    several particles, or to none.
    """
    n = len(nodes)
    node = np.repeat(np.arange(n), nodes.counts)
    pairs = np.empty((0, 2), np.int64)
    if len(node) and len(position):
        tree = cKDTree(np.asarray(points, np.float64)[nodes.values])
        near = tree.query_ball_point(np.asarray(position, np.float64), np.nextafter(within, 0))
        row = np.repeat(np.arange(len(near)), [len(found) for found in near])
        pairs = np.unique(np.stack([node[np.concatenate(near).astype(np.int64)], row], axis=1), axis=0)
    if shapes is not None and classes is not None:
        pairs = pairs[np.asarray(shapes)[pairs[:, 0]] == np.asarray(classes)[pairs[:, 1]]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=n))]).astype(np.int64)
    return Ragged(pairs[:, 1].astype(np.int32), offsets)
