"""What the surroundings of a face say of it: how high it is over the ground, and how rough the surface is there.

Measured once of a whole mesh, when it is converted: it takes longer than everything else and does not depend on what a
network reads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from weft.meshes.geometry import centroids
from weft.meshes.ground import heights
from weft.meshes.surface_settings import DEFAULT, SurfaceSettings

_PAIRS = 1 << 21  # of neighbours that are held at a time


def face_surface(vertices: np.ndarray, faces: np.ndarray, settings: SurfaceSettings = DEFAULT) -> NDArray[np.float32]:
    """float32 [M, 2], m: height over the ground and roughness of each face (spec §3).

    vertices: float64 [V, 3] in m. faces: [M, 3].
    Raises WeftError for a mesh that is too wide for the cells of its ground (:func:`weft.meshes.ground.heights`).
    """
    height = heights(
        vertices,
        faces,
        ground=settings.ground,
        cell=settings.ground_cell,
        radius=settings.ground_radius,
        slope=settings.ground_slope,
    )
    rough = roughness(centroids(vertices[faces]), height, settings.roughness_radius)
    return np.stack([height, rough], axis=1).astype(np.float32)


def roughness(points: np.ndarray, height: np.ndarray, radius: float) -> NDArray[np.float64]:
    """float64 [M], m, standard deviation (1/n) of the heights [M] of all points [M, 3] within a radius of each, its own
    with them; 0 of one that is alone. Memory does not grow with how dense the points are."""
    deviation = np.zeros(len(points))
    if not len(points):
        return deviation
    tree = cKDTree(points)
    order = np.asarray(tree.indices)  # neighbours in space are neighbours here
    counts = tree.query_ball_point(points[order], radius, return_length=True)
    starts = np.flatnonzero(np.diff(np.cumsum(counts) // _PAIRS, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(points)], strict=True):
        rows = order[start:stop]
        pairs = cKDTree(points[rows]).sparse_distance_matrix(tree, radius, output_type="ndarray")
        # Relative to the face's own height: the variance of heights far above zero keeps its digits.
        above = height[pairs["j"]] - height[rows[pairs["i"]]]
        n = np.bincount(pairs["i"], minlength=len(rows))
        mean = np.bincount(pairs["i"], above, len(rows)) / n
        square = np.bincount(pairs["i"], above**2, len(rows)) / n
        deviation[rows] = np.sqrt(np.maximum(square - mean**2, 0))
    return deviation
