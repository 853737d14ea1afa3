"""Closest and farthest voxels of clusters, exactly, without looking at all pairs.

Two trees are walked together (:mod:`weft.graph.trees`), nearest pairs of boxes first, so that most of the others turn
out to be too far. Squared distances are in double precision: exact for voxel indices, so that equal distances are
equal, and the answer is that of a search through all pairs, to the choice among equals.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError
from weft.graph.trees import Trees, cluster_points, grow_trees
from weft.io.products import Ragged

Algorithm = Literal["exact", "iterative"]

#: Pairs of tree nodes that may wait; the trees are halved, so there are never more than a few times their depth.
_STACK = 1024


class Pairs(NamedTuple):
    """One pair of voxels for each of m pairs of clusters, or for each cluster."""

    rows: np.ndarray
    """int64 (m, 2), rows of `coords`; −1 where there is none, or none that near"""
    distance: np.ndarray
    """float32 (m,), unit of `coords`; ∞ where there is none, or none that near"""


def closest_pairs(
    coords: np.ndarray,
    nodes: Ragged,
    edges: np.ndarray,
    algorithm: Algorithm = "exact",
    within: np.ndarray | float | None = None,
) -> Pairs:
    """The closest voxels of two clusters, for each edge (E, 2) of rows of `nodes`.

    Of equally close pairs it is the first one in row-major order of the matrix of distances (spec §2.2).
    "iterative" jumps from a voxel to the closest one of the other cluster until that does not help, from the ends of
    the clusters: not exact. within: (E,) or a number, longest distance of interest, exclusive.

    Raises:
        WeftError: an edge names a cluster that is not there, or `algorithm` is none.
    """
    edges = _edges(edges, len(nodes))
    limit = np.full(len(edges), np.inf) if within is None else np.broadcast_to(within, len(edges)).astype(np.float64)
    offsets = np.asarray(nodes.offsets, np.int64)
    if algorithm == "exact":
        trees = grow_trees(coords, nodes)
        generous = np.maximum(limit, 0.0) ** 2 * (1 + 1e-12) + 1e-300  # than the comparison of the distances below
        found, square = _closest(trees, edges, generous)
    elif algorithm == "iterative":
        found, square = _closest_iterative(cluster_points(coords, nodes), offsets, edges)
    else:
        raise WeftError(f"algorithm {algorithm!r} of the closest voxels, expected exact or iterative")
    far = ~(np.sqrt(square) < limit)
    found[far], square[far] = -1, np.inf
    return Pairs(_rows(nodes, found, edges), np.sqrt(square).astype(np.float32))


def farthest_pairs(coords: np.ndarray, nodes: Ragged, algorithm: Algorithm = "exact") -> Pairs:
    """The two voxels of each cluster that are farthest from one another, the first such pair in row-major order.

    Both are the same voxel in a cluster of one. "iterative" jumps to the farthest voxel until that does not help, from
    the one farthest from the centroid: not exact.
    """
    if algorithm == "exact":
        found, square = _farthest(grow_trees(coords, nodes))
    elif algorithm == "iterative":
        found, square = _farthest_iterative(cluster_points(coords, nodes), np.asarray(nodes.offsets, np.int64))
    else:
        raise WeftError(f"algorithm {algorithm!r} of the farthest voxels, expected exact or iterative")
    every = np.arange(len(nodes))
    return Pairs(_rows(nodes, found, np.stack([every, every], 1)), np.sqrt(square).astype(np.float32))


def distance_matrix(
    coords: np.ndarray, nodes: Ragged, measure: Literal["voxel", "centroid"] = "voxel", algorithm: Algorithm = "exact"
) -> np.ndarray:
    """float32 (n, n): distances between clusters, by their closest voxels or by their centroids; diagonal 0."""
    n = len(nodes)
    edges = np.stack(np.triu_indices(n, 1), 1)
    if measure == "centroid":
        distance = edge_lengths(coords, nodes, edges)
    else:
        distance = closest_pairs(coords, nodes, edges, algorithm).distance
    matrix = np.zeros((n, n), np.float32)
    matrix[edges[:, 0], edges[:, 1]] = matrix[edges[:, 1], edges[:, 0]] = distance
    return matrix


def edge_lengths(coords: np.ndarray, nodes: Ragged, edges: np.ndarray) -> np.ndarray:
    """float32 (E,): distances between the centroids of clusters; NaN where one is empty."""
    edges = _edges(edges, len(nodes))
    sums = _sums(cluster_points(coords, nodes), np.asarray(nodes.offsets, np.int64))
    with np.errstate(invalid="ignore"):
        centroids = sums / nodes.counts[:, None]
    return np.sqrt(((centroids[edges[:, 0]] - centroids[edges[:, 1]]) ** 2).sum(1)).astype(np.float32)


def _edges(edges: np.ndarray, n: int) -> np.ndarray:
    edges = np.ascontiguousarray(edges, np.int64).reshape(-1, 2)
    if len(edges) and (edges.min() < 0 or edges.max() >= n):
        raise WeftError(f"edges between clusters {edges.min()} to {edges.max()}, expected 0 to {n - 1}")
    return edges


def _rows(nodes: Ragged, found: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Rows of voxels, of their positions in the clusters `owners`, both (m, 2)."""
    rows = np.full(found.shape, -1, np.int64)
    there = found >= 0
    values = np.asarray(nodes.values).reshape(-1)
    rows[there] = values[(np.asarray(nodes.offsets)[:-1][owners] + found)[there]]
    return rows


@kernel
def _sums(points: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(offsets) - 1, 3))
    for k in range(len(sums)):
        for i in range(offsets[k], offsets[k + 1]):
            for a in range(3):
                sums[k, a] += points[i, a]
    return sums


@kernel
def _gap(trees: Trees, s: int, t: int) -> float:
    """Squared distance of two boxes: no pair of their voxels is nearer, rounding included (each step is monotonic)."""
    total = 0.0
    for a in range(3):
        gap = max(trees.low[s, a] - trees.high[t, a], trees.low[t, a] - trees.high[s, a])
        if gap > 0.0:
            total += gap * gap
    return total


@kernel
def _span(trees: Trees, s: int, t: int) -> float:
    """Squared greatest distance in two boxes: no pair of their voxels is farther."""
    total = 0.0
    for a in range(3):
        span = max(trees.high[s, a] - trees.low[t, a], trees.high[t, a] - trees.low[s, a])
        total += span * span
    return total


@kernel
def _square(points: np.ndarray, i: int, j: int) -> float:
    dx, dy, dz = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1], points[i, 2] - points[j, 2]
    return dx * dx + dy * dy + dz * dz


@kernel
def _closest(trees: Trees, edges: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (E, 2) of the closest voxels and their squared distance, if less than `limit` (E,)."""
    found = np.full((len(edges), 2), -1, np.int64)
    square = np.full(len(edges), np.inf)
    stack = np.empty((_STACK, 2), np.int64)
    gaps = np.empty(_STACK)
    for e in range(len(edges)):
        s, t = trees.root[edges[e, 0]], trees.root[edges[e, 1]]
        if s < 0 or t < 0:
            continue
        best = limit[e]
        best_i = best_j = -1  # of no pair: equal to the limit is too far
        stack[0, 0], stack[0, 1], gaps[0] = s, t, _gap(trees, s, t)
        waiting = 1
        while waiting:
            waiting -= 1
            gap, s, t = gaps[waiting], stack[waiting, 0], stack[waiting, 1]
            if gap > best or (gap == best and not _before(trees.lowest[s], trees.lowest[t], best_i, best_j)):
                continue
            if trees.child[s] < 0 and trees.child[t] < 0:
                for i in range(trees.first[s], trees.last[s]):
                    for j in range(trees.first[t], trees.last[t]):
                        d = _square(trees.points, i, j)
                        if d < best or (d == best and _before(trees.position[i], trees.position[j], best_i, best_j)):
                            best, best_i, best_j = d, trees.position[i], trees.position[j]
                continue
            halve_s = trees.child[t] < 0 or (
                trees.child[s] >= 0 and trees.last[s] - trees.first[s] >= trees.last[t] - trees.first[t]
            )
            for half in range(2):
                at = waiting + half
                stack[at, 0] = trees.child[s] + half if halve_s else s
                stack[at, 1] = t if halve_s else trees.child[t] + half
                gaps[at] = _gap(trees, stack[at, 0], stack[at, 1])
            if gaps[waiting] < gaps[waiting + 1]:  # the nearer half is looked at first
                _swap(stack, gaps, waiting)
            waiting += 2
        if best_i >= 0:
            found[e, 0], found[e, 1], square[e] = best_i, best_j, best
    return found, square


@kernel
def _before(i: int, j: int, best_i: int, best_j: int) -> bool:
    """Whether pair (i, j) comes before the best one in row-major order."""
    return i < best_i or (i == best_i and j < best_j)


@kernel
def _swap(stack: np.ndarray, bounds: np.ndarray, at: int) -> None:
    for side in range(2):
        stack[at, side], stack[at + 1, side] = stack[at + 1, side], stack[at, side]
    bounds[at], bounds[at + 1] = bounds[at + 1], bounds[at]


@kernel
def _farthest(trees: Trees) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 2) of the voxels farthest apart in each cluster and their squared distance."""
    n = len(trees.root)
    found = np.full((n, 2), -1, np.int64)
    square = np.full(n, np.inf)
    stack = np.empty((_STACK, 2), np.int64)
    spans = np.empty(_STACK)
    for k in range(n):
        root = trees.root[k]
        if root < 0:
            continue
        first, last = trees.first[root], trees.last[root]
        best, best_i, best_j = 0.0, 0, 0
        i = first
        for _ in range(3):  # a few jumps find a pair that is nearly the farthest, so that most boxes are skipped
            far, j = -1.0, i
            for m in range(first, last):
                d = _square(trees.points, i, m)
                if d > far:
                    far, j = d, m
            if far > best:
                best = far
                best_i = min(trees.position[i], trees.position[j])
                best_j = max(trees.position[i], trees.position[j])
            i = j
        stack[0, 0], stack[0, 1], spans[0] = root, root, _span(trees, root, root)
        waiting = 1
        while waiting:
            waiting -= 1
            span, s, t = spans[waiting], stack[waiting, 0], stack[waiting, 1]
            low, high = min(trees.lowest[s], trees.lowest[t]), max(trees.lowest[s], trees.lowest[t])
            if span < best or (span == best and not _before(low, high, best_i, best_j)):
                continue
            if trees.child[s] < 0 and trees.child[t] < 0:
                for i in range(trees.first[s], trees.last[s]):
                    for j in range(trees.first[t], trees.last[t]):
                        d = _square(trees.points, i, j)
                        if d >= best:
                            low = min(trees.position[i], trees.position[j])
                            high = max(trees.position[i], trees.position[j])
                            if d > best or _before(low, high, best_i, best_j):
                                best, best_i, best_j = d, low, high
                continue
            if s == t:
                pairs = 3
                c = trees.child[s]
                stack[waiting, 0] = stack[waiting, 1] = c
                stack[waiting + 1, 0] = stack[waiting + 1, 1] = c + 1
                stack[waiting + 2, 0], stack[waiting + 2, 1] = c, c + 1
            else:
                pairs = 2
                halve_s = trees.child[t] < 0 or (
                    trees.child[s] >= 0 and trees.last[s] - trees.first[s] >= trees.last[t] - trees.first[t]
                )
                for half in range(2):
                    stack[waiting + half, 0] = trees.child[s] + half if halve_s else s
                    stack[waiting + half, 1] = t if halve_s else trees.child[t] + half
            for m in range(pairs):
                spans[waiting + m] = _span(trees, stack[waiting + m, 0], stack[waiting + m, 1])
            if pairs == 2 and spans[waiting] > spans[waiting + 1]:  # the farther half is looked at first
                _swap(stack, spans, waiting)
            waiting += pairs
        found[k, 0], found[k, 1], square[k] = best_i, best_j, best
    return found, square


@kernel
def _jump(points: np.ndarray, x: float, y: float, z: float, start: int, stop: int, sign: float) -> tuple[int, float]:
    """The point of [start, stop) nearest to (x, y, z), or farthest for sign −1; the first of equals."""
    best, found = np.inf, start
    for i in range(start, stop):
        dx, dy, dz = points[i, 0] - x, points[i, 1] - y, points[i, 2] - z
        d = sign * (dx * dx + dy * dy + dz * dz)
        if d < best:
            best, found = d, i
    return found, sign * best


@kernel
def _ends(points: np.ndarray, start: int, stop: int) -> tuple[int, int, float]:
    """Two points far from one another: from the one farthest from the centroid, jump until it gets no farther."""
    x = y = z = 0.0
    for i in range(start, stop):
        x += points[i, 0]
        y += points[i, 1]
        z += points[i, 2]
    size = stop - start
    here, _ = _jump(points, x / size, y / size, z / size, start, stop, -1.0)
    pair = np.array([here, here])
    side, reached = 0, -1.0
    while True:
        p = points[pair[side]]
        there, d = _jump(points, p[0], p[1], p[2], start, stop, -1.0)
        if d <= reached:
            return pair[0], pair[1], reached
        side = 1 - side
        pair[side], reached = there, d


@kernel
def _farthest_iterative(points: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(offsets) - 1
    found = np.full((n, 2), -1, np.int64)
    square = np.full(n, np.inf)
    for k in range(n):
        if offsets[k] < offsets[k + 1]:
            i, j, square[k] = _ends(points, offsets[k], offsets[k + 1])
            found[k, 0], found[k, 1] = i - offsets[k], j - offsets[k]
    return found, square


@kernel
def _closest_iterative(points: np.ndarray, offsets: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = np.full((len(edges), 2), -1, np.int64)
    square = np.full(len(edges), np.inf)
    n = len(offsets) - 1
    ends = np.full((n, 2), -1, np.int64)
    for k in range(n):
        if offsets[k] < offsets[k + 1]:
            ends[k, 0], ends[k, 1], _ = _ends(points, offsets[k], offsets[k + 1])
    pair = np.empty(2, np.int64)
    for e in range(len(edges)):
        if ends[edges[e, 0], 0] < 0 or ends[edges[e, 1], 0] < 0:
            continue
        best, side = np.inf, 0
        for near in range(2):  # the end of either cluster that is nearest to the other one
            other = edges[e, 1 - near]
            for which in range(2):
                i = ends[edges[e, near], which]
                j, d = _jump(points, points[i, 0], points[i, 1], points[i, 2], offsets[other], offsets[other + 1], 1.0)
                if d < best:
                    best, side = d, 1 - near
                    pair[near], pair[1 - near] = i, j
        while True:  # from the newest voxel to the one nearest to it on the other side
            other = edges[e, 1 - side]
            p = points[pair[side]]
            j, d = _jump(points, p[0], p[1], p[2], offsets[other], offsets[other + 1], 1.0)
            if d >= best:
                break
            side = 1 - side
            pair[side], best = j, d
        for a in range(2):
            found[e, a] = pair[a] - offsets[edges[e, a]]
        square[e] = best
    return found, square
