"""Faces into spatial clusters with a hard cap on their size (spec §4, variant B)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from weft.errors import WeftError
from weft.meshes.features import cluster_centres
from weft.meshes.split import balanced_split

Method = Literal["auto", "split", "kmeans"]

#: Faces up to which `auto` takes k-means.
KMEANS_FACES = 100_000
_ROUNDS = 10
_START = 0.8  # of the cap, faces of a cluster before Lloyd's rounds make sizes uneven


def cluster_faces(
    centroids: np.ndarray, max_faces: int, *, method: Method = "auto", seed: int | None = None
) -> NDArray[np.int32]:
    """int32 [M], the cluster of each face: numbers 0 to N - 1 without a gap, none with more than ``max_faces`` faces.

    The same input gives the same clusters. N max_faces <= 2 M wherever M > max_faces, so that at most half of the
    places in the clusters of a mesh is padding.

    centroids: float [M, 3] of the faces, in m.
    method: `split` cuts recursively (:func:`weft.meshes.split.balanced_split`) and fills clusters evenly; `kmeans`
    improves such cuts by Lloyd's rounds, which makes clusters rounder and their sizes uneven; `auto` is k-means for
    small meshes.
    seed: None is the clustering to predict with; a number is another one of about the same quality, for training and
    for the mean over several.
    Raises WeftError for a cap below 2 and for centroids that are not finite, naming the face.
    """
    points = np.asarray(centroids, np.float64)
    if max_faces < 2:
        raise WeftError(f"clusters of faces: max_faces must be at least 2, got {max_faces}")
    if not np.isfinite(points).all():
        face = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise WeftError(f"clusters of faces: the centre of face {face} is not finite")
    if not len(points):
        return np.zeros(0, np.int32)
    rng = None if seed is None else np.random.default_rng(seed)
    cap = max_faces if rng is None or len(points) <= max_faces else _smaller(max_faces, rng)
    points = points - points.mean(axis=0)
    if method == "kmeans" or (method == "auto" and len(points) <= KMEANS_FACES):
        return _kmeans(points, cap, max_faces, rng)
    return balanced_split(points, math.ceil(len(points) / cap), rng)


def _smaller(cap: int, rng: np.random.Generator) -> int:
    """A cap from three quarters of one to all of it: with fewer faces in a cluster, borders lie elsewhere."""
    return int(rng.integers(max(2, math.ceil(0.75 * cap)), cap + 1))


def _kmeans(points: np.ndarray, size: int, cap: int, rng: np.random.Generator | None) -> NDArray[np.int32]:
    """Lloyd's rounds from balanced cuts, then cuts of what is too large and unions of what is too small."""
    clusters = balanced_split(points, math.ceil(len(points) / (_START * size)), rng)
    for _ in range(_ROUNDS):
        centres = cluster_centres(points, clusters)
        nearest = cKDTree(centres).query(points)[1]
        moved = np.unique(nearest, return_inverse=True)[1].reshape(-1).astype(np.int32)  # empty ones are left out
        if np.array_equal(moved, clusters):
            break
        clusters = moved
    return _united(points, _capped(points, clusters, cap, rng), cap)


def _capped(points: np.ndarray, clusters: np.ndarray, cap: int, rng: np.random.Generator | None) -> NDArray[np.int32]:
    """Each cluster with more points than the cap cut into the fewest parts."""
    counts = np.bincount(clusters)
    made = clusters.copy()
    total = len(counts)
    for cluster in np.flatnonzero(counts > cap):
        rows = np.flatnonzero(clusters == cluster)
        parts = balanced_split(points[rows], math.ceil(len(rows) / cap), rng)
        made[rows[parts > 0]] = total - 1 + parts[parts > 0]
        total += int(parts.max())
    return made


def _united(points: np.ndarray, clusters: np.ndarray, cap: int) -> NDArray[np.int32]:
    """Each cluster below half of the cap, the smallest first, put to the nearest one with room for it.

    What is left has at most one below half, and none that fits to another: hence N cap <= 2 M, or N = 1.
    """
    counts = np.bincount(clusters).astype(np.int64)
    sums = cluster_centres(points, clusters) * counts[:, None]
    into = np.arange(len(counts))
    alive = np.ones(len(counts), bool)
    while True:
        small = np.flatnonzero(alive & (2 * counts < cap))
        if not len(small):
            break
        least = int(small[counts[small].argmin()])
        room = alive & (counts + counts[least] <= cap)
        room[least] = False
        if not room.any():
            break
        others = np.flatnonzero(room)
        away = np.square(sums[others] / counts[others, None] - sums[least] / counts[least]).sum(axis=1)
        target = int(others[away.argmin()])
        counts[target] += counts[least]
        sums[target] += sums[least]
        alive[least] = False
        into[into == least] = target
    return np.unique(into[clusters], return_inverse=True)[1].reshape(-1).astype(np.int32)
