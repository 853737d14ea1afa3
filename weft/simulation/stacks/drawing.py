"""Where objects are: distances from surfaces on the grid of voxels, and what is stained and labelled of an object."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Box = tuple[slice, slice, slice]


class Grid(NamedTuple):
    """Voxels whose centres lie at index · spacing, µm; axes z, y, x."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @property
    def extent(self) -> np.ndarray:
        """float64 (3,): from the first to the last centre, µm."""
        return (np.array(self.shape) - 1) * self.spacing

    def box(self, low: np.ndarray, high: np.ndarray) -> Box | None:
        """The voxels whose centres lie within low … high, µm; None where there are none."""
        first = np.maximum(np.ceil(np.asarray(low) / self.spacing), 0).astype(int)
        last = np.minimum(np.floor(np.asarray(high) / self.spacing), np.array(self.shape) - 1).astype(int)
        if (first > last).any():
            return None
        z, y, x = (slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
        return z, y, x

    def centres(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates of a box along each axis, µm, to be broadcast against each other."""
        z, y, x = (np.arange(part.start, part.stop) * step for part, step in zip(box, self.spacing, strict=True))
        return z[:, None, None], y[None, :, None], x[None, None, :]

    @property
    def edge(self) -> float:
        """Width over which a surface fades, µm: a voxel across."""
        return min(self.spacing)


class Drawn(NamedTuple):
    """One object.

    Attributes:
        box: where it is in the stack.
        stained: float32, what of it glows, 0 to 1, in the box.
        inside: bool, voxels that its label belongs to, in the box.
    """

    box: Box
    stained: np.ndarray
    inside: np.ndarray


def share_inside(distance: np.ndarray, edge: float) -> np.ndarray:
    """float32: share of a voxel within a surface, from the signed distance of its centre (below 0: within), µm."""
    return np.clip(0.5 - distance / edge, 0, 1).astype(np.float32)
