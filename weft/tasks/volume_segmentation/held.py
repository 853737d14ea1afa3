"""Stacks made ready for training: normalised once, and held as long as there is room for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.volumes.lazy import LazyVolume, slabs
from weft.volumes.patches import Stack, foreground_voxels

_MIB = 1 << 20
_FOREGROUND = 10_000  # voxels of each class that are remembered; patches are drawn around these


class Ready(NamedTuple):
    """A stack, normalised, and voxels of its classes."""

    stack: Stack
    foreground: dict[int, NDArray[np.int32]]


class HeldStacks:
    """The stacks used last, in memory up to a budget.

    A stack that is larger than the budget stays where it is, and each patch is read and normalised when it is cut; only
    the statistics of its normalisation are held. What is held changes no patch.
    """

    def __init__(self, budget_mib: float) -> None:
        self._budget = budget_mib * _MIB
        self._held: OrderedDict[Hashable, tuple[Ready, int]] = OrderedDict()

    def get(self, key: Hashable | None, make: Callable[[], Stack]) -> Ready:
        """The stack of a key, made if it is not held; key None: one that cannot be told from others."""
        found = None if key is None else self._held.pop(key, None)
        if found is None:
            found = self._ready(make())
        if key is not None:
            self._held[key] = found
            while len(self._held) > 1 and sum(size for _, size in self._held.values()) > self._budget:
                self._held.popitem(last=False)
        return found[0]

    def _ready(self, stack: Stack) -> tuple[Ready, int]:
        size = 0
        if _bytes(stack) <= self._budget:
            stack = Stack(_read(stack.image), np.asarray(stack.labels[:]), None if stack.cost is None
                          else np.asarray(stack.cost[:]))  # fmt: skip
            size = _bytes(stack)
        # The same voxels in every process and run: a patch must not depend on when its stack was read.
        foreground = foreground_voxels(stack, _FOREGROUND, np.random.default_rng(0))
        return Ready(stack, foreground), size + sum(voxels.nbytes for voxels in foreground.values())


def _bytes(stack: Stack) -> int:
    volumes = [volume for volume in stack if volume is not None]
    return sum(int(np.prod(volume.shape)) * np.dtype(volume.dtype).itemsize for volume in volumes)


def _read(image: LazyVolume) -> NDArray[np.float32]:
    """All of [C, Z, Y, X], a few planes at a time: normalising makes copies."""
    made = np.empty(image.shape, np.float32)
    for c in range(image.shape[0]):
        for z, slab in slabs(_Channel(image, c)):
            made[c, z : z + len(slab)] = slab
    return made


class _Channel:
    def __init__(self, image: LazyVolume, c: int) -> None:
        self._image, self._c = image, c
        self.shape, self.dtype = tuple(image.shape[1:]), image.dtype

    def __getitem__(self, key: slice) -> NDArray[np.float32]:
        return np.asarray(self._image[self._c, key])
