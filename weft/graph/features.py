"""Geometric features of nodes and edges (spec §2.1, §2.2; Drielsma et al., arXiv:2007.01335)."""

from __future__ import annotations

import math

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError
from weft.graph.closest import closest_pairs
from weft.graph.compositions import COMPOSITIONS, Composition
from weft.graph.directions import cluster_values, dedx_from, directions_from, squared_distances
from weft.graph.trees import cluster_points
from weft.io.products import Ragged

#: Number of features of an edge.
EDGE_WIDTH = 19


def feature_names(composition: Composition = COMPOSITIONS[16]) -> list[str]:
    """Names of the columns of :func:`node_features`."""
    names = [*_axes("centroid"), *(f"orientation_{a}{b}" for a in "xyz" for b in "xyz"), *_axes("axis"), "size"]
    if composition.value:
        names += ["value_mean", "value_std"]
    if composition.shape:
        names += ["shape"]
    for end in ("start", "end")[: composition.points]:
        names += _axes(end)
    for end in ("start", "end")[: composition.directions]:
        names += _axes(f"{end}_direction")
    return names + [f"{end}_dedx" for end in ("start", "end")[: composition.dedx]]


def edge_feature_names() -> list[str]:
    """Names of the 19 columns of :func:`edge_features`."""
    outer = [f"outer_{a}{b}" for a in "xyz" for b in "xyz"]
    return [*_axes("source"), *_axes("target"), *_axes("displacement"), "length", *outer]


def _axes(name: str) -> list[str]:
    return [f"{name}_{axis}" for axis in "xyz"]


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

    The first 16: centroid c (3); A/λ3 by rows (9), A = Σ(x−c)(x−c)ᵀ with eigenvalues λ1 ≤ λ2 ≤ λ3; principal axis v
    times 1 − λ2/λ3 (3), its sign such that the cluster widens along it: Σ (x−c)·v |(x−c) − ((x−c)·v)v| ≥ 0 (where that
    is 0, e.g. on a line, the largest component of v is positive); number of voxels (1). A cluster whose voxels are all
    in one place has 12 zeros.

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
    n = len(nodes)
    if n and nodes.counts.min() == 0:
        raise WeftError(f"cluster {int(nodes.counts.argmin())} has no voxels, expected at least one in each")
    offsets = np.asarray(nodes.offsets, np.int64)
    voxels = cluster_points(coords, nodes)
    parts = [_geometry(voxels, offsets)]
    if composition.value or composition.dedx:
        values = cluster_values(_given(values, "values"), coords, nodes)
    if composition.value:
        assert values is not None
        parts.append(_mean_std(values, offsets))
    if composition.shape:
        parts.append(_column(shapes, "shapes", n, 1))
    both = [("starts", starts), ("ends", ends)][: max(composition[2:])]
    points = [_column(given, name, n, 3) for name, given in both]
    parts += points[: composition.points]
    squares = [squared_distances(voxels, offsets, p) for p in points]
    ready = [("start_directions", start_directions), ("end_directions", end_directions)]
    for (name, given), p, square in list(zip(ready, points, squares, strict=False))[: composition.directions]:
        if given is None:
            given = directions_from(voxels, offsets, p, square, radius, optimize)
        parts.append(_column(given, name, n, 3))
    for p, square in list(zip(points, squares, strict=True))[: composition.dedx]:
        assert values is not None
        parts.append(dedx_from(values, offsets, p, square, radius)[:, None])
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")


def _given(argument: np.ndarray | None, name: str) -> np.ndarray:
    if argument is None:
        raise WeftError(f"{name} are missing, which the composition of the node features needs")
    return np.asarray(argument)


def _column(argument: np.ndarray | None, name: str, n: int, width: int) -> np.ndarray:
    argument = _given(argument, name)
    if argument.shape != (n, width) and not (width == 1 and argument.shape == (n,)):
        raise WeftError(f"{name} of shape {argument.shape}, expected ({n}, {width}): one row for each cluster")
    return argument.reshape(n, width).astype(np.float64)


def _geometry(points: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """float64 (n, 16)."""
    features = np.zeros((len(offsets) - 1, 16))
    features[:, 15] = np.diff(offsets)
    _moments(points, offsets, features)
    scatter = features[:, 3:12].reshape(-1, 3, 3)
    extended = scatter.any(axis=(1, 2))
    eigenvalues, vectors = np.linalg.eigh(scatter[extended])
    largest = eigenvalues[:, 2]
    features[extended, 3:12] /= largest[:, None]
    axes = np.zeros((len(features), 3))
    axes[extended] = vectors[:, :, 2]
    _point_to_the_wide_end(points, offsets, features[:, :3], axes)
    features[extended, 12:15] = axes[extended] * (1 - eigenvalues[:, 1:2] / largest[:, None])
    return features


@kernel
def _moments(points: np.ndarray, offsets: np.ndarray, features: np.ndarray) -> None:
    """Centroids, and Σ(x−c)(x−c)ᵀ; exactly 0 where all voxels are in one place."""
    for k in range(len(features)):
        start, stop = offsets[k], offsets[k + 1]
        one_place = True
        for i in range(start, stop):
            for a in range(3):
                features[k, a] += points[i, a]
                one_place &= points[i, a] == points[start, a]
        for a in range(3):
            features[k, a] = points[start, a] if one_place else features[k, a] / (stop - start)
        if one_place:
            continue
        for i in range(start, stop):
            for a in range(3):
                for b in range(a + 1):
                    features[k, 3 + 3 * a + b] += (points[i, a] - features[k, a]) * (points[i, b] - features[k, b])
        for a in range(3):
            for b in range(a):
                features[k, 3 + 3 * b + a] = features[k, 3 + 3 * a + b]


@kernel
def _point_to_the_wide_end(points: np.ndarray, offsets: np.ndarray, centroids: np.ndarray, axes: np.ndarray) -> None:
    """Flip axes (n, 3) so that voxels are farther from the axis at its positive end."""
    for k in range(len(axes)):
        widening = length = 0.0
        for i in range(offsets[k], offsets[k + 1]):
            along = square = 0.0
            for a in range(3):
                x = points[i, a] - centroids[k, a]
                along += x * axes[k, a]
                square += x * x
            widening += along * math.sqrt(max(square - along * along, 0.0))
            length += along * along
        if abs(widening) <= 1e-7 * length:  # neither end is wider, but for rounding
            size = np.abs(axes[k]).max()
            for a in range(3):
                if abs(axes[k, a]) >= (1 - 1e-6) * size:
                    widening = axes[k, a]
                    break
        if widening < 0.0:
            for a in range(3):
                axes[k, a] = -axes[k, a]


@kernel
def _mean_std(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """float64 (n, 2): mean and population standard deviation."""
    result = np.zeros((len(offsets) - 1, 2))
    for k in range(len(result)):
        start, stop = offsets[k], offsets[k + 1]
        for i in range(start, stop):
            result[k, 0] += values[i]
        result[k, 0] /= stop - start
        for i in range(start, stop):
            result[k, 1] += (values[i] - result[k, 0]) ** 2
        result[k, 1] = math.sqrt(result[k, 1] / (stop - start))
    return result


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

    Raises:
        WeftError: an edge leads to an empty cluster, or `closest` has the wrong length.
    """
    edges = np.asarray(edges).reshape(-1, 2)
    if closest is None:
        closest = closest_pairs(coords, nodes, edges).rows
    closest = np.asarray(closest)
    if closest.shape != edges.shape:
        raise WeftError(f"closest voxels of shape {closest.shape}, expected {edges.shape}: a pair for each edge")
    if len(closest) and closest.min() < 0:
        raise WeftError("an edge has no closest voxels: one of its clusters is empty")
    coords = np.asarray(coords)
    return _edge_features(
        np.ascontiguousarray(coords[closest[:, 0]], np.float64), np.ascontiguousarray(coords[closest[:, 1]], np.float64)
    )


@kernel
def _edge_features(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    features = np.zeros((len(source), 19), np.float32)
    d = np.empty(3)
    for e in range(len(features)):
        length = 0.0
        for a in range(3):
            features[e, a], features[e, 3 + a] = source[e, a], target[e, a]
            d[a] = source[e, a] - target[e, a]
            length += d[a] * d[a]
        length = math.sqrt(length)
        if length == 0.0:
            continue
        features[e, 9] = length
        for a in range(3):
            d[a] /= length
            features[e, 6 + a] = d[a]
        for a in range(3):
            for b in range(3):
                features[e, 10 + 3 * a + b] = d[a] * d[b]
    return features


def reverse(features: np.ndarray) -> np.ndarray:
    """Features (E, 19) of the same edges, from target to source: v1 and v2 swapped, d negated."""
    swapped = features.copy()
    swapped[:, 0:3], swapped[:, 3:6] = features[:, 3:6], features[:, 0:3]
    swapped[:, 6:9] = 0.0 - features[:, 6:9]  # a zero stays a positive one
    return swapped


def majority_class(nodes: Ragged, semantics: np.ndarray) -> np.ndarray:
    """int8 (n,): the class that most voxels of a cluster have, the lowest of equals; −1 where none has one.

    semantics: integer (N,) or (N, 1); voxels with a negative class do not vote.
    """
    rows = np.asarray(nodes.values, np.int64).reshape(-1)
    votes = np.asarray(semantics).reshape(-1)[rows].astype(np.int64)
    valid = votes >= 0
    classes = int(votes.max(initial=0)) + 1
    owner = np.repeat(np.arange(len(nodes)), nodes.counts)
    counts = np.bincount(owner[valid] * classes + votes[valid], minlength=len(nodes) * classes)
    counts = counts.reshape(len(nodes), classes)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1).astype(np.int8)
