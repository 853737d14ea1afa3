"""Closest and farthest voxels of clusters, exactly, without looking at all pairs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from weft.io.products import Ragged

Algorithm = Literal["exact", "iterative"]


class Pairs(NamedTuple):
    """One pair of voxels for each of m pairs of clusters, or for each cluster."""

    rows: np.ndarray
    """int64 (m, 2), rows of `coords`; −1 where the pair is farther than asked for"""
    distance: np.ndarray
    """float32 (m,), unit of `coords`; ∞ where the pair is farther than asked for"""


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
    """
    raise NotImplementedError


def farthest_pairs(coords: np.ndarray, nodes: Ragged, algorithm: Algorithm = "exact") -> Pairs:
    """The two voxels of each cluster that are farthest from one another, the first such pair in row-major order.

    Both are the same voxel in a cluster of one. "iterative" jumps to the farthest voxel, from the centroid.
    """
    raise NotImplementedError


def distance_matrix(
    coords: np.ndarray, nodes: Ragged, measure: Literal["voxel", "centroid"] = "voxel", algorithm: Algorithm = "exact"
) -> np.ndarray:
    """float32 (n, n): distances between clusters, by their closest voxels or by their centroids; diagonal 0."""
    raise NotImplementedError
