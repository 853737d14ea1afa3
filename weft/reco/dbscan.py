"""Density-based clustering of voxels (Ester et al. 1996), and its split at points of interest (spec §1.6).

Coordinates are voxels (or any unit, with `eps` in the same); work grows with the number of points, not of pairs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Metric = Literal["euclidean", "chebyshev"]


def dbscan(coords: np.ndarray, eps: float, min_samples: int = 1, metric: Metric = "euclidean") -> np.ndarray:
    """int64 [N]: the cluster of each point, numbered by the first core point of each; −1: noise.

    coords: [N, 3], integers or floats; points at most `eps` apart are neighbours, and a core point has
    `min_samples` of them, itself included: with 1 all are, and clusters are connected components. A point that is
    no core but near several clusters joins the one of the lowest number, as in scikit-learn.
    """
    raise NotImplementedError


def break_clusters(
    coords: np.ndarray, labels: np.ndarray, eps: float = 1.1, metric: Metric = "chebyshev"
) -> np.ndarray:
    """int64 [N]: labels in which every connected piece of a cluster is one of its own, numbered from 0; −1 stays."""
    raise NotImplementedError


def masked_dbscan(
    coords: np.ndarray, points: np.ndarray, eps: float, min_samples: int = 1, mask_radius: float = 5.0
) -> np.ndarray:
    """int64 [N]: DBSCAN clusters, cut where particles meet: clusters of what is left without the voxels near points.

    Voxels within `mask_radius` (inclusive) of any of `points` [P, 3] join the cluster of the nearest voxel that is
    left of their own component; a component of which nothing is left stays whole.
    """
    raise NotImplementedError
