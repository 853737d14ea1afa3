"""Statistics of a whole volume, read in slabs; the same to the last bit however it is read.

Sums are made by pieces of a plane and added exactly (`math.fsum`), quantiles are order statistics found by counting.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.volumes.lazy import LazyVolume, pieces, planes, slabs

_BINS = 1 << 16
_HELD = 1 << 20  # values of one bin that are sorted rather than counted once more


class Statistics(NamedTuple):
    """Of all voxels of a volume."""

    n: int
    mean: float
    deviation: float
    """standard deviation, with 1/n"""
    low: float
    high: float


def statistics(volume: LazyVolume, low: float | None = None, high: float | None = None) -> Statistics:
    """Mean, standard deviation and extremes of a volume [Z, Y, X]; NaN for the former two without any value.

    low, high: mean and deviation of values in (low, high) only; the extremes are those of all.
    Raises WeftError for a volume without voxels and for values that are not finite, naming the plane.
    """
    if not math.prod(volume.shape):
        raise WeftError(f"a volume of shape {tuple(volume.shape)} has no voxels to normalise")
    counts, means, squares, lows, highs = [], [], [], [], []
    for z, plane in enumerate(planes(volume)):
        for _, piece in pieces(plane):
            values = piece.astype(np.float64)
            lows.append(values.min())
            highs.append(values.max())
            if not math.isfinite(lows[-1]) or not math.isfinite(highs[-1]):
                raise WeftError(f"plane {z} holds {int((~np.isfinite(plane)).sum())} values that are not finite")
            if low is not None or high is not None:
                values = values[
                    (values > (-np.inf if low is None else low)) & (values < (np.inf if high is None else high))
                ]
            mean = float(values.mean()) if len(values) else 0.0
            counts.append(len(values))
            means.append(mean)
            squares.append(float(np.square(values - mean).sum()))
    n = sum(counts)
    if not n:
        return Statistics(0, math.nan, math.nan, float(min(lows)), float(max(highs)))
    mean = math.fsum(c * m for c, m in zip(counts, means, strict=True)) / n
    square = math.fsum(s + c * (m - mean) ** 2 for s, c, m in zip(squares, counts, means, strict=True))
    return Statistics(n, mean, math.sqrt(square / n), float(min(lows)), float(max(highs)))


def quantiles(volume: LazyVolume, shares: Sequence[float]) -> list[float]:
    """Quantiles of all voxels, linear between two order statistics (numpy's default), for shares in [0, 1].

    Three passes over the volume, more where very many values are nearly equal; memory does not grow with it.
    """
    found = statistics(volume)
    last = math.prod(volume.shape) - 1
    places = [share * last for share in shares]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    value = dict(zip(ranks, _order_statistics(volume, ranks, found.low, found.high), strict=True))
    answers = []
    for place in places:
        below, above = value[math.floor(place)], value[math.ceil(place)]
        answers.append(below + (place - math.floor(place)) * (above - below))
    return answers


def _order_statistics(volume: LazyVolume, ranks: Sequence[int], low: float, high: float) -> list[float]:
    """Values of given ranks (0: the lowest) among the voxels in [low, high], two of which are at these ends."""
    if low == high:
        return [low] * len(ranks)
    counts = np.zeros(_BINS, np.int64)
    for values in _between(volume, low, high):
        counts += np.bincount(_bin(values, low, high), minlength=_BINS)
    before = np.concatenate([[0], np.cumsum(counts)])
    bins = np.searchsorted(before, np.asarray(ranks), side="right") - 1
    found: dict[int, float] = {}
    for k in np.unique(bins).tolist():
        mine = [rank for rank, b in zip(ranks, bins, strict=True) if b == k]
        inside = [rank - int(before[k]) for rank in mine]
        found |= dict(zip(mine, _within(volume, low, high, k, inside, int(counts[k])), strict=True))
    return [found[rank] for rank in ranks]


def _within(volume: LazyVolume, low: float, high: float, k: int, ranks: list[int], count: int) -> list[float]:
    """Values of given ranks among the `count` ones in bin k of [low, high]."""
    members = (values[_bin(values, low, high) == k] for values in _between(volume, low, high))
    if count <= _HELD:
        return np.sort(np.concatenate(list(members)))[ranks].tolist()
    ends = [(float(values.min()), float(values.max())) for values in members if len(values)]
    return _order_statistics(volume, ranks, min(end[0] for end in ends), max(end[1] for end in ends))


def _between(volume: LazyVolume, low: float, high: float) -> Iterator[np.ndarray]:
    """float64 values in [low, high], piece by piece."""
    for _, slab in slabs(volume):
        for _, piece in pieces(slab):
            values = piece.astype(np.float64)
            yield values[(values >= low) & (values <= high)]


def _bin(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Number of the bin of each value in [low, high]: by arithmetic, never falling with the value."""
    return np.minimum((values - low) * (_BINS / (high - low)), _BINS - 1).astype(np.int64)
