"""Where overlapping windows lie along an axis, and how much each counts (microscopy spec §7)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import numpy as np

Weight = Literal["gaussian", "constant"]

#: Width of the Gaussian weight, as a share of the window.
SIGMA = 1 / 8


@dataclass(frozen=True)
class AxisTiles:
    """Windows along one axis of a volume.

    Attributes:
        size: voxels of the axis.
        window: voxels of a window's output.
        starts: first voxel of each window, increasing; below 0 where the axis is shorter than the window.
        weights: float32 [windows, window]: they sum to 1 over the windows of each voxel of the axis, and are 0
            outside of it.
    """

    size: int
    window: int
    starts: tuple[int, ...]
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def inside(self, k: int) -> tuple[slice, slice]:
        """Of window k, the part on the axis: (of the axis, of the window)."""
        start = self.starts[k]
        first, last = max(start, 0), min(start + self.window, self.size)
        return slice(first, last), slice(first - start, last - start)


def tiles(size: int, window: int, overlap: float, weight: Weight = "gaussian") -> AxisTiles:
    """The fewest windows that overlap their neighbours by at least this share, spread evenly.

    An axis that is shorter than the window has one, around its middle. Since the weight of a window in space is the
    product of those along the axes, so is the sum over windows: what is blended with ``weights`` needs no division.
    """
    if size <= window:
        starts = np.array([-((window - size) // 2)])
    else:
        step = max(1, floor(window * (1 - overlap)))
        windows = ceil((size - window) / step) + 1
        starts = np.linspace(0, size - window, windows).round().astype(int)
    voxel = np.arange(window)
    shape = np.ones(window)
    if weight == "gaussian":
        shape = np.exp(-0.5 * ((voxel - (window - 1) / 2) / (SIGMA * window)) ** 2)
    weights = np.tile(shape, (len(starts), 1))
    place = starts[:, None] + voxel
    weights[(place < 0) | (place >= size)] = 0
    total = np.bincount(place.clip(0, size - 1).ravel(), weights.ravel(), size)
    weights /= total[place.clip(0, size - 1)]
    return AxisTiles(size, window, tuple(starts.tolist()), weights.astype(np.float32))


def reflected(index: np.ndarray, size: int) -> np.ndarray:
    """Voxels that stand for those outside of an axis: mirrored at the outermost ones, as often as needed."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    place = index % period
    return np.minimum(place, period - place)
