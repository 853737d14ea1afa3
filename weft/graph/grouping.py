"""Groups of nodes from scores of edges (spec §2.4). A group's number is that of its lowest node."""

from __future__ import annotations

import numpy as np


def group_by_score(edges: np.ndarray, scores: np.ndarray, n: int, track: np.ndarray | None = None) -> np.ndarray:
    """The partition that greedily lowers the binary cross-entropy between it and the scores of the edges.

    From the most to the least probable edge with probability ≥ 1/2: the groups of its ends are joined if that lowers
    the cross-entropy, summed over all edges between the two groups.

    Args:
        edges: int (E, 2), rows of nodes; both directions of an edge, or each edge once.
        scores: (E,), probability of each that its ends belong together.
        n: number of nodes.
        track: bool (n,): a node that is no track is joined to at most one track by an edge of its own.

    Returns:
        int64 (n,): group of each node. It does not depend on the order of edges with different scores.
    """
    raise NotImplementedError


def group_by_threshold(edges: np.ndarray, scores: np.ndarray, n: int, threshold: float = 0.5) -> np.ndarray:
    """int64 (n,): connected components by the edges (E, 2) with scores (E,) above `threshold`."""
    raise NotImplementedError


def group_bipartite(edges: np.ndarray, scores: np.ndarray, primaries: np.ndarray) -> np.ndarray:
    """int64 (n,): each secondary joins the primary to which its most probable edge leads, the first of equals.

    edges: int (E, 2), in either direction, those between a primary and a secondary count; scores: (E,); primaries:
    bool (n,). A group's number is its lowest node. A secondary without edges is alone.
    """
    raise NotImplementedError


def group_primaries(groups: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """bool (n,): the one node of each group with the highest score (n,), the first of equals. Group −1 has none."""
    raise NotImplementedError


def spanning_forest(edges: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels for the forest loss: a spanning tree of each true group, the one that the scores like best.

    Args:
        edges: int (E, 2), both directions or each edge once; scores: (E,), probability that it is on.
        groups: (n,), true group of each node; −1: none, its edges are not judged.

    Returns:
        label bool (E,): the edge is in the tree (both directions of it); judged bool (E,): the loss applies: edges of
        the trees and those between groups.
    """
    raise NotImplementedError
