"""Random changes of a mesh for training (spec §10). Every function depends on its generator only and changes nothing.

Geometry is changed on the vertices, before features are extracted from them, so all features change together; heights
and roughness, which were measured with the whole tile around, are changed as the mesh is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.meshes.augment_options import AugmentOptions


class Varied(NamedTuple):
    """A mesh after a random change."""

    vertices: NDArray[np.float64]
    """[V, 3] m"""
    faces: np.ndarray
    """[M, 3]; corners 1 and 2 are swapped where the mesh was mirrored, so that normals still point outwards"""
    surface: np.ndarray | None
    """[M, 2] m, height and roughness"""
    mirrored: bool
    """whether corners 1 and 2 were swapped: what is kept per corner must be too (:func:`swapped`)"""


def vary_geometry(
    vertices: np.ndarray,
    faces: np.ndarray,
    surface: np.ndarray | None,
    options: AugmentOptions,
    rng: np.random.Generator,
) -> Varied:
    """Mirrored, scaled, turned, tilted, about the middle of its box, then with noise on its vertices.

    vertices: float64 [V, 3] in m. faces: [M, 3]. surface: [M, 2] height and roughness in m, or None. These two follow
    the scale; a tilt of a few degrees, and the noise, leave them as they are: they are heights over the ground, which
    is tilted too.
    """
    if not len(vertices) or rng.random() >= options.probability:
        return Varied(vertices, faces, surface, False)
    matrix, mirrored, factor = _linear(options, rng)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    made = (vertices - middle) @ matrix.T + middle
    if options.jitter:
        made = made + options.jitter * rng.standard_normal(made.shape)
    if surface is not None:
        surface = surface * surface.dtype.type(factor)
    return Varied(made, swapped(faces) if mirrored else faces, surface, mirrored)


def _linear(options: AugmentOptions, rng: np.random.Generator) -> tuple[NDArray[np.float64], bool, float]:
    """float64 [3, 3], the change as a matrix; whether it mirrors; its scale."""
    signs = np.array([-1.0 if axis in options.mirror and rng.random() < 0.5 else 1.0 for axis in "xyz"])
    factor = rng.uniform(options.scale.low, options.scale.high) if options.scale is not None else 1.0
    about_z = np.deg2rad(rng.uniform(-options.rotate, options.rotate)) if options.rotate else 0.0
    matrix = factor * rotation(np.array([0.0, 0.0, 1.0]), about_z) @ np.diag(signs)
    if options.tilt:
        direction = rng.uniform(0, 2 * np.pi)
        axis = np.array([np.cos(direction), np.sin(direction), 0.0])
        matrix = rotation(axis, np.deg2rad(rng.uniform(0, options.tilt))) @ matrix
    return matrix, bool(signs.prod() < 0), float(factor)


def rotation(axis: np.ndarray, angle: float) -> NDArray[np.float64]:
    """float64 [3, 3], the turn about an axis of length 1, radians, against the clock (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    made: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return made


def swapped(per_corner: np.ndarray) -> np.ndarray:
    """[M, 3, ...] with corners 1 and 2 exchanged, as in a mirrored mesh; barycentric weights and texture coordinates
    follow their corners."""
    return per_corner[:, [0, 2, 1]]


def kept(n: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool [n], which of so many faces, textures or clusters are not dropped; of n > 0, at least one."""
    if not share:
        return np.ones(n, bool)
    draws = rng.random(n)
    keep = draws >= share
    if n and not keep.any():
        keep[draws.argmax()] = True
    return keep
