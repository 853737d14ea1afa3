"""From an embedding to fragments: seeds take the voxels around them (spec §1.4, `fit_predict` and SPINE's clusterer).

Seeds are visited in the order of falling seediness, so there is one sort. A seed looks only at the voxels that its
claim can reach, which cells of a grid hold; only for a fragment there is a pass over all voxels of its class. Nothing
of a pass is kept but the best claim on each voxel: memory is that of the voxels.

The claim of a seed s on voxel i is p = exp(−q), q = |e_i − e_s|² / 2σ_s², of which q is what is compared: so where p is
0 in floating point the nearest seed still wins, where the originals give the first one.
"""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel
from weft.tasks.spice.bins import Bins, along, bins
from weft.tasks.spice.options import ModelOptions


def cluster(
    position: np.ndarray, margin: np.ndarray, seediness: np.ndarray, classes: np.ndarray, options: ModelOptions
) -> np.ndarray:
    """int64 [N]: the fragment of each voxel of an event, numbered from 0 within class after class; −1: none.

    position: float [N, 3], margin, seediness: float [N], classes: integer [N].
    """
    labels = np.full(len(classes), -1, np.int64)
    s, p, how = options.thresholds("s_thresholds"), options.thresholds("p_thresholds"), options.clustering
    n = 0
    for number in options.class_numbers:
        rows = np.flatnonzero(classes == number)
        if not len(rows):
            continue
        found = cluster_one(
            position[rows],
            margin[rows],
            seediness[rows],
            s[number],
            p[number],
            how.rule == "greedy",
            how.cluster_all,
            how.min_size,
            how.mean_shift,
            how.fresh,
        )
        labels[rows] = np.where(found >= 0, found + n, -1)
        n = max(n, int(labels[rows].max()) + 1)
    return labels


def cluster_one(
    position: np.ndarray,
    margin: np.ndarray,
    seediness: np.ndarray,
    s_threshold: float,
    p_threshold: float,
    greedy: bool,
    cluster_all: bool,
    min_size: int,
    mean_shift: int = 0,
    fresh: float = 0.0,
) -> np.ndarray:
    """int64 [n]: the fragment of each voxel of one class, numbered from 0 by their seeds; −1: none.

    *compete* (2020): the surest voxel that nobody has taken takes all with p above the threshold, until none is sure
    enough, nothing is taken, or all are; then every voxel goes to the seed with the greatest claim on it; without
    `cluster_all` those with no claim of at least the threshold are dropped; in the end fragments below `min_size` are.

    *greedy* (SPINE): a seed keeps what it takes, those with p at least the threshold; if these are fewer than
    `min_size` it takes none, and is no seed any more; with `cluster_all` what is left over joins the fragment with the
    greatest claim, the seeds that failed too (SPINE 1.4 drops these).

    With `mean_shift` a seed claims with the mean embedding and margin of what it claims, found in so many rounds: the
    loss knows centroids, not seeds. With `fresh` a seed after the first makes no fragment where others have taken
    most of what it claims: it lies at the rim of one of theirs, and nothing that it claims is a seed any more (as in
    Neven et al., arXiv:1906.11109). Neither original of SPICE has these.
    """
    n = len(seediness)
    order = np.argsort(-seediness.astype(np.float64), kind="stable")
    with np.errstate(divide="ignore"):
        limit = -np.log(np.float64(p_threshold))
    place = np.ascontiguousarray(position, np.float64)
    labels, best, taken = _grow(
        place,
        bins(place),
        np.ascontiguousarray(margin, np.float64),
        np.ascontiguousarray(seediness, np.float64),
        order,
        s_threshold,
        limit,
        greedy,
        min_size,
        mean_shift,
        fresh,
    )
    if greedy:
        kept = taken if not cluster_all else np.ones(n, bool)
        return np.where(kept, labels, -1)
    if not cluster_all:
        labels = np.where(best <= limit, labels, -1)
    return dropped_below(labels, min_size)


def dropped_below(labels: np.ndarray, min_size: int) -> np.ndarray:
    """int64 [n]: clusters of `min_size` voxels and more, numbered anew in their order; −1 for the voxels of others."""
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    rank = np.where(sizes >= min_size, np.cumsum(sizes >= min_size) - 1, -1)
    return np.where(labels >= 0, rank[np.maximum(labels, 0)], -1)


@kernel
def _q(position: np.ndarray, i: int, x: float, y: float, z: float, twice: float) -> float:
    """−log of the claim on voxel i of a seed at x, y, z; twice: 2σ²."""
    return ((position[i, 0] - x) ** 2 + (position[i, 1] - y) ** 2 + (position[i, 2] - z) ** 2) / twice


@kernel
def _claim(
    position: np.ndarray,
    bins: Bins,
    x: float,
    y: float,
    z: float,
    twice: float,
    limit: float,
    equal: bool,
    claimed: np.ndarray,
) -> int:
    """How many voxels have q below `limit`, or `equal` to it; the first so many of `claimed` are their rows."""
    reach = np.sqrt(limit * twice) * (1 + 1e-9)  # rounding loses none
    x0, x1 = along(x, reach, bins, 0)
    y0, y1 = along(y, reach, bins, 1)
    z0, z1 = along(z, reach, bins, 2)
    count = 0
    for cell_x in range(x0, x1):
        for cell_y in range(y0, y1):
            line = (cell_x * bins.k + cell_y) * bins.k
            for i in bins.rows[bins.starts[line + z0] : bins.starts[line + z1]]:
                q = _q(position, i, x, y, z, twice)
                if q < limit or (equal and q == limit):
                    claimed[count] = i
                    count += 1
    return count


@kernel
def _grow(
    position: np.ndarray,
    bins: Bins,
    margin: np.ndarray,
    seediness: np.ndarray,
    order: np.ndarray,
    s_threshold: float,
    limit: float,
    greedy: bool,
    min_size: int,
    mean_shift: int,
    fresh: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label of each voxel (−1 without any seed), the best claim on it as q, and whether a seed took it."""
    n = len(order)
    labels, best = np.full(n, -1, np.int64), np.full(n, np.inf)
    taken, failed, passed = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    claimed = np.empty(n, np.int64)
    seeds, left = 0, n
    for seed in order:
        if taken[seed] or passed[seed]:
            continue
        if seediness[seed] < s_threshold:
            break
        x, y, z, width = position[seed, 0], position[seed, 1], position[seed, 2], margin[seed]
        count, twice = 0, 0.0
        for round_ in range(mean_shift + 1):
            twice = 2 * max(width, 1e-6) ** 2 if greedy else 2 * width * width + 1e-8
            count = _claim(position, bins, x, y, z, twice, limit, greedy, claimed)
            if count == 0 or round_ == mean_shift:
                break
            mx, my, mz, width = 0.0, 0.0, 0.0, 0.0
            for i in claimed[:count]:
                mx, my, mz = mx + position[i, 0] - x, my + position[i, 1] - y, mz + position[i, 2] - z
                width += margin[i]
            x, y, z, width = x + mx / count, y + my / count, z + mz / count, width / count
        new = 0
        for i in claimed[:count]:
            new += not taken[i] and not failed[i]
        if (fresh > 0 or mean_shift) and new <= fresh * count:  # of the first one where its centre has left all
            for i in claimed[:count]:
                passed[i] = True
            continue
        if greedy and new < min_size:
            failed[seed] = True
            left -= 1
            continue
        for i in range(n):
            q = _q(position, i, x, y, z, twice)
            if q < best[i] and not (greedy and taken[i]):
                labels[i], best[i] = seeds, q
        for i in claimed[:count]:
            if not taken[i] and not failed[i]:
                taken[i] = True
                left -= 1
                if greedy:
                    labels[i] = seeds
        seeds += 1
        if left == 0 or (not greedy and new == 0):
            break
    return labels, best, taken
