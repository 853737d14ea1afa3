"""Quantiles and shares from binned counts, which add up over events as quantiles themselves do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def bin_of(values: ArrayLike, edges: ArrayLike) -> NDArray[np.int64]:
    """Bin k for edges[k] ≤ value < edges[k + 1]; values beyond the edges go to the first or last bin."""
    edges = np.asarray(edges)
    found = np.searchsorted(edges, np.asarray(values, np.float64), side="right") - 1
    return np.clip(found, 0, len(edges) - 2).astype(np.int64)


def quantile(counts: ArrayLike, edges: ArrayLike, share: float) -> Array:
    """The value below which a share of what was counted lies, linear within its bin.

    counts: [..., B]; edges: [B + 1], the first and the last may be infinite: a quantile in such a bin is its finite
    edge. NaN where nothing was counted.
    """
    counts, edges = np.asarray(counts, np.float64), np.asarray(edges, np.float64)
    cumulative = np.cumsum(counts, axis=-1)
    total = cumulative[..., -1]
    target = share * total
    number = (cumulative < target[..., None]).sum(axis=-1)
    number = np.minimum(number, counts.shape[-1] - 1)
    inside = np.take_along_axis(counts, number[..., None], -1)[..., 0]
    before = np.take_along_axis(cumulative, number[..., None], -1)[..., 0] - inside
    low, high = edges[number], edges[number + 1]
    low, high = np.where(np.isfinite(low), low, high), np.where(np.isfinite(high), high, low)
    part = np.divide(target - before, inside, out=np.zeros_like(total), where=inside > 0)
    return np.where(total > 0, low + part * (high - low), np.nan)


def half_width(counts: ArrayLike, edges: ArrayLike, share: float = 0.68) -> Array:
    """Half of the distance between the quantiles that leave out equal tails: the standard deviation of a Gaussian for
    68 %."""
    tail = 0.5 * (1 - share)
    return 0.5 * (quantile(counts, edges, 1 - tail) - quantile(counts, edges, tail))
