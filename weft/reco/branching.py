"""Where thin structures branch, bend or cross, seen from their voxels alone.

Around a voxel of a straight track the scatter of its neighbours is that of a line. Where tracks meet it is that of a
plane or a blob. Local principal components are a standard description of point clouds (Demantké et al., ISPRS 2011).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def linearity(voxels: np.ndarray, radius: float) -> np.ndarray:
    """float64 [n], 0 to 1: (λ1 − λ2)/λ1 of the scatter of the voxels within `radius` of each, λ1 ≥ λ2 ≥ λ3.

    1 for a straight line, and for voxels with fewer than two neighbours, of which nothing can be said.
    """
    coords = np.asarray(voxels, np.float64).reshape(-1, 3)
    if not len(coords):
        return np.empty(0)
    pairs = cKDTree(coords).query_pairs(radius, output_type="ndarray")
    first = np.concatenate([pairs[:, 0], pairs[:, 1], np.arange(len(coords))])
    second = np.concatenate([pairs[:, 1], pairs[:, 0], np.arange(len(coords))])
    n = np.bincount(first, minlength=len(coords))
    step = coords[second] - coords[first]
    mean = np.stack([np.bincount(first, step[:, a], len(coords)) for a in range(3)], 1) / n[:, None]
    scatter = np.empty((len(coords), 3, 3))
    for a in range(3):
        for b in range(a, 3):
            moment = np.bincount(first, step[:, a] * step[:, b], len(coords)) / n - mean[:, a] * mean[:, b]
            scatter[:, a, b] = scatter[:, b, a] = moment
    values = np.linalg.eigvalsh(scatter)
    known = (n > 2) & (values[:, 2] > 0)
    return np.where(known, (values[:, 2] - values[:, 1]) / np.where(known, values[:, 2], 1.0), 1.0)
