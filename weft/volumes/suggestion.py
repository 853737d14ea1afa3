"""Which normalisation suits a stack, and why (microscopy_segmentation spec §8).

What is measured: how far the extremes lie from the bulk, whether the camera saturates, how much the level of the
background changes across the field, and how large the structures are that such a change must not be taken for.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from weft.volumes.lazy import LazyVolume, slabs
from weft.volumes.recipes import AutoContrast, Background, Percentile, Step
from weft.volumes.statistics import quantiles, statistics

_TILES = 6  # of the field along y and x, at most, in which the level of the background is measured
_TILE = 24  # voxels of a tile, at least: a smaller one may be all structure
_DIM = 0.2  # quantile of a tile that is its background
_UNEVEN = 0.15  # of the range of intensities: a background that changes by more is subtracted
_SATURATED = 1e-4  # share of voxels at the largest value of the type from which the camera saturates
_OUTLYING = 2.0  # how many times the range of nearly all voxels the extremes may span
_SIGMA = 50.0  # voxels, of the background as in the Trainer's recipes; less in a small field


class Suggestion(NamedTuple):
    steps: tuple[Step, ...]
    facts: dict[str, float]
    """what was measured, by name"""
    reasons: tuple[str, ...]
    """a sentence for each step and each warning"""


def suggest(volume: LazyVolume) -> Suggestion:
    """A recipe for a stack [Z, Y, X].

    Raises WeftError for a volume without voxels and for values that are not finite.
    """
    found = statistics(volume)
    low, middle, high = quantiles(volume, [0.001, 0.5, 0.999])
    width = high - low
    facts = {
        "mean": found.mean, "standard deviation": found.deviation, "minimum": found.low, "maximum": found.high,
        "0.1 % quantile": low, "median": middle, "99.9 % quantile": high,
    }  # fmt: skip
    if not found.high > found.low:
        return Suggestion((Percentile(name="percentile"),), facts, ("All voxels are the same: nothing will be seen.",))
    steps: list[Step] = []
    reasons: list[str] = []
    facts["unevenness"] = uneven = _unevenness(volume) / (width or found.high - found.low)
    if uneven > _UNEVEN:
        sigma = min(_SIGMA, max(2.0, min(volume.shape[1:]) / 8))
        steps.append(Background(name="background", sigma=sigma))
        reasons.append(
            f"The background changes by {100 * uneven:.0f} % of the range of intensities across the field: a blur of "
            f"{sigma:g} voxels is subtracted. It takes structures that are wider than that for background."
        )
    outlying = (found.high - found.low) / width if width else math.inf
    facts["range over that of 99.8 % of the voxels"] = outlying
    if steps or outlying > _OUTLYING or not found.deviation:
        steps.append(Percentile(name="percentile"))
        what = "what is left" if len(steps) > 1 else "nearly all voxels"
        reasons.append(f"Percentiles of {what} say what is black and white: a single bright voxel cannot.")
    else:
        below = _half_up((found.mean - low) / found.deviation)
        above = _half_up((high - found.mean) / found.deviation)
        steps.append(AutoContrast(name="auto_contrast", below=below, above=above))
        reasons.append(
            f"No voxel lies far out: all but 0.1 % at each end are within {below:g} standard deviations below and "
            f"{above:g} above the mean."
        )
    top = np.iinfo(volume.dtype).max if np.dtype(volume.dtype).kind in "iu" else None
    if top is not None and found.high == top:
        facts["saturated share"] = saturated = _share_at(volume, top)
        if saturated > _SATURATED:
            reasons.append(f"{100 * saturated:.2f} % of the voxels are at {top}: the camera was saturated.")
    return Suggestion(tuple(steps), facts, tuple(reasons))


def _half_up(value: float) -> float:
    """To the next half above, at least one half."""
    return max(0.5, math.ceil(2 * value) / 2)


def _unevenness(volume: LazyVolume) -> float:
    """Spread of the background level over tiles of the field: from the second darkest to the second brightest."""
    _, height, width = volume.shape
    rows, columns = (np.linspace(0, n, max(1, min(_TILES, n // _TILE)) + 1).astype(int) for n in (height, width))
    levels: list[np.ndarray] = []
    weights: list[int] = []
    for _, slab in slabs(volume):
        tiles = [[np.quantile(slab[:, a:b, c:d], _DIM) for c, d in pairwise(columns)] for a, b in pairwise(rows)]
        levels.append(np.array(tiles, np.float64).ravel())
        weights.append(len(slab))
    level = np.sort(np.average(levels, axis=0, weights=weights))
    inner = level[1:-1] if len(level) > 4 else level
    return float(inner[-1] - inner[0])


def _share_at(volume: LazyVolume, value: int) -> float:
    return sum(int((slab == value).sum()) for _, slab in slabs(volume)) / math.prod(volume.shape)
