"""A box of voxels: where voxel numbers lie in space, and LArCV's voxel ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VoxelMeta:
    """A grid of voxels with its lower corner, voxel size (cm) and number of voxels, each (x, y, z).

    The id of a voxel is z·nx·ny + y·nx + x, as in LArCV (specs/spine_full_chain.md §4.1).
    """

    lower: tuple[float, float, float]
    size: tuple[float, float, float]
    count: tuple[int, int, int]

    @classmethod
    def cube(cls, voxels: int, size: float) -> VoxelMeta:
        """A cube of voxels³ voxels of edge `size` (cm), centred at the origin."""
        edge = -0.5 * voxels * size
        return cls((edge, edge, edge), (size, size, size), (voxels, voxels, voxels))

    @property
    def upper(self) -> tuple[float, float, float]:
        x, y, z = (low + n * s for low, n, s in zip(self.lower, self.count, self.size, strict=True))
        return x, y, z

    def index(self, position: np.ndarray) -> np.ndarray:
        """int64 (n, 3) voxel numbers of positions (n, 3) in cm; the upper edge belongs to the last voxel.

        Positions outside give numbers outside 0 … count−1.
        """
        position = np.asarray(position, np.float64)
        index = np.floor((position - self.lower) / self.size).astype(np.int64)
        return np.where(position == self.upper, np.asarray(self.count) - 1, index)

    def inside(self, position: np.ndarray) -> np.ndarray:
        """bool (n,): which positions (n, 3) in cm are in the box, edges included."""
        position = np.asarray(position)
        return np.all((position >= self.lower) & (position <= self.upper), axis=1)

    def centre(self, index: np.ndarray) -> np.ndarray:
        """float64 (n, 3): centres (cm) of voxels (n, 3)."""
        return np.asarray(self.lower) + (np.asarray(index) + 0.5) * self.size

    def ids(self, index: np.ndarray) -> np.ndarray:
        """int64 (n,): ids of voxels (n, 3)."""
        nx, ny, _ = self.count
        index = np.asarray(index, np.int64)
        return (index[:, 2] * ny + index[:, 1]) * nx + index[:, 0]

    def xyz(self, ids: np.ndarray) -> np.ndarray:
        """int64 (n, 3): voxels of ids (n,)."""
        nx, ny, _ = self.count
        ids = np.asarray(ids, np.int64)
        return np.stack([ids % nx, ids // nx % ny, ids // (nx * ny)], axis=1)
