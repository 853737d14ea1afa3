"""Clusters in an order in which neighbours in the list are neighbours in space (spec §4).

The minimum spanning tree of the clusters' centres, walked depth first. The tree has no direction: from a cluster the
walk goes to all that it is joined to and that were not visited, the nearest one first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def walk(centres: np.ndarray) -> NDArray[np.int32]:
    """int32 [N], the numbers of the clusters in the order of the walk: ``centres[walk(centres)]`` is in order.

    It begins at the cluster farthest from the mean of all. centres: float [N, 3]. Time grows as N squared, memory as N.
    """
    centres = np.asarray(centres, np.float64)
    if not len(centres):
        return np.zeros(0, np.int32)
    start = int(np.square(centres - centres.mean(axis=0)).sum(axis=1).argmax())
    children = _tree(centres, start)
    visited: list[int] = []
    waiting = [start]
    while waiting:
        visited.append(waiting.pop())
        waiting += reversed(children[visited[-1]])
    return np.array(visited, np.int32)


def places(order: np.ndarray) -> NDArray[np.int32]:
    """int32 [N], where each cluster is in an order: ``order[places(order)[k]] == k``; clusters are numbered anew by
    ``places(order)[clusters]``."""
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return place


def _tree(centres: np.ndarray, start: int) -> list[list[int]]:
    """The children of each node of the minimum spanning tree that grows from a node (Prim), nearest first.

    From its root every edge of the tree points away, so nothing is lost by keeping children only. Coincident centres
    are joined like others, which they are not in a sparse matrix of distances, where zero is no edge.
    """
    n = len(centres)
    children: list[list[int]] = [[] for _ in range(n)]
    nearest = np.full(n, np.inf)  # squared distance to the tree
    joined_to = np.full(n, start)
    outside = np.ones(n, bool)
    node = start
    for _ in range(n - 1):
        outside[node] = False
        away = np.square(centres - centres[node]).sum(axis=1)
        closer = outside & (away < nearest)
        nearest[closer] = away[closer]
        joined_to[closer] = node
        node = int(np.where(outside, nearest, np.inf).argmin())
        children[joined_to[node]].append(node)
    for parent, mine in enumerate(children):
        mine.sort(key=lambda child: (float(np.square(centres[child] - centres[parent]).sum()), child))
    return children
