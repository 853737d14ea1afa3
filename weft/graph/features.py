"""Geometric features of nodes and edges (spec §2.1, §2.2; Drielsma et al., arXiv:2007.01335)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.io.products import Ragged


class Composition(NamedTuple):
    """What a node's feature vector is made of: 16 numbers of geometry, then these, in this order."""

    value: bool = False
    """mean and population standard deviation of the voxels' values (2)"""
    shape: bool = False
    """semantic class (1)"""
    points: int = 0
    """1: the start (3); 2: the start and the end (6)"""
    directions: int = 0
    """1: the direction at the start (3); 2: at the start and at the end (6)"""
    dedx: int = 0
    """1: energy loss at the start (1); 2: at the start and at the end (2)"""

    @property
    def width(self) -> int:
        """Number of features."""
        return 16 + 2 * self.value + self.shape + 3 * self.points + 3 * self.directions + self.dedx


#: The documented forms, by their width.
COMPOSITIONS: dict[int, Composition] = {
    16: Composition(),
    19: Composition(value=True, shape=True),
    22: Composition(points=1, directions=1),
    28: Composition(value=True, shape=True, points=2, directions=1),
    32: Composition(value=True, points=2, directions=2, dedx=2),
    33: Composition(value=True, shape=True, points=2, directions=2, dedx=2),
}

#: Number of features of an edge.
EDGE_WIDTH = 19


def feature_names(composition: Composition = COMPOSITIONS[16]) -> list[str]:
    """Names of the columns of :func:`node_features`."""
    raise NotImplementedError


def edge_feature_names() -> list[str]:
    """Names of the 19 columns of :func:`edge_features`."""
    raise NotImplementedError


def node_features(
    coords: np.ndarray,
    nodes: Ragged,
    composition: Composition = COMPOSITIONS[16],
    *,
    values: np.ndarray | None = None,
    shapes: np.ndarray | None = None,
    starts: np.ndarray | None = None,
    ends: np.ndarray | None = None,
    start_directions: np.ndarray | None = None,
    end_directions: np.ndarray | None = None,
    radius: float = 5.0,
    optimize: bool = False,
) -> np.ndarray:
    """Features of clusters.

    Args:
        coords: (N, 3), voxel coordinates.
        nodes: rows of `coords` of each of n clusters; none may be empty.
        composition: which features; each needs its argument below.
        values: (N,) or (N, 1), what the voxels hold, e.g. MeV.
        shapes: (n,), class of each cluster; see :func:`majority_class`.
        starts, ends: (n, 3), unit of `coords`.
        start_directions, end_directions: (n, 3), instead of those of :func:`weft.graph.directions.directions`.
        radius, optimize: of directions; `radius` also of the energy loss. Not positive: all voxels.

    Returns:
        float32 (n, composition.width).

    Raises:
        WeftError: an argument is missing or has the wrong length; a cluster is empty.
    """
    raise NotImplementedError


def edge_features(
    coords: np.ndarray, nodes: Ragged, edges: np.ndarray, closest: np.ndarray | None = None
) -> np.ndarray:
    """Features of the edges between clusters, from the closest pair of their voxels v1, v2.

    Columns: v1 (3), v2 (3), d = (v1 − v2)/L (3; 0 if L = 0), L (1), d dᵀ by rows (9).

    Args:
        coords: (N, 3); nodes: n clusters; edges: (E, 2), rows of `nodes`.
        closest: int (E, 2), rows of `coords` of the closest voxels, where a graph has them already
            (:class:`weft.graph.build.Graph`).

    Returns:
        float32 (E, 19).
    """
    raise NotImplementedError


def reverse(features: np.ndarray) -> np.ndarray:
    """Features (E, 19) of the same edges, from target to source: v1 and v2 swapped, d negated."""
    raise NotImplementedError


def majority_class(nodes: Ragged, semantics: np.ndarray) -> np.ndarray:
    """int8 (n,): the class that most voxels of a cluster have, the lowest of equals; −1 for an empty one.

    semantics: integer (N,) or (N, 1); voxels with a negative class do not vote.
    """
    raise NotImplementedError
