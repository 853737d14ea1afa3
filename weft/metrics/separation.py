"""How well a score tells good from bad, from counts binned by score.

Counts add up over events as areas do not: a histogram of the good and one of the bad for each event are all that a
pooled area, a curve or a bootstrap needs. Within a bin good and bad are taken as evenly mixed, which makes curves
linear there in the counts; for precision that is the interpolation of Davis & Goadrich (ICML 2006). With
:data:`SCORE_EDGES` areas are those of the scores themselves to about 10⁻³ (tests compare them with scikit-learn's).

Functions take arrays [..., bins] in increasing order of the score, and give [...], NaN where undefined.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.metrics.shares import share

Array = NDArray[np.float64]


def _edges() -> NDArray[np.float32]:
    log_odds = np.linspace(-16.0, 16.0, 257)
    found = np.concatenate([[0.0, 1.0], np.arange(1, 200) / 200, 1 / (1 + np.exp(-log_odds))])
    return np.unique(found.astype(np.float32))


#: Edges of bins of a probability: every half hundredth, and steps of ⅛ in the logarithm of the odds, where confident
#: scores differ. Single precision, as scores are: a score that was written as 0.2 is not below 0.2.
SCORE_EDGES = _edges()
SCORE_BINS = len(SCORE_EDGES) - 1


def score_bin(score: ArrayLike) -> NDArray[np.int64]:
    """The bin of :data:`SCORE_EDGES` of each score, lower edge ≤ score; 1 lies in the last bin."""
    found = np.searchsorted(SCORE_EDGES, np.asarray(score, np.float32), side="right") - 1
    return np.clip(found, 0, SCORE_BINS - 1).astype(np.int64)


def first_bin(threshold: float) -> int:
    """The first bin of scores from `threshold` on. ValueError where it is no edge."""
    found = int(np.searchsorted(SCORE_EDGES, np.float32(threshold)))
    if found == len(SCORE_EDGES) or SCORE_EDGES[found] != np.float32(threshold):
        raise ValueError(f"{threshold} is no edge of the bins of scores")
    return found


class Kept(NamedTuple):
    """What a cut keeps, at each lower edge of a bin and, last, above all: float64 [..., bins + 1]."""

    good: Array
    bad: Array


def kept(good: ArrayLike, bad: ArrayLike) -> Kept:
    """Good and bad of scores from each edge on."""
    return Kept(_from_above(good), _from_above(bad))


def roc_auc(good: ArrayLike, bad: ArrayLike) -> Array:
    """Probability that a good one has a higher score than a bad one, equal ones counting half."""
    good, bad = np.asarray(good, np.float64), np.asarray(bad, np.float64)
    below = np.cumsum(bad, axis=-1) - bad
    won = (good * (below + 0.5 * bad)).sum(axis=-1)
    return share(won, good.sum(axis=-1) * bad.sum(axis=-1))


def average_precision(good: ArrayLike, bad: ArrayLike) -> Array:
    """Mean over the good ones of the precision at their score: the area below the precision-recall curve.

    Within a bin the precision (T + t)/(N + rt) is integrated over the t good ones, T good ones and N of all scoring
    higher, r = (good + bad)/good of the bin.
    """
    good, bad = np.asarray(good, np.float64)[..., ::-1], np.asarray(bad, np.float64)[..., ::-1]
    above = np.cumsum(good, axis=-1) - good
    all_above = above + np.cumsum(bad, axis=-1) - bad
    there = good > 0
    rate = np.divide(good + bad, good, out=np.ones_like(good), where=there)
    first = all_above <= 0
    growth = np.log1p(np.divide(good + bad, all_above, out=np.zeros_like(good), where=~first))
    area = np.where(there, good / rate + (above - all_above / rate) / rate * np.where(first, 0.0, growth), 0.0)
    return share(area.sum(axis=-1), good.sum(axis=-1))


def rejection(good: ArrayLike, bad: ArrayLike, efficiency: float) -> Array:
    """Share of the bad ones below the score that this share of the good ones exceeds, linear within its bin."""
    cut = kept(good, bad)
    wanted = efficiency * cut.good[..., :1]
    # The last edge from which on enough good ones are kept: the cut lies in the bin above it.
    bins = cut.good.shape[-1] - 1
    edge = np.minimum((cut.good >= wanted).sum(axis=-1, keepdims=True) - 1, bins - 1)
    low, high = (np.take_along_axis(cut.good, at, -1) for at in (edge, edge + 1))
    bad_low, bad_high = (np.take_along_axis(cut.bad, at, -1) for at in (edge, edge + 1))
    part = np.divide(wanted - high, low - high, out=np.zeros_like(low), where=low > high)
    left = (bad_high + part * (bad_low - bad_high))[..., 0]
    return np.where(cut.good[..., 0] > 0, 1 - share(left, cut.bad[..., 0]), np.nan)


def efficiency(good: ArrayLike, threshold: float) -> Array:
    """Share of the good ones with at least this score, an edge of :data:`SCORE_EDGES`."""
    good = np.asarray(good, np.float64)
    return share(good[..., first_bin(threshold) :].sum(axis=-1), good.sum(axis=-1))


def purity(good: ArrayLike, bad: ArrayLike, threshold: float) -> Array:
    """Share of good ones among those with at least this score, an edge of :data:`SCORE_EDGES`."""
    start = first_bin(threshold)
    good = np.asarray(good, np.float64)[..., start:].sum(axis=-1)
    return share(good, good + np.asarray(bad, np.float64)[..., start:].sum(axis=-1))


def _from_above(counts: ArrayLike) -> Array:
    counts = np.asarray(counts, np.float64)
    whole = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1))
    whole[..., :-1] = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    return whole
