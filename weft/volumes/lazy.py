"""Volumes that may be larger than memory: what they are read through, and where results wait."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

#: MiB of a whole volume that is held in memory; a larger one lies in a file of the scratch folder.
MEMORY_MIB = 1024.0
_SLAB_VOXELS = 1 << 22  # of a slab, where its result does not depend on its size
_PIECE_VOXELS = 1 << 18  # of a slab that arithmetic with several wide copies of it sees at once


@runtime_checkable
class LazyVolume(Protocol):
    """What is read by slices only: an h5py dataset, a product of an event store, a memory map, an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, key: Any) -> np.ndarray: ...


def planes(volume: LazyVolume) -> Iterator[np.ndarray]:
    """The planes [Y, X] of a volume [Z, Y, X] one by one, read in slabs of about 4 million voxels."""
    for _, slab in slabs(volume):
        yield from slab


def slabs(volume: LazyVolume, voxels: int = _SLAB_VOXELS) -> Iterator[tuple[int, np.ndarray]]:
    """(z0, array [dz, ...]) along the first axis, as many planes at a time as have about ``voxels`` voxels."""
    deep = max(1, voxels // max(1, int(np.prod(volume.shape[1:]))))
    for z in range(0, volume.shape[0], deep):
        yield z, np.asarray(volume[z : z + deep])


def pieces(slab: np.ndarray, voxels: int = _PIECE_VOXELS) -> Iterator[tuple[int, np.ndarray]]:
    """(first, array [n]) of the voxels of a slab in their order: reading is cheap in slabs, wide copies are not."""
    flat = slab.ravel()
    for first in range(0, len(flat), voxels):
        yield first, flat[first : first + voxels]


def scratch(
    shape: tuple[int, ...], dtype: Any, memory_mib: float = MEMORY_MIB, folder: Path | None = None
) -> np.ndarray:
    """An array of zeros to be written: in memory, or above ``memory_mib`` in an unnamed file.

    folder: where the file is, default that of the system for temporary files; it goes with the last reference.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= memory_mib * (1 << 20):
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder, prefix="weft-volume-") as file:
        file.truncate(size)
        return np.memmap(file, dtype, "r+", shape=shape)
