"""Points of several owners, of which each is asked for near ones of its own: no tree, and the same order every time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.compiled import kernel


class OwnedPoints(NamedTuple):
    """Points sorted by owner, and within one along the axis on which its points lie farthest apart.

    Attributes:
        position: float64 (d, 3), sorted. order: int64 (d,), which of the given points these are.
        start: int64 (p + 1,): points of owner o are ``start[o]:start[o + 1]``. axis: int64 (p,).
    """

    position: np.ndarray
    order: np.ndarray
    start: np.ndarray
    axis: np.ndarray


def owned_points(position: np.ndarray, owner: np.ndarray, number: int) -> OwnedPoints:
    """Of points (d, 3) with owners int (d,), each below `number`; of points in one place the first comes first."""
    owner = np.asarray(owner, np.int64)
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=number))])
    order = np.argsort(owner, kind="stable")
    axis = np.zeros(number, np.int64)
    some = np.flatnonzero(np.diff(start))
    if len(some):
        sorted_position = position[order]
        extent = np.maximum.reduceat(sorted_position, start[some]) - np.minimum.reduceat(sorted_position, start[some])
        axis[some] = extent.argmax(axis=1)
        order = np.lexsort((position[np.arange(len(owner)), axis[owner]], owner))
    return OwnedPoints(position[order], order, start, axis)


def is_near(points: OwnedPoints, place: np.ndarray, owner: np.ndarray, reach: float) -> np.ndarray:
    """bool (n,): whether a point of the owner int (n,) lies less than `reach` from a place (n, 3); not where that is
    not finite."""
    return _is_near(*points, np.ascontiguousarray(place, np.float64), np.asarray(owner, np.int64), reach)


def links(points: OwnedPoints, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of points of one owner that lie at most `reach` from each other, each with itself too, both ways.

    Returns a sparse matrix by rows of the sorted points: float64 distances, int64 columns, int64 first pair of a row.
    """
    return _links(*points, reach)


def along_way(
    points: OwnedPoints, way: np.ndarray, weight: np.ndarray, place: np.ndarray, owner: np.ndarray, radius: float
) -> np.ndarray:
    """float64 (n, 3): the weighted covariance of position and way over the points of the owner int (n,) within the
    radius of a place (n, 3); NaN where they weigh nothing.

    way, weight: float64 (d,), of the sorted points.
    """
    return _along_way(*points, way, weight, np.ascontiguousarray(place, np.float64), owner.astype(np.int64), radius)


@kernel
def _first(position, axis, start, stop, value):
    """The first point of sorted ones whose coordinate is at least the value."""
    while start < stop:
        middle = (start + stop) // 2
        if position[middle, axis] < value:
            start = middle + 1
        else:
            stop = middle
    return start


@kernel
def _squared(first, second):
    total = 0.0
    for a in range(3):
        total += (first[a] - second[a]) ** 2
    return total


@kernel
def _is_near(position, order, start, axis, place, owner, reach):
    near = np.zeros(len(place), np.bool_)
    for i in range(len(place)):
        along, stop = axis[owner[i]], start[owner[i] + 1]
        j = _first(position, along, start[owner[i]], stop, place[i, along] - reach)
        while j < stop and position[j, along] <= place[i, along] + reach:
            if _squared(position[j], place[i]) < reach * reach:
                near[i] = True
                break
            j += 1
    return near


@kernel
def _links(position, order, start, axis, reach):
    number = len(position)
    first = np.zeros(number + 1, np.int64)
    for count in (True, False):
        if not count:
            first[1:] = np.cumsum(first[1:])
            column = np.empty(first[number], np.int64)
            distance = np.empty(first[number], np.float64)
        n = 0
        for o in range(len(axis)):
            along = axis[o]
            lower = start[o]
            for i in range(start[o], start[o + 1]):
                while position[lower, along] < position[i, along] - reach:
                    lower += 1
                j = lower
                while j < start[o + 1] and position[j, along] <= position[i, along] + reach:
                    squared = _squared(position[i], position[j])
                    if squared <= reach * reach:
                        if count:
                            first[i + 1] += 1
                        else:
                            column[n], distance[n] = j, np.sqrt(squared)
                            n += 1
                    j += 1
    return distance, column, first


@kernel
def _along_way(position, order, start, axis, way, weight, place, owner, radius):
    found = np.empty((len(place), 3), np.float64)
    for i in range(len(place)):
        along, stop = axis[owner[i]], start[owner[i] + 1]
        lower = _first(position, along, start[owner[i]], stop, place[i, along] - radius)
        upper = lower
        total = mean = 0.0
        while upper < stop and position[upper, along] <= place[i, along] + radius:
            if _squared(position[upper], place[i]) <= radius * radius:
                total += weight[upper]
                mean += weight[upper] * way[upper]
            upper += 1
        found[i] = 0.0 if total > 0 else np.nan
        if total > 0:
            mean /= total
            for j in range(lower, upper):
                if _squared(position[j], place[i]) <= radius * radius:
                    for a in range(3):
                        found[i, a] += weight[j] * (way[j] - mean) * (position[j, a] - place[i, a])
    return found
