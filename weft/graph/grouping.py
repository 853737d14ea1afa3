"""Groups of nodes from scores of edges (spec §2.4). A group's number is that of its lowest node."""

from __future__ import annotations

import math

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError

#: Probabilities are kept this far from 0 and 1, whose logarithms are infinite.
_MARGIN = 1e-12
#: A gain has to be more than what is left of sums that cancel.
_ROUNDING = 1e-12


def group_by_score(edges: np.ndarray, scores: np.ndarray, n: int, track: np.ndarray | None = None) -> np.ndarray:
    """The partition that greedily lowers the binary cross-entropy between it and the scores of the edges.

    From the most to the least probable edge with probability ≥ 1/2: the groups of its ends are joined if that lowers
    the cross-entropy. Joining two groups changes it by −Σ log(p/(1−p)) over the edges between them, so that sum is
    kept for each pair of groups and added up when groups are joined.

    Args:
        edges: int (E, 2), rows of nodes; both directions of an edge, or each edge once.
        scores: (E,), probability of each that its ends belong together.
        n: number of nodes.
        track: bool (n,): a node that is no track is joined to a track by an edge of its own at most once.

    Returns:
        int64 (n,): group of each node. It does not depend on the order of the edges: of equal scores, the pair with
        the lower nodes comes first.
    """
    edges, scores = _checked(edges, scores, n)
    if track is not None and np.shape(track) != (n,):
        raise WeftError(f"track of shape {np.shape(track)}, expected ({n},): one for each node")
    candidates = np.flatnonzero(scores >= 0.5)
    ends = edges[candidates]
    low, high = np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])
    candidates = candidates[np.lexsort((high, low, -scores[candidates]))]
    # Groups are joined along candidates only: what they do not connect is decided apart.
    parts = _components(ends, n)
    tracks = np.zeros(n, bool) if track is None else np.asarray(track, bool)
    return _greedy(edges, scores, candidates, parts, tracks, track is not None)


def group_by_threshold(edges: np.ndarray, scores: np.ndarray, n: int, threshold: float = 0.5) -> np.ndarray:
    """int64 (n,): connected components by the edges (E, 2) with scores (E,) above `threshold`."""
    edges, scores = _checked(edges, scores, n)
    return _components(edges[scores > threshold], n)


def group_bipartite(edges: np.ndarray, scores: np.ndarray, primaries: np.ndarray) -> np.ndarray:
    """int64 (n,): each secondary joins the primary to which its most probable edge leads, the lowest of equals.

    edges: int (E, 2), in either direction, those between a primary and a secondary count; scores: (E,); primaries:
    bool (n,). A group's number is its lowest node. A secondary without edges is alone.
    """
    primaries = np.asarray(primaries, bool).reshape(-1)
    n = len(primaries)
    edges, scores = _checked(edges, scores, n)
    mixed = primaries[edges[:, 0]] != primaries[edges[:, 1]]
    edges, scores = edges[mixed], scores[mixed]
    swap = ~primaries[edges[:, 0]]
    edges[swap] = edges[swap][:, ::-1]
    order = np.lexsort((edges[:, 0], -scores, edges[:, 1]))
    secondary, at = np.unique(edges[order, 1], return_index=True)
    return _components(np.stack([edges[order[at], 0], secondary], 1), n)


def group_primaries(groups: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """bool (n,): the one node of each group with the highest score (n,), the first of equals. Group −1 has none."""
    groups, scores = np.asarray(groups).reshape(-1), np.asarray(scores).reshape(-1)
    if len(groups) != len(scores):
        raise WeftError(f"{len(scores)} scores of {len(groups)} nodes, expected one each")
    order = np.lexsort((np.arange(len(groups)), -scores, groups))
    _, at = np.unique(groups[order], return_index=True)
    chosen = np.zeros(len(groups), bool)
    chosen[order[at]] = True
    return chosen & (groups >= 0)


def spanning_forest(edges: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels for the forest loss: a spanning tree of each true group, the one that the scores like best.

    Args:
        edges: int (E, 2), both directions or each edge once; scores: (E,), probability that it is on.
        groups: (n,), true group of each node; −1: none, its edges are not judged.

    Returns:
        label bool (E,): the edge is in the tree (both directions of it); judged bool (E,): the loss applies: edges of
        the trees and those between groups.
    """
    groups = np.asarray(groups).reshape(-1)
    n = len(groups)
    edges, scores = _checked(edges, scores, n)
    inside = groups[edges[:, 0]] == groups[edges[:, 1]]
    valid = (groups[edges] >= 0).all(axis=1)
    low, high = np.minimum(edges[:, 0], edges[:, 1]), np.maximum(edges[:, 0], edges[:, 1])
    key = low * n + high
    order = np.lexsort((high, low, -scores))
    tree = _kruskal(edges, order[(inside & valid & (low < high))[order]], n)
    label = np.isin(key, key[tree])
    return label, valid & (label | ~inside)


def minimum_spanning_tree(edges: np.ndarray, lengths: np.ndarray, n: int) -> np.ndarray:
    """int64 (m,): rows of the edges (E, 2) of the shortest tree, or forest, on n nodes; of equal lengths (E,) the pair
    with the lower nodes comes first."""
    edges, lengths = _checked(edges, lengths, n)
    low, high = np.minimum(edges[:, 0], edges[:, 1]), np.maximum(edges[:, 0], edges[:, 1])
    order = np.lexsort((high, low, lengths))
    return np.sort(_kruskal(edges, order, n))


def _checked(edges: np.ndarray, scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    edges = np.array(edges, np.int64).reshape(-1, 2)
    scores = np.asarray(scores, np.float64).reshape(-1)
    if len(edges) != len(scores):
        raise WeftError(f"{len(scores)} scores of {len(edges)} edges, expected one each")
    if len(edges) and (edges.min() < 0 or edges.max() >= n):
        raise WeftError(f"edges between nodes {edges.min()} to {edges.max()}, expected 0 to {n - 1}")
    if np.isnan(scores).any():
        raise WeftError("a score of an edge is not a number")
    return edges, scores


@kernel
def _find(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _components(edges: np.ndarray, n: int) -> np.ndarray:
    """Connected components, each numbered by its lowest node."""
    parent = np.arange(n)
    for e in range(len(edges)):
        a, b = _find(parent, edges[e, 0]), _find(parent, edges[e, 1])
        parent[max(a, b)] = min(a, b)
    for i in range(n):
        parent[i] = _find(parent, i)
    return parent


@kernel
def _kruskal(edges: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """The edges, taken in `order`, that join what is not joined yet."""
    parent = np.arange(n)
    taken = np.empty(max(n - 1, 0), np.int64)
    m = 0
    for e in order:
        a, b = _find(parent, edges[e, 0]), _find(parent, edges[e, 1])
        if a != b:
            parent[max(a, b)] = min(a, b)
            taken[m] = e
            m += 1
    return taken[:m]


@kernel
def _greedy(
    edges: np.ndarray,
    scores: np.ndarray,
    candidates: np.ndarray,
    parts: np.ndarray,
    track: np.ndarray,
    through_track: bool,
) -> np.ndarray:
    """Join groups along `candidates`. A part of m nodes has an m by m matrix of the gains between its groups, by the
    rank of their lowest node in it."""
    n = len(parts)
    sizes, rank = np.zeros(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        rank[i] = sizes[parts[i]]
        sizes[parts[i]] += 1
    begin = np.zeros(n + 1, np.int64)
    for k in range(n):
        begin[k + 1] = begin[k] + sizes[k] * sizes[k]
    between = np.zeros(begin[n])
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        if parts[a] == parts[b] and a != b:
            m, at = sizes[parts[a]], begin[parts[a]]
            p = min(max(scores[e], _MARGIN), 1.0 - _MARGIN)
            gain = math.log(p) - math.log1p(-p)
            between[at + rank[a] * m + rank[b]] += gain
            between[at + rank[b] * m + rank[a]] += gain
    group = np.arange(n)
    has_track = np.zeros(n, np.bool_)
    for e in candidates:
        a, b = edges[e, 0], edges[e, 1]
        one, two = _find(group, a), _find(group, b)
        if one == two:
            continue
        crosses = through_track and track[a] != track[b]
        shower = b if track[a] else a
        if crosses and has_track[shower]:
            continue
        keep, drop = min(one, two), max(one, two)
        m, at = sizes[parts[a]], begin[parts[a]]
        i, j = rank[keep], rank[drop]
        if between[at + i * m + j] <= _ROUNDING:
            continue
        group[drop] = keep
        if crosses:
            has_track[shower] = True
        for k in range(m):
            total = between[at + i * m + k] + between[at + j * m + k]
            between[at + i * m + k] = between[at + k * m + i] = total
    for i in range(n):
        group[i] = _find(group, i)
    return group
