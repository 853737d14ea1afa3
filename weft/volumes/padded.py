"""A volume with a border around it, read slice by slice as a window moves through it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weft.volumes.lazy import MEMORY_MIB, LazyVolume, scratch
from weft.volumes.tiling import reflected

_READ_VOXELS = 1 << 22  # of the volume at a time


class PaddedPlanes:
    """The planes that a layer of windows sees, in float32: [C, depth, Y, X] of a volume with a border.

    Beyond the volume, rows and columns are mirrored and planes repeat the outermost (spec §7: reflect xy, edge z).
    Each plane is read once as long as ``at`` is called with increasing numbers.

    Args:
        volume: [C, Z, Y, X].
        depth: planes of a layer.
        before, after: voxels of the border at both ends of y and x.
        memory_mib, folder: above it, planes lie in a scratch file, see :func:`weft.volumes.lazy.scratch`.
    """

    def __init__(
        self,
        volume: LazyVolume,
        depth: int,
        before: Sequence[int],
        after: Sequence[int],
        memory_mib: float = MEMORY_MIB,
        folder: Path | None = None,
    ) -> None:
        channels, self._planes, *sizes = volume.shape
        self._volume = volume
        self._rows, self._columns = (
            reflected(np.arange(-a, n + b), n) for a, n, b in zip(before, sizes, after, strict=True)
        )
        self._inner = tuple(slice(a, a + n) for a, n in zip(before, sizes, strict=True))
        self._bordered = any(before) or any(after)
        shape = (channels, depth, len(self._rows), len(self._columns))
        self._held = scratch(shape, np.float32, memory_mib, folder)
        self._first: int | None = None

    def at(self, first: int) -> np.ndarray:
        """float32 [C, depth, Y, X]: planes ``first`` and those after it; valid until the next call."""
        depth = self._held.shape[1]
        kept = 0
        if self._first is not None and 0 <= first - self._first < depth:
            kept = depth - (first - self._first)
            for k in range(kept if first > self._first else 0):
                self._held[:, k] = self._held[:, k + first - self._first]
        self._fill(first, kept)
        self._first = first
        return self._held

    def _fill(self, first: int, start: int) -> None:
        """Read the planes of the layer from number ``start`` of it on."""
        depth, last = self._held.shape[1], self._planes - 1
        sizes = self._volume.shape[2:]
        step = max(1, _READ_VOXELS // max(1, int(np.prod(sizes)) * self._held.shape[0]))
        k = start
        while k < depth:
            z = min(max(first + k, 0), last)
            # Planes before the volume and after it are one and the same.
            run = min(step, depth - k, last - z + 1) if first + k >= 0 else 1
            self._put(k, np.asarray(self._volume[:, z : z + run], np.float32))
            k += run
            if not 0 <= first + k <= last:
                repeated = min(depth, -first) if first + k < 0 else depth
                self._held[:, k:repeated] = self._held[:, k - 1 : k]
                k = max(k, repeated)

    def _put(self, k: int, planes: np.ndarray) -> None:
        held = self._held[:, k : k + planes.shape[1]]
        if not self._bordered:
            held[:] = planes
            return
        rows, columns = self._inner
        held[:, :, rows, columns] = planes
        for outside in (slice(0, rows.start), slice(rows.stop, None)):
            held[:, :, outside, columns] = planes[:, :, self._rows[outside]]
        for outside in (slice(0, columns.start), slice(columns.stop, None)):
            held[:, :, :, outside] = held[:, :, :, columns][..., self._columns[outside]]
