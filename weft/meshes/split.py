"""Points into compact parts of nearly equal size: recursive cuts across the longest principal axis (spec §4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def balanced_split(points: np.ndarray, parts: int, rng: np.random.Generator | None = None) -> NDArray[np.int32]:
    """int32 [M], numbers of the parts 0 to ``parts`` - 1; parts differ by at most one point.

    All parts of a level are cut at once: across the axis along which their points spread most, where the shares of
    points on both sides are those of the parts that each is still to be cut into. Points with the same coordinate along
    the axis keep their order, so equal input gives equal parts. Numbers follow the cuts: parts that are cut from each
    other late have near numbers.

    points: float [M, 3]. parts: at least 1 and at most M, or 1 where there is no point.
    rng: None cuts in the middle; else where parts are cut is drawn, and axes are tilted at random, so that other parts
    come out, of the same sizes.
    """
    points = np.asarray(points, np.float64)
    part = np.zeros(len(points), np.int64)
    wanted = np.array([parts])  # parts that each part is still to be cut into
    order = np.arange(len(points))  # points, part by part
    sizes = np.array([len(points)])
    while wanted.max() > 1:
        axes = _axes(points, part, sizes, rng)
        place = np.einsum("ij,ij->i", points, axes[part])
        order = order[np.lexsort((place[order], part[order]))]
        first = np.minimum(_left(wanted, rng), wanted)  # parts of the left half
        # So many points that the later parts have sizes that differ by one at most, on either side.
        small, larger = sizes // wanted, sizes % wanted
        left = small * first + np.minimum(larger, first)
        begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        inside = np.arange(len(points)) - np.repeat(begins, sizes)
        right = inside >= np.repeat(left, sizes)
        # New numbers, in the order of the old ones; a part that is whole already has no right half.
        whole = wanted == 1
        halves = np.where(whole, 1, 2)
        number = np.concatenate([[0], np.cumsum(halves)[:-1]])
        part[order] = np.repeat(number, sizes) + right
        sizes, wanted = (
            np.stack([both, rest], axis=1).reshape(-1)[np.stack([np.ones_like(whole), ~whole], axis=1).reshape(-1)]
            for both, rest in ((left, sizes - left), (first, wanted - first))
        )
    return part.astype(np.int32)


def _left(wanted: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """How many of the parts to be lie left of a cut: half of them, or drawn from the middle half."""
    if rng is None:
        return (wanted + 1) // 2
    share = rng.uniform(0.25, 0.75, len(wanted))
    return np.where(wanted > 1, np.clip(np.round(wanted * share).astype(np.int64), 1, wanted - 1), 1)


def _axes(points: np.ndarray, part: np.ndarray, sizes: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """float64 [parts, 3], the direction in which the points of each part spread most, of length 1."""
    n = len(sizes)
    counts = np.maximum(sizes, 1)
    means = np.stack([np.bincount(part, points[:, axis], n) for axis in range(3)], axis=1) / counts[:, None]
    away = points - means[part]
    spread = np.empty((n, 3, 3))
    for i in range(3):
        for j in range(i, 3):
            spread[:, i, j] = spread[:, j, i] = np.bincount(part, away[:, i] * away[:, j], n) / counts
    axes = np.linalg.eigh(spread)[1][:, :, 2]
    # An eigenvector may point either way: towards its largest component is positive.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.where(largest < 0, -1, 1)
    if rng is not None:
        axes = axes + 0.5 * rng.standard_normal(axes.shape)
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return axes
