"""Tracks cut into segments, and how long they are (spec §1.11: `step_next`, `bin_pca`)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from weft.compiled import kernel

Method = Literal["step_next", "bin_pca"]


class Segments(NamedTuple):
    """A track in S pieces, in the order from its start."""

    of_voxel: np.ndarray
    """int64 [n]: the segment of each voxel, −1 where the walk left it out"""
    direction: np.ndarray
    """float64 [S, 3]"""
    length: np.ndarray
    """float64 [S], unit of the points"""


def segments(
    points: np.ndarray, start: np.ndarray, length: float, method: Method = "step_next", fewest: int = 10
) -> Segments:
    """Cut a track into segments of `length`.

    Args:
        points: [n, 3], in cm if `length` is.
        start: [3], where the track begins; `step_next` moves it to the nearest point.
        length: of a segment; the last one is as long as what is left.
        method: `step_next` walks: a segment is the points within `length` of where it begins, and goes towards the
            nearest of the points beyond, where the next one begins. It ends where the nearest point beyond lies back
            towards the start. `bin_pca` slices along the principal axis of the whole track; a slice goes along its own
            principal axis.
        fewest: `bin_pca`: a slice of so few points or less goes along the axis of the track.
    """
    points = np.ascontiguousarray(points, np.float64)
    if not len(points):
        return Segments(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0))
    start = np.ascontiguousarray(start, np.float64)
    if method == "step_next":
        return Segments(*_walk(points, start, float(length)))
    return _slices(points, start, float(length), fewest)


def track_length(points: np.ndarray, start: np.ndarray, length: float = 5.0, method: Method = "step_next") -> float:
    """Length of a track, in the unit of its points: that of its :func:`segments`, added up."""
    return float(segments(points, start, length, method).length.sum())


@kernel
def _walk(points: np.ndarray, start: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = len(points)
    of_voxel = np.full(n, -1, np.int64)
    directions, lengths = np.empty((n, 3)), np.empty(n)
    left = np.arange(n)
    distance = np.empty(n)
    nearest, best = 0, np.inf
    for i in range(n):
        d = ((points[i] - start) ** 2).sum()
        if d < best:
            nearest, best = i, d
    first = points[nearest].copy()
    here = first.copy()
    number = 0
    remaining = n
    while remaining > 0:
        beyond, next_distance = -1, np.inf
        inside, far, far_distance = 0, -1, -1.0
        for i in range(remaining):
            d = np.sqrt(((points[left[i]] - here) ** 2).sum())
            distance[i] = d
            if d <= step:
                inside += 1
                if d > far_distance:
                    far, far_distance = left[i], d
            elif d < next_distance:
                beyond, next_distance = left[i], d
        if beyond >= 0 and ((points[beyond] - here) * (here - first)).sum() < 0:
            # The track went on behind its own back: what is beyond belongs to no segment.
            beyond = -1
            if inside == 0:
                break
        towards = points[beyond] - here if beyond >= 0 else points[far] - here
        norm = np.sqrt((towards**2).sum())
        direction = towards / norm if norm > 0 else np.array([1.0, 0.0, 0.0])
        length = step if beyond >= 0 else ((points[far] - here) * direction).sum()
        kept = 0
        for i in range(remaining):
            row = left[i]
            if distance[i] <= step:
                of_voxel[row] = number
            elif beyond >= 0:
                left[kept] = row
                kept += 1
        remaining = kept
        here = here + length * direction
        if number == len(lengths):  # segments without points: a track with gaps wider than the step
            directions = np.concatenate((directions, np.empty((number, 3))))
            lengths = np.concatenate((lengths, np.empty(number)))
        directions[number], lengths[number] = direction, length
        number += 1
    return of_voxel, directions[:number].copy(), lengths[:number].copy()


def _slices(points: np.ndarray, start: np.ndarray, length: float, fewest: int) -> Segments:
    axis = _principal_axis(points)
    along = points @ axis
    begin = float(start @ axis)
    if abs(along.max() - begin) < abs(along.min() - begin):
        axis, along, begin = -axis, -along, -begin
    # Slices begin at the start, or at the first point where that lies behind it; the last one ends at the last point.
    low, high = min(begin, float(along.min())), float(along.max())
    count = max(int(np.ceil((high - low) / length)), 1)
    of_voxel = np.clip(((along - low) / length).astype(np.int64), 0, count - 1)
    directions = np.tile(axis, (count, 1))
    found, chosen = _principal_axes(points, of_voxel, count, max(fewest, 1))
    directions[chosen] = np.where((found @ axis < 0)[:, None], -found, found)
    extent = np.full(count, length)
    extent[-1] = high - low - (count - 1) * length
    cosine = directions @ axis
    return Segments(of_voxel, directions, np.where(cosine > 0, extent / np.maximum(cosine, 1e-9), extent))


def _principal_axis(points: np.ndarray) -> np.ndarray:
    """Unit vector along the greatest spread; of its two signs the one whose largest component is positive."""
    centred = points - points.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, 2]
    return axis * np.sign(axis[np.abs(axis).argmax()])


def _principal_axes(points: np.ndarray, group: np.ndarray, count: int, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """[m, 3], and the groups [m] they are of: principal axes of those with more than `fewest` points."""
    number = np.bincount(group, minlength=count)
    chosen = np.flatnonzero(number > fewest)
    mean = np.stack([np.bincount(group, points[:, a], count) for a in range(3)], 1) / np.maximum(number, 1)[:, None]
    centred = points - mean[group]
    spread = np.empty((count, 3, 3))
    for a in range(3):
        for b in range(a + 1):
            spread[:, a, b] = spread[:, b, a] = np.bincount(group, centred[:, a] * centred[:, b], count)
    axis = np.linalg.eigh(spread[chosen])[1][:, :, 2]
    largest = np.abs(axis).argmax(1)
    return axis * np.sign(axis[np.arange(len(axis)), largest])[:, None], chosen
