"""Local directions and energy loss at the ends of clusters (spec §1.11, §2.1)."""

from __future__ import annotations

import numpy as np

from weft.io.products import Ragged


def directions(
    coords: np.ndarray, nodes: Ragged, points: np.ndarray, radius: float = -1.0, optimize: bool = False
) -> np.ndarray:
    """Unit vectors from a point of each cluster to the mean of the voxels near it.

    Args:
        coords: (N, 3), voxel coordinates.
        nodes: rows of `coords` of each of n clusters.
        points: (n, 3), where to look from; NaN gives NaN.
        radius: take the voxels within it, or up to the nearest one where there is none; all of them if not positive.
        optimize: of those voxels, take the ball round the point that is most like a line: the one with the greatest
            √(λ3/(λ1+λ2)), λ1 ≤ λ2 ≤ λ3 the eigenvalues of its covariance; at least three voxels.

    Returns:
        float32 (n, 3). (1, 0, 0) where there is no voxel but the point itself; 0 where the mean is the point.
    """
    raise NotImplementedError


def dedx(coords: np.ndarray, values: np.ndarray, nodes: Ragged, points: np.ndarray, radius: float = 5.0) -> np.ndarray:
    """Energy over length near a point of each cluster: Σ values / greatest distance, of the voxels within `radius`.

    Args:
        coords: (N, 3); values: (N,) or (N, 1), energy; nodes: n clusters; points: (n, 3), NaN gives NaN.
        radius: of the ball around the point; the whole cluster if not positive.

    Returns:
        float32 (n,), MeV per unit of length; 0 where the ball has less than two voxels, or no length.
    """
    raise NotImplementedError


def dedx_along(
    coords: np.ndarray,
    values: np.ndarray,
    nodes: Ragged,
    points: np.ndarray,
    directions: np.ndarray,
    radius: float = 3.0,
) -> np.ndarray:
    """Energy over length along a known direction (n, 3), of the voxels of the ball that lie ahead of the point:
    Σ values / extent of their projections. float32 (n,); 0 where less than two voxels lie there, or no length."""
    raise NotImplementedError


def straightness(coords: np.ndarray, nodes: Ragged, points: np.ndarray, radius: float = 5.0) -> np.ndarray:
    """Share λ3/(λ1+λ2+λ3) of the principal axis in the scatter of the voxels within `radius` of a point.

    float32 (n,), from 1/3 (a ball) to 1 (a line); 0 where there are less than three voxels, or all are in one place.
    """
    raise NotImplementedError
