"""Angles, normals, areas and centres of triangles; faces without area have values too (spec §3).

A face has no area when its corners lie on a line, or so nearly that the coordinates do not tell: its normal is
(0, 0, 1) and its angles are (0, 0, pi).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: sin of the largest angle of a triangle whose corners lie on a line for all that float64 coordinates of a map can say.
_FLAT = 1e-9


def centroids(corners: np.ndarray) -> NDArray[np.float64]:
    """float64 [M, 3], means of the corners [M, 3, 3]."""
    means: NDArray[np.float64] = corners.mean(axis=1, dtype=np.float64)
    return means


def areas(corners: np.ndarray) -> NDArray[np.float64]:
    """float64 [M], the unit of the corners [M, 3, 3] squared; exactly 0 of a face whose corners lie on a line."""
    cross, flat = _cross(corners)
    doubled: NDArray[np.float64] = np.linalg.norm(cross, axis=1)
    return np.where(flat, 0.0, 0.5 * doubled)


def normals(corners: np.ndarray) -> NDArray[np.float64]:
    """float64 [M, 3], unit normals of the corners [M, 3, 3], towards where they go round against the clock."""
    cross, flat = _cross(corners)
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    unit: NDArray[np.float64] = cross / np.where(flat[:, None], 1, length)
    unit[flat] = (0, 0, 1)
    return unit


def corner_angles(corners: np.ndarray) -> NDArray[np.float64]:
    """float64 [M, 3], interior angles at the corners [M, 3, 3], radians; they sum to pi."""
    cross, flat = _cross(corners)
    corners = corners.astype(np.float64, copy=False)
    doubled = np.linalg.norm(cross, axis=1)
    angles = np.empty((len(corners), 3))
    for corner in range(3):
        to_next = corners[:, (corner + 1) % 3] - corners[:, corner]
        to_last = corners[:, (corner + 2) % 3] - corners[:, corner]
        # atan2 of both products is exact near 0 and pi, where arccos is not
        angles[:, corner] = np.arctan2(doubled, (to_next * to_last).sum(axis=1))
    angles[flat] = (0, 0, np.pi)
    return angles


def _cross(corners: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Product of the edges at the first corner, and which faces have no area."""
    corners = corners.astype(np.float64, copy=False)
    edges = np.roll(corners, -1, axis=1) - corners
    cross = np.cross(edges[:, 0], -edges[:, 2])
    longest = np.square(edges).sum(axis=2).max(axis=1, initial=0)
    return cross, np.linalg.norm(cross, axis=1) <= _FLAT * longest
