"""Thresholds that a stack says by itself, from a histogram of its values.

A threshold of a histogram takes a millisecond where one of all voxels takes a second, and differs from it by less than
a bin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 4096
_STEPS = 1000  # Li's iteration ends long before


def histogram(values: np.ndarray) -> tuple[NDArray[Any], NDArray[Any]]:
    """(counts, centres), integers and floats, of equal bins from the lowest to the highest value.

    Of a constant or empty array a single bin.
    """
    flat = np.asarray(values).ravel()
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 0.0)
    if not high > low:
        return np.array([len(flat)]), np.array([low])
    number = np.minimum((flat.astype(np.float64) - low) * (_BINS / (high - low)), _BINS - 1).astype(np.int64)
    width = (high - low) / _BINS
    return np.bincount(number, minlength=_BINS), low + width * (np.arange(_BINS) + 0.5)


def otsu(counts: np.ndarray, centres: np.ndarray) -> float:
    """The threshold with the largest variance between what lies above and below (Otsu 1979).

    What is brighter than it is foreground; of a single bin it is its centre, above which there is nothing.
    """
    if len(counts) == 1:
        return float(centres[0])
    n = counts.astype(np.float64)
    below, above = np.cumsum(n)[:-1], np.cumsum(n[::-1])[::-1][1:]
    sums = np.cumsum(n * centres)
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(centres[int((below * above * (means[1] - means[0]) ** 2).argmax())])


def li(counts: np.ndarray, centres: np.ndarray) -> float:
    """The threshold of minimum cross entropy, by the iteration of Li and Tam (1998) from the mean.

    What is brighter than it is foreground; of a single bin it is its centre, above which there is nothing.
    """
    if len(counts) == 1:
        return float(centres[0])
    width = float(centres[1] - centres[0])
    low = float(centres[0]) - width / 2
    n, shifted = counts.astype(np.float64), centres - low  # above 0, for the logarithms
    threshold = float((n * shifted).sum() / n.sum())
    for _ in range(_STEPS):
        bright = shifted > threshold
        dark_mean = float((n * shifted)[~bright].sum() / max(n[~bright].sum(), 1))
        bright_mean = float((n * shifted)[bright].sum() / max(n[bright].sum(), 1))
        if not 0 < dark_mean < bright_mean:
            break
        following = (bright_mean - dark_mean) / (np.log(bright_mean) - np.log(dark_mean))
        done = abs(following - threshold) < width / 2
        threshold = following
        if done:
            break
    return low + threshold
