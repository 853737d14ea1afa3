"""Graphs on the clusters of an event (spec §2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weft.graph.closest import Algorithm
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
        """int64 (2E, 2): every edge followed by its reverse (rows 2k and 2k + 1)."""
        raise NotImplementedError


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
        groups: (n,): no edges between clusters of different groups.
        primaries: bool (n,), for "bipartite".

    Raises:
        WeftError: an argument is missing, has the wrong length, or a class is outside the table of lengths.
    """
    raise NotImplementedError


def upper_triangle(lengths: Sequence[float]) -> np.ndarray:
    """float64 (C, C), symmetric, from its C(C+1)/2 upper triangular elements by rows; another number of them is an
    error."""
    raise NotImplementedError
