"""Where the voxels of a patch come from: symmetries of the grid, and rotation, scaling and bending in the plane.

A deformation is in-plane and the same for every slice: stacks have few slices, far apart. So one map of (y, x) serves
image, labels and costs, which stay aligned by construction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.volumes.augment_options import AugmentOptions, Elastic


class Symmetry(NamedTuple):
    """Quarter turns from y to x, then mirrored axes; exact."""

    turns: int = 0
    flip_z: bool = False
    flip_y: bool = False
    flip_x: bool = False

    def of(self, array: np.ndarray) -> np.ndarray:
        """What it makes of [..., Z, Y, X]."""
        made = np.rot90(array, self.turns, (-2, -1))
        axes = tuple(axis for axis, flip in zip((-3, -2, -1), self[1:], strict=True) if flip)
        return np.flip(made, axes) if axes else made

    def before(self, size: tuple[int, int, int]) -> tuple[int, int, int]:
        """Size of what gives ``size``."""
        z, y, x = size
        return (z, x, y) if self.turns % 2 else size


class Deformation(NamedTuple):
    """A map of the plane: ``pivot + matrix (p - pivot) + displacement(p)`` is where the voxel at p comes from.

    Attributes:
        matrix: float64 [2, 2], of (y, x).
        nodes: float64 [2, ny, nx] displacements of nodes ``distance`` voxels apart that cover the patch, or None.
        distance: voxels between nodes.
        pivot: (y, x) of the stack that stays where it is; None: the middle of the patch.
    """

    matrix: NDArray[np.float64]
    nodes: NDArray[np.float64] | None = None
    distance: float = 1.0
    pivot: tuple[float, float] | None = None

    def sources(self, start: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float64]:
        """float64 [2, Y, X]: (y, x) in the stack of the voxels of a patch of ``size`` that begins at ``start``."""
        middle = np.array([s + (n - 1) / 2 for s, n in zip(start, size, strict=True)])
        pivot = middle if self.pivot is None else np.array(self.pivot)
        place = np.stack(np.meshgrid(*(s + np.arange(n) for s, n in zip(start, size, strict=True)), indexing="ij"))
        away = (place - pivot[:, None, None]).astype(np.float64)
        made = pivot[:, None, None] + np.einsum("ij,jyx->iyx", self.matrix, away)
        if self.nodes is not None:
            # Nodes are laid about the middle, so that input and output of a network that shrinks bend alike.
            grid = np.array(self.nodes.shape[1:])
            at = (place - middle[:, None, None]) / self.distance + ((grid - 1) / 2)[:, None, None]
            for axis in (0, 1):
                made[axis] += ndimage.map_coordinates(self.nodes[axis], at, order=3, mode="nearest")
        return made


def draw_symmetry(options: AugmentOptions, rng: np.random.Generator) -> Symmetry:
    """A turn and flips, each of those asked for as likely as its opposite."""
    turns = int(rng.integers(4)) if options.turn else 0
    flips = {axis: bool(rng.integers(2)) for axis in options.flip}
    return Symmetry(turns, *(flips.get(axis, False) for axis in ("z", "y", "x")))


def draw_deformation(options: AugmentOptions, size: tuple[int, int], rng: np.random.Generator) -> Deformation | None:
    """A rotation, scaling and bending of patches [Y, X] of ``size``; None where nothing moves."""
    angle, factor, nodes, distance = 0.0, 1.0, None, 1.0
    rotate, scale, elastic = options.rotate, options.scale, options.elastic
    if rotate is not None and rng.random() < rotate.probability:
        angle = rng.uniform(rotate.low, rotate.high)
    if scale is not None and rng.random() < scale.probability:
        factor = rng.uniform(scale.low, scale.high)
    if elastic is not None and rng.random() < elastic.probability:
        nodes, distance = _bent(elastic, size, rng), elastic.distance
    if angle == 0 and factor == 1 and nodes is None:
        return None
    return Deformation(rotation(angle) / factor, nodes, distance)


def rotation(degrees: float) -> NDArray[np.float64]:
    """The matrix of (y, x) that turns by so much from y to x; exact for quarter turns."""
    turns = degrees / 90
    if turns == int(turns):
        cosine, sine = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][int(turns) % 4]
    else:
        cosine, sine = float(np.cos(np.deg2rad(degrees))), float(np.sin(np.deg2rad(degrees)))
    return np.array([[cosine, -sine], [sine, cosine]])


def _bent(options: Elastic, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    nodes = [int(np.ceil(n / options.distance)) + 3 for n in size]
    return rng.normal(0, options.displacement, (2, *nodes))
