"""Bootstrap intervals over events, from sufficient statistics per event.

A metric of a data set is a function of counts summed over its events, so drawing events with replacement is a
product of multinomial weights with the per-event counts, and no voxel is touched again. Intervals are
percentile intervals (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.errors import WeftError

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]

#: Held-out events that a claim about a difference stands on, where a task does not say otherwise (DESIGN §6).
CLAIM_EVENTS = 200
_CHUNK = 4_000_000  # weights held at once (32 MB), whatever the number of events


@dataclass(frozen=True)
class Interval:
    """A statistic with its percentile interval; the three arrays have the shape of the statistic.

    Replicas in which the statistic is NaN (a class that no drawn event contains) are left out of the
    interval. Of a single event it is NaN: nothing says how far another one would lie.
    """

    value: Array
    low: Array
    high: Array
    level: float
    n_events: int


def bootstrap(
    counts: ArrayLike, statistic: Statistic, n_replicas: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of `statistic(sum of counts over events)` under resampling of events.

    counts: [E, ...] per-event sums, e.g. confusion counts [E, C, P].
    statistic: maps summed counts [R, ...] to values [R, ...], e.g. `weft.metrics.segmentation.mean_iou`.
    Raises WeftError without events.
    """
    counts = _per_event(counts)
    replicas = [statistic(_weighted_sums(weights, counts)) for weights in _weights(len(counts), n_replicas, seed)]
    return _interval(statistic(counts.sum(axis=0)[None])[0], replicas, level, len(counts))


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Statistic,
    n_replicas: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of `statistic(first) - statistic(second)` for two models scored on the same events.

    first, second: [E, ...], row k of both belonging to the same event: every replica draws the same events
    for both, so what makes an event hard for both cancels. Raises WeftError for different shapes or no
    events.
    """
    first, second = _per_event(first), _per_event(second)
    if first.shape != second.shape:
        raise WeftError(f"paired counts have shapes {first.shape} and {second.shape}: expected the same events in both")
    replicas = [
        statistic(_weighted_sums(weights, first)) - statistic(_weighted_sums(weights, second))
        for weights in _weights(len(first), n_replicas, seed)
    ]
    value = statistic(first.sum(axis=0)[None])[0] - statistic(second.sum(axis=0)[None])[0]
    return _interval(value, replicas, level, len(first))


def _per_event(counts: ArrayLike) -> Array:
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim == 0 or len(counts) == 0:
        raise WeftError("a bootstrap over events needs at least one event")
    return counts


def _weights(n_events: int, n_replicas: int, seed: int) -> Iterator[Array]:
    """How often each event is drawn: yields blocks [r, E] that sum to E along each row."""
    rng = np.random.default_rng(seed)
    block = max(1, _CHUNK // n_events)
    for start in range(0, n_replicas, block):
        rows = min(block, n_replicas - start)
        drawn = rng.integers(n_events, size=(rows, n_events)) + n_events * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_events).reshape(rows, n_events).astype(np.float64)


def _weighted_sums(weights: Array, counts: Array) -> Array:
    return (weights @ counts.reshape(len(counts), -1)).reshape(len(weights), *counts.shape[1:])


def _interval(value: Array, replicas: list[Array], level: float, n_events: int) -> Interval:
    if n_events == 1:
        unknown = np.full(np.shape(value), np.nan)
        return Interval(np.asarray(value), unknown, unknown, level, n_events)
    tail = (1 - level) / 2
    low, high = _quantiles(np.concatenate(replicas), [tail, 1 - tail])
    return Interval(np.asarray(value), low, high, level, n_events)


def _quantiles(values: Array, shares: list[float]) -> list[Array]:
    """Quantiles [...] of the values [R, ...] that are not NaN, linear between two, all columns at once; NaN of none."""
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.maximum(len(values) - np.isnan(values).sum(axis=0) - 1, 0)

    def at(row: NDArray[np.int64]) -> Array:
        return np.take_along_axis(ordered, row[None], axis=0)[0]

    found = []
    for share in shares:
        place = share * last
        row = np.floor(place).astype(np.int64)
        below, above = at(row), at(np.minimum(row + 1, last))
        found.append(below + (place - row) * (above - below))
    return found
