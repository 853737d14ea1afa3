"""Graphs on the clusters of an event (spec §2.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.spatial import Delaunay, QhullError

from weft.errors import WeftError
from weft.graph.closest import Algorithm, Pairs, closest_pairs, edge_lengths
from weft.graph.grouping import minimum_spanning_tree
from weft.io.products import Ragged

Kind = Literal["complete", "delaunay", "mst", "knn", "loop", "bipartite"]


@dataclass(frozen=True)
class Graph:
    """Edges between clusters, each once, source < target (a loop: source = target; bipartite: primary to secondary).

    Attributes:
        edges: int64 (E, 2), rows of the clusters; sorted.
        lengths: float32 (E,), unit of `coords`.
        closest: int64 (E, 2), rows of `coords` of the closest voxels of each edge.
    """

    edges: np.ndarray
    lengths: np.ndarray
    closest: np.ndarray

    def __len__(self) -> int:
        return len(self.edges)

    def both_ways(self) -> np.ndarray:
        """int64 (2E, 2): every edge followed by its reverse (rows 2k and 2k + 1); loops, which are their own, once."""
        if (self.edges[:, 0] == self.edges[:, 1]).all():
            return self.edges
        return np.stack([self.edges, self.edges[:, ::-1]], axis=1).reshape(-1, 2)


def build_graph(
    coords: np.ndarray,
    nodes: Ragged,
    kind: Kind = "complete",
    *,
    classes: np.ndarray | None = None,
    max_length: float | Sequence[float] | np.ndarray | None = None,
    max_count: int | None = None,
    measure: Literal["voxel", "centroid"] = "voxel",
    algorithm: Algorithm = "exact",
    groups: np.ndarray | None = None,
    primaries: np.ndarray | None = None,
    k: int = 5,
) -> Graph:
    """Connect clusters.

    Args:
        coords: (N, 3); nodes: n clusters, none of them empty.
        kind: "complete": all pairs. "delaunay": pairs with voxels in a common simplex of the triangulation of all
            voxels; all pairs where they cannot be triangulated. "mst": minimum spanning tree by length. "knn": pairs
            of which one is among the `k` nearest of the other. "loop": every cluster with itself. "bipartite": every
            primary with everything that is none.
        classes: (n,), class of each cluster, 0 …; needed where `max_length` is given by class.
        max_length: edges of this length or more are left out: a number, or one for each pair of classes: the upper
            triangle by rows, (0,0), (0,1), …, (1,1), …, or the symmetric matrix (C, C). 0 forbids the pair.
        max_count: a graph with more directed edges (2E; E of a loop) than that loses all of them.
        measure: length by the closest voxels or by the centroids.
        algorithm: of the closest voxels.
        groups: (n,): no edges between clusters of different groups.
        primaries: bool (n,), for "bipartite".
        k: neighbours, for "knn"; of equally near ones the lowest.

    Raises:
        WeftError: an argument is missing, has the wrong length, or a class is outside the table of lengths.
    """
    n = len(nodes)
    if n and nodes.counts.min() == 0:
        raise WeftError(f"cluster {int(nodes.counts.argmin())} has no voxels, expected at least one in each")
    if measure not in ("voxel", "centroid"):
        raise WeftError(f"measure {measure!r} of lengths, expected voxel or centroid")
    edges = _candidates(coords, nodes, kind, primaries)
    if kind in ("mst", "knn"):  # these are chosen from the lengths of all pairs
        pairs = _measure(coords, nodes, edges, measure, algorithm, None)
        if kind == "mst":
            chosen = minimum_spanning_tree(edges, pairs.distance, n)
        else:
            chosen = _nearest(edges, pairs.distance, n, k)
        edges, pairs = edges[chosen], Pairs(pairs.rows[chosen], pairs.distance[chosen])
    if groups is not None:
        same = np.asarray(_of_nodes(groups, "groups", n))[edges]
        kept = same[:, 0] == same[:, 1]
        edges = edges[kept]
    else:
        kept = np.ones(len(edges), bool)
    limit = _limits(edges, max_length, classes, n)
    if kind in ("mst", "knn"):
        pairs = Pairs(pairs.rows[kept], pairs.distance[kept])
    else:
        allowed = limit > 0
        edges, limit = edges[allowed], limit[allowed]
        pairs = _measure(coords, nodes, edges, measure, algorithm, limit)
    short = pairs.distance < limit
    edges, lengths, rows = edges[short], pairs.distance[short], pairs.rows[short]
    if max_count is not None and len(edges) * (1 if kind == "loop" else 2) > max_count:
        edges, lengths, rows = edges[:0], lengths[:0], rows[:0]
    if measure == "centroid":  # the lengths did not need them
        rows = closest_pairs(coords, nodes, edges, algorithm).rows
    return Graph(edges, lengths, rows)


def upper_triangle(lengths: Sequence[float]) -> np.ndarray:
    """float64 (C, C), symmetric, from its C(C+1)/2 upper triangular elements by rows.

    Raises:
        WeftError: there is no C with that many elements.
    """
    size = (math.isqrt(8 * len(lengths) + 1) - 1) // 2
    if not size or size * (size + 1) // 2 != len(lengths):
        raise WeftError(f"{len(lengths)} maximum lengths, expected 1, 3, 6, 10, …: an upper triangle of class pairs")
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = lengths
    return matrix + np.triu(matrix, 1).T


def _of_nodes(argument: np.ndarray | None, name: str, n: int) -> np.ndarray:
    if argument is None:
        raise WeftError(f"{name} are missing, which the graph needs: one for each of the {n} clusters")
    argument = np.asarray(argument)
    if argument.shape not in ((n,), (n, 1)):
        raise WeftError(f"{name} of shape {argument.shape}, expected ({n},): one for each cluster")
    return argument.reshape(-1)


def _candidates(coords: np.ndarray, nodes: Ragged, kind: Kind, primaries: np.ndarray | None) -> np.ndarray:
    """int64 (E, 2), sorted: pairs of clusters before any cut on their length."""
    n = len(nodes)
    if kind in ("complete", "mst", "knn"):
        return _all_pairs(n)
    if kind == "loop":
        return np.repeat(np.arange(n)[:, None], 2, axis=1)
    if kind == "delaunay":
        return _triangulated(coords, nodes)
    if kind == "bipartite":
        primary = _of_nodes(primaries, "primaries", n).astype(bool)
        first, second = np.flatnonzero(primary), np.flatnonzero(~primary)
        return np.stack([np.repeat(first, len(second)), np.tile(second, len(first))], 1)
    raise WeftError(f"graph {kind!r}, expected complete, delaunay, mst, knn, loop or bipartite")


def _all_pairs(n: int) -> np.ndarray:
    return np.stack(np.triu_indices(n, 1), 1).astype(np.int64)


def _triangulated(coords: np.ndarray, nodes: Ragged) -> np.ndarray:
    n = len(nodes)
    if n < 3:
        return _all_pairs(n)
    owner = np.repeat(np.arange(n), nodes.counts)
    voxels = np.asarray(coords)[np.asarray(nodes.values, np.int64).reshape(-1)].astype(np.float64)
    try:
        corners = owner[Delaunay(voxels, qhull_options="QJ").simplices]
    except QhullError:  # too few voxels for one simplex
        return _all_pairs(n)
    corners = corners[(corners != corners[:, :1]).any(axis=1)]
    if not len(corners):
        return _all_pairs(n)
    pairs = np.sort(np.concatenate([corners[:, [a, b]] for a, b in combinations(range(4), 2)]), axis=1)
    keys = np.unique(pairs[:, 0] * n + pairs[:, 1])
    pairs = np.stack([keys // n, keys % n], 1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _measure(
    coords: np.ndarray,
    nodes: Ragged,
    edges: np.ndarray,
    measure: str,
    algorithm: Algorithm,
    limit: np.ndarray | None,
) -> Pairs:
    if measure == "centroid":
        return Pairs(np.full(edges.shape, -1, np.int64), edge_lengths(coords, nodes, edges))
    return closest_pairs(coords, nodes, edges, algorithm, limit)


def _nearest(edges: np.ndarray, lengths: np.ndarray, n: int, k: int) -> np.ndarray:
    """Rows of the pairs of which one is among the k nearest of the other."""
    if k < 1:
        raise WeftError(f"{k} nearest neighbours, expected at least 1")
    node = np.concatenate([edges[:, 0], edges[:, 1]])
    other = np.concatenate([edges[:, 1], edges[:, 0]])
    order = np.lexsort((other, np.tile(lengths, 2), node))
    place = np.arange(len(order)) % max(n - 1, 1)  # every node has n − 1 others
    return np.unique(order[place < k] % max(len(edges), 1))


def _limits(
    edges: np.ndarray, max_length: float | Sequence[float] | np.ndarray | None, classes: np.ndarray | None, n: int
) -> np.ndarray:
    """float64 (E,): length from which on an edge is left out."""
    if max_length is None:
        return np.full(len(edges), np.inf)
    table = np.asarray(max_length, np.float64)
    if table.ndim == 0:
        return np.full(len(edges), float(table))
    if table.ndim == 1:
        table = upper_triangle(table.tolist())
    if table.ndim != 2 or table.shape[0] != table.shape[1] or (table != table.T).any():
        raise WeftError(f"maximum lengths of shape {table.shape}, expected a symmetric matrix of class pairs")
    kind = _of_nodes(classes, "classes", n).astype(np.int64)
    if len(kind) and (kind.min() < 0 or kind.max() >= len(table)):
        raise WeftError(
            f"class {kind.min()} to {kind.max()} of clusters, expected 0 to {len(table) - 1}, as in max_length"
        )
    return table[kind[edges[:, 0]], kind[edges[:, 1]]]
