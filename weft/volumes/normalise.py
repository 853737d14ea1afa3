"""Intensities of a stack brought to a common scale: one object for training, prediction and the classical baseline.

microscopy_segmentation spec §8. Statistics are those of the whole stack, read in slabs; what is done to a voxel is done
when a slice is read, so that a stack larger than memory is normalised while it is used. Only the subtraction of a
background needs all of the stack at once: its result waits in memory, or above a budget in a scratch file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.volumes.lazy import MEMORY_MIB, LazyVolume, scratch, slabs
from weft.volumes.recipes import (
    AutoContrast,
    Background,
    Clip,
    Log,
    MinMax,
    Outliers,
    Percentile,
    Step,
    ZScore,
)
from weft.volumes.smoothing import blur
from weft.volumes.statistics import quantiles, statistics

_ROWS_VALUES = 1 << 22  # of a block of rows that is blurred along z
_ROUNDING = 4e-6  # of the largest intensity: a difference to the background in float32 that is none


def normalised(
    volume: LazyVolume, steps: Sequence[Step], memory_mib: float = MEMORY_MIB, folder: Path | None = None
) -> LazyVolume:
    """A volume [Z, Y, X] after the steps of a recipe, float32, read as the volume is.

    A constant volume becomes 0 where a step scales or centres it.
    memory_mib, folder: of the result of a background subtraction, see :func:`weft.volumes.lazy.scratch`.
    Raises WeftError for other shapes, for volumes without voxels and for values that are not finite.
    """
    if len(volume.shape) != 3:
        raise WeftError(f"a volume of shape {tuple(volume.shape)} cannot be normalised: expected [Z, Y, X]")
    made: LazyVolume = _PointWise(volume, _as_is)
    for step in steps:
        if isinstance(step, Background):
            rounding = _ROUNDING * max(map(abs, _extremes(made)))
            made = _without_background(made, step.sigma, memory_mib, folder)
            low, high = _extremes(made)
            made = _PointWise(made, _scaled(low, high if high - low > rounding else low))
        else:
            made = _PointWise(made, _function(step, made))
    return made


def normalised_channels(
    volume: LazyVolume,
    recipes: Sequence[Sequence[Step]],
    channels: Sequence[int] | None = None,
    memory_mib: float = MEMORY_MIB,
    folder: Path | None = None,
) -> LazyVolume:
    """Channels of a volume [C, Z, Y, X], each normalised by itself: float32 [c, Z, Y, X].

    recipes: one for each of the channels that are taken, or one for all of them.
    channels: those to be taken, negative ones from the end; None: all.
    Raises WeftError for another number of recipes, and for channels that the volume has not.
    """
    if len(volume.shape) != 4:
        raise WeftError(f"a volume of shape {tuple(volume.shape)} has no channels: expected [C, Z, Y, X]")
    taken = range(volume.shape[0]) if channels is None else channels
    if len(recipes) not in (1, len(taken)):
        raise WeftError(f"{len(recipes)} recipes for {len(taken)} channels: expected one for each, or one for all")
    each = list(recipes) * len(taken) if len(recipes) == 1 else list(recipes)
    return Channels(
        [normalised(channel(volume, c), steps, memory_mib, folder) for c, steps in zip(taken, each, strict=True)]
    )


def channel(volume: LazyVolume, number: int) -> LazyVolume:
    """One channel of a volume [C, Z, Y, X] as a volume [Z, Y, X]; negative numbers count from the end.

    Raises WeftError for a channel that the volume has not.
    """
    count = volume.shape[0]
    if not -count <= number < count:
        raise WeftError(f"channel {number} of an image with {count}: expected {-count} to {count - 1}")
    return _Channel(volume, number % count)


class Channels:
    """Volumes [Z, Y, X] of one shape as the channels of one [C, Z, Y, X]."""

    def __init__(self, volumes: Sequence[LazyVolume]) -> None:
        self._volumes = list(volumes)
        self.shape = (len(volumes), *volumes[0].shape)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        inside = tuple(rest)
        if isinstance(first, slice):
            return np.stack([volume[inside] for volume in self._volumes[first]])
        return self._volumes[first][inside]


class _Channel:
    def __init__(self, volume: LazyVolume, number: int) -> None:
        self._volume, self._number = volume, number
        self.shape, self.dtype = tuple(volume.shape[1:]), volume.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        inside = key if isinstance(key, tuple) else (key,)
        return np.asarray(self._volume[(self._number, *inside)])


Function = Callable[[np.ndarray], np.ndarray]


class _PointWise:
    """A function of each voxel, applied to what is read."""

    def __init__(self, volume: LazyVolume, function: Function) -> None:
        self._volume, self._function = volume, function
        self.shape, self.dtype = tuple(volume.shape), np.dtype(np.float32)

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._function(np.asarray(self._volume[key], np.float32))


def _as_is(values: np.ndarray) -> np.ndarray:
    return values


def _function(step: Step, volume: LazyVolume) -> Function:
    """What a step does to each voxel, with the statistics that it needs of the volume."""
    if isinstance(step, AutoContrast):
        return _auto_contrast(step, volume)
    if isinstance(step, Percentile):
        low, high = quantiles(volume, [step.low / 100, step.high / 100])
        return _scaled(low, high, step.clip)
    if isinstance(step, ZScore):
        found = statistics(volume)
        mean, factor = np.float32(found.mean), np.float32(1 / found.deviation if found.deviation > 0 else 0.0)
        return lambda values: (values - mean) * factor
    if isinstance(step, MinMax):
        return _scaled(*_extremes(volume))
    if isinstance(step, Clip):
        return lambda values: np.clip(values, step.low, step.high) if (step.low, step.high) != (None, None) else values
    if isinstance(step, Outliers):
        lowest = np.float32(statistics(volume).low)
        return lambda values: np.where(values > step.above, lowest, values)
    if isinstance(step, Log):
        lowest, scale = np.float32(statistics(volume).low), np.float32(step.scale)
        return lambda values: np.log1p((values - lowest) / scale)
    raise TypeError(f"no step of a recipe: {step!r}")


def _auto_contrast(step: AutoContrast, volume: LazyVolume) -> Function:
    found = statistics(volume, step.low, step.high)
    if not found.n:
        raise WeftError(f"auto_contrast: no voxel between low ({step.low}) and high ({step.high})")
    low, high = found.low, found.high
    if step.below is not None:
        low = max(found.mean - step.below * found.deviation, low)
    if step.above is not None:
        high = min(found.mean + step.above * found.deviation, high)
    return _scaled(low, high)


def _extremes(volume: LazyVolume) -> tuple[float, float]:
    found = statistics(volume)
    return found.low, found.high


def _scaled(low: float, high: float, clip: bool = True) -> Function:
    """[low, high] to [0, 1]; without a width, 0."""
    start, factor = np.float32(low), np.float32(1 / (high - low) if high > low else 0.0)

    def scale(values: np.ndarray) -> np.ndarray:
        made = (values - start) * factor
        return np.clip(made, np.float32(0), np.float32(1)) if clip else made

    return scale


def _without_background(volume: LazyVolume, sigma: float, memory_mib: float, folder: Path | None) -> np.ndarray:
    """float32: the volume less its Gaussian blur, in memory or in a scratch file.

    The blur is separable: along y and x plane by plane, then along z in blocks of rows.
    """
    made = scratch(tuple(volume.shape), np.float32, memory_mib, folder)
    deep, _, wide = volume.shape
    for z, slab in slabs(volume):
        made[z : z + len(slab)] = blur(blur(slab, sigma, 1), sigma, 2)
    rows = max(1, _ROWS_VALUES // (deep * wide))
    for y in range(0, volume.shape[1], rows):
        block = (slice(None), slice(y, y + rows))
        made[block] = np.asarray(volume[block], np.float32) - blur(made[block], sigma, 0)
    return made
