"""Volumes at another voxel size, read or passed on slab by slab (microscopy spec §7).

A resized volume covers the same space: its first voxel begins where that of the original does, so centres of voxels
move unless the size stays. Where it has fewer voxels, each is a mean over those that it covers, weighted by a triangle
(as in Pillow, and in torch's interpolation with ``antialias``), so nothing between two samples is lost. Images and
probabilities are resized linearly and thresholds come after; labels take the nearest voxel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from weft.errors import WeftError
from weft.volumes.lazy import LazyVolume

Method = Literal["linear", "nearest"]
Shape = tuple[int, int, int]


def shape_at(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> Shape:
    """[Z, Y, X] of a volume once its voxels (µm along z, y, x) have the target's size, up to rounding; at least 1.

    Raises WeftError where a voxel size is not known, or not above zero.
    """
    for name, lengths in (("the volume", spacing), ("the target", target)):
        if not all(np.isfinite(length) and length > 0 for length in lengths):
            raise WeftError(
                f"spacing of {name} is {list(lengths)} µm: to resize by voxel size it must be known and > 0"
            )
    z, y, x = (max(1, round(n * a / b)) for n, a, b in zip(shape, spacing, target, strict=True))
    return z, y, x


def resized(volume: LazyVolume, shape: Sequence[int], method: Method = "linear") -> LazyVolume:
    """A volume [..., Z, Y, X] at another size of its last three axes: float32 where linear, else of the same type.

    What a slice needs is read and computed when it is taken; slices go forward, one voxel at a time.
    """
    if tuple(volume.shape[-3:]) == tuple(shape):
        return volume
    return _Resized(volume, shape, method)


def resized_slabs(
    slabs: Iterable[tuple[int, np.ndarray]], before: Sequence[int], after: Sequence[int], method: Method = "linear"
) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive slabs (first plane, [..., planes, Y, X]) of a volume, as consecutive slabs at another size.

    Holds the planes that the next ones need, already resized along y and x.

    Args:
        before: [Z, Y, X] of the volume that the slabs make up.
        after: that of the result.
    """
    if tuple(before) == tuple(after):
        yield from slabs
        return
    along_z, *in_plane = (Taps.between(a, b, method) for a, b in zip(before, after, strict=True))
    held: np.ndarray | None = None
    first = made = 0  # plane of the volume that `held` starts with; planes given away
    for _, slab in slabs:
        planes = _applied(slab, {-2: in_plane[0], -1: in_plane[1]})
        held = planes if held is None else np.concatenate([held, planes], -3)
        stop = int(np.searchsorted(along_z.last, first + held.shape[-3]))
        if stop > made:
            yield made, _along(held, -3, along_z.part(made, stop, first))
            made = stop
        come = first + held.shape[-3]
        needed = min(int(along_z.index[made].min()), come) if made < len(along_z) else come
        held = held[..., needed - first :, :, :].copy()
        first = needed
    if made != len(along_z):
        raise WeftError(f"slabs end after {first + (0 if held is None else held.shape[-3])} of {before[0]} planes")


@dataclass(frozen=True)
class Taps:
    """Which voxels of an axis make each voxel of the resized one.

    Attributes:
        index: int64 [out, taps], voxels of the original, not decreasing from row to row.
        weights: float32 [out, taps], each row sums to 1; None: the only tap as it is.
    """

    index: np.ndarray
    weights: np.ndarray | None

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def between(cls, before: int, after: int, method: Method) -> Taps:
        """From an axis of ``before`` voxels to one of ``after``."""
        scale = before / after
        centre = (np.arange(after) + 0.5) * scale
        if method == "nearest" or before == after:
            return cls(np.floor(centre).astype(np.int64).clip(0, before - 1)[:, None], None)
        reach = max(1.0, scale)
        start = np.floor(centre - reach + 0.5).astype(np.int64)
        index = start[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
        weights = (1 - np.abs(index + 0.5 - centre[:, None]) / reach).clip(0)
        weights[(index < 0) | (index >= before)] = 0
        used = (weights > 0).any(0)
        index, weights = index[:, used].clip(0, before - 1), weights[:, used]
        return cls(index, (weights / weights.sum(1, keepdims=True)).astype(np.float32))

    @property
    def last(self) -> np.ndarray:
        """int64 [out]: the last voxel of the original that each needs."""
        return self.index.max(1)

    def part(self, start: int, stop: int, first: int) -> Taps:
        """For some voxels of the result, of an axis that begins with voxel ``first`` of the original."""
        weights = None if self.weights is None else self.weights[start:stop]
        return Taps(self.index[start:stop] - first, weights)


class _Resized:
    def __init__(self, volume: LazyVolume, shape: Sequence[int], method: Method) -> None:
        lead, sizes = tuple(volume.shape[:-3]), volume.shape[-3:]
        self._volume = volume
        self._taps = [Taps.between(a, b, method) for a, b in zip(sizes, shape, strict=True)]
        self.shape = (*lead, *shape)
        self.dtype = np.dtype(np.float32) if method == "linear" else np.dtype(volume.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        whole, dropped = _slices(key, self.shape)
        lead, asked = whole[:-3], whole[-3:]
        if any(part.stop <= part.start for part in asked):
            return np.zeros([part.stop - part.start for part in whole], self.dtype)[dropped]
        wanted, needed = {}, []
        for axis, taps, part in zip((-3, -2, -1), self._taps, asked, strict=True):
            index = taps.index[part]
            first = int(index.min())
            needed.append(slice(first, int(index.max()) + 1))
            wanted[axis] = taps.part(part.start, part.stop, first)
        found = _applied(np.asarray(self._volume[(*lead, *needed)]), wanted)
        return found.astype(self.dtype, copy=False)[dropped]


def _slices(key: Any, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice | int, ...]]:
    """A key as one slice an axis, and what takes away the axes that it gave a number for."""
    given = key if isinstance(key, tuple) else (key,)
    if Ellipsis in given:
        at = given.index(Ellipsis)
        given = (*given[:at], *[slice(None)] * (len(shape) - len(given) + 1), *given[at + 1 :])
    given = (*given, *[slice(None)] * (len(shape) - len(given)))
    whole: list[slice] = []
    dropped: list[slice | int] = []
    for one, n in zip(given, shape, strict=True):
        if isinstance(one, slice):
            start, stop, step = one.indices(n)
            if step != 1:
                raise IndexError(f"a resized volume is read voxel by voxel, not in steps of {step}")
            whole.append(slice(start, max(start, stop)))
            dropped.append(slice(None))
        else:
            place = range(n)[one]
            whole.append(slice(place, place + 1))
            dropped.append(0)
    return tuple(whole), tuple(dropped)


def _applied(values: np.ndarray, wanted: dict[int, Taps]) -> np.ndarray:
    """Resized along several axes, those first that become smallest."""
    for axis in sorted(wanted, key=lambda axis: len(wanted[axis]) / values.shape[axis]):
        values = _along(values, axis, wanted[axis])
    return values


def _along(values: np.ndarray, axis: int, taps: Taps) -> np.ndarray:
    if taps.weights is None:
        rows = taps.index[:, 0]
        same = len(rows) == values.shape[axis] and np.array_equal(rows, np.arange(len(rows)))
        return values if same else values.take(rows, axis)
    broad = (-1,) + (1,) * (-1 - axis)
    total: np.ndarray | None = None
    for index, weights in zip(taps.index.T, taps.weights.T, strict=True):
        part = values.take(index, axis).astype(np.float32, copy=False)
        part *= weights.reshape(broad)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total
