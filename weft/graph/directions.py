"""Local directions and energy loss at the ends of clusters (spec §1.11, §2.1)."""

from __future__ import annotations

import math

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError
from weft.graph.trees import cluster_points
from weft.io.products import Ragged


def directions(
    coords: np.ndarray, nodes: Ragged, points: np.ndarray, radius: float = -1.0, optimize: bool = False
) -> np.ndarray:
    """Unit vectors from a point of each cluster to the mean of the voxels near it.

    Args:
        coords: (N, 3), voxel coordinates.
        nodes: rows of `coords` of each of n clusters.
        points: (n, 3), where to look from; NaN gives NaN.
        radius: take the voxels within it, or up to the nearest one where there is none; all of them if not positive.
        optimize: of those voxels, take the ball round the point that is most like a line: the one with the greatest
            √(λ3/(λ1+λ2)), λ1 ≤ λ2 ≤ λ3 the eigenvalues of its covariance. Balls have at least three voxels; voxels
            that lie exactly on a line, as the first few often do, count as 0; of equals the greatest ball.

    Returns:
        float32 (n, 3). (1, 0, 0) where there is no voxel but the point itself; 0 where the mean is the point.
    """
    voxels, offsets, points = cluster_points(coords, nodes), _offsets(nodes), _points(points, nodes, "points")
    return directions_from(voxels, offsets, points, squared_distances(voxels, offsets, points), radius, optimize)


def dedx(coords: np.ndarray, values: np.ndarray, nodes: Ragged, points: np.ndarray, radius: float = 5.0) -> np.ndarray:
    """Energy over length near a point of each cluster: Σ values / greatest distance, of the voxels within `radius`.

    Args:
        coords: (N, 3); values: (N,) or (N, 1), energy; nodes: n clusters; points: (n, 3), NaN gives NaN.
        radius: of the ball around the point; the whole cluster if not positive.

    Returns:
        float32 (n,), MeV per unit of length; 0 where the ball has less than two voxels, or no length.
    """
    voxels, values = cluster_points(coords, nodes), cluster_values(values, coords, nodes)
    offsets, points = _offsets(nodes), _points(points, nodes, "points")
    return dedx_from(values, offsets, points, squared_distances(voxels, offsets, points), radius)


def dedx_along(
    coords: np.ndarray,
    values: np.ndarray,
    nodes: Ragged,
    points: np.ndarray,
    directions: np.ndarray,
    radius: float = 3.0,
) -> np.ndarray:
    """Energy over length along a known direction, of the voxels of a ball that lie ahead of its centre.

    Args:
        coords: (N, 3); values: (N,) or (N, 1), energy; nodes: n clusters; points: (n, 3), NaN gives NaN.
        directions: (n, 3), unit vectors.
        radius: of the ball around the point, positive.

    Returns:
        float32 (n,): Σ values / extent of the projections on the direction; 0 where less than two voxels lie ahead
        (by −0.001 or more), or they have no extent.
    """
    if not radius > 0:
        raise WeftError(f"radius {radius} of an energy loss along a direction, expected a positive one")
    voxels, values = cluster_points(coords, nodes), cluster_values(values, coords, nodes)
    offsets, points = _offsets(nodes), _points(points, nodes, "points")
    axes = _points(directions, nodes, "directions")
    found = _dedx_along(
        voxels, squared_distances(voxels, offsets, points), values, offsets, points, axes, float(radius)
    )
    return found.astype(np.float32)


def straightness(coords: np.ndarray, nodes: Ragged, points: np.ndarray, radius: float = 5.0) -> np.ndarray:
    """Share λ3/(λ1+λ2+λ3) of the principal axis in the scatter of the voxels within `radius` of a point.

    coords: (N, 3); nodes: n clusters; points: (n, 3), NaN gives NaN; radius: the whole cluster if not positive.
    float32 (n,), from 1/3 (a ball) to 1 (a line); 0 where there are less than three voxels, or all are in one place.
    """
    voxels, offsets, points = cluster_points(coords, nodes), _offsets(nodes), _points(points, nodes, "points")
    found = _straightness(voxels, squared_distances(voxels, offsets, points), offsets, points, float(radius))
    return found.astype(np.float32)


def directions_from(
    voxels: np.ndarray, offsets: np.ndarray, points: np.ndarray, squares: np.ndarray, radius: float, optimize: bool
) -> np.ndarray:
    """As :func:`directions`, of voxels (M, 3) laid out cluster by cluster, and their :func:`squared_distances`."""
    order = np.empty(0, np.int64)
    if optimize:  # from the nearest to the farthest voxel of each cluster
        order = np.lexsort((squares, np.repeat(np.arange(len(points)), np.diff(offsets))))
    return _directions(voxels, offsets, points, squares, order, float(radius), optimize).astype(np.float32)


def dedx_from(
    values: np.ndarray, offsets: np.ndarray, points: np.ndarray, squares: np.ndarray, radius: float
) -> np.ndarray:
    """As :func:`dedx`, of values (M,) laid out cluster by cluster."""
    return _dedx(squares, values, offsets, points, float(radius)).astype(np.float32)


def cluster_values(values: np.ndarray, coords: np.ndarray, nodes: Ragged) -> np.ndarray:
    """float64 (M,): values of the voxels of all clusters, one cluster after the other."""
    values = np.asarray(values)
    if values.shape not in ((len(coords),), (len(coords), 1)):
        raise WeftError(f"values of shape {values.shape}, expected one for each of the {len(coords)} voxels")
    return values.reshape(-1)[np.asarray(nodes.values, np.int64).reshape(-1)].astype(np.float64)


def _points(points: np.ndarray, nodes: Ragged, name: str) -> np.ndarray:
    if np.shape(points) != (len(nodes), 3):
        raise WeftError(f"{name} of shape {np.shape(points)}, expected ({len(nodes)}, 3): one for each cluster")
    return np.ascontiguousarray(points, np.float64)


def _offsets(nodes: Ragged) -> np.ndarray:
    return np.asarray(nodes.offsets, np.int64)


@kernel
def squared_distances(voxels: np.ndarray, offsets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Squared distances (M,) of the voxels of each cluster from its point."""
    squares = np.empty(len(voxels))
    for k in range(len(points)):
        for i in range(offsets[k], offsets[k + 1]):
            dx, dy, dz = voxels[i, 0] - points[k, 0], voxels[i, 1] - points[k, 1], voxels[i, 2] - points[k, 2]
            squares[i] = dx * dx + dy * dy + dz * dz
    return squares


@kernel
def _missing(point: np.ndarray) -> bool:
    return math.isnan(point[0] + point[1] + point[2])


@kernel
def _directions(
    voxels: np.ndarray,
    offsets: np.ndarray,
    points: np.ndarray,
    squares: np.ndarray,
    order: np.ndarray,
    radius: float,
    optimize: bool,
) -> np.ndarray:
    n = len(points)
    found = np.zeros((n, 3))
    for k in range(n):
        start, stop = offsets[k], offsets[k + 1]
        if _missing(points[k]):
            found[k, 0] = found[k, 1] = found[k, 2] = np.nan
            continue
        reach = np.inf
        if radius > 0.0:
            for i in range(start, stop):
                reach = min(reach, squares[i])
            reach = max(reach, radius * radius)
        if optimize:
            reach = _straightest(voxels, points[k], squares, order[start:stop], reach)
        size, farthest = 0, 0.0
        for i in range(start, stop):
            if squares[i] <= reach:
                size += 1
                farthest = max(farthest, squares[i])
                for a in range(3):
                    found[k, a] += voxels[i, a] - points[k, a]
        norm = math.sqrt(found[k, 0] ** 2 + found[k, 1] ** 2 + found[k, 2] ** 2)
        if size == 0 or (size == 1 and farthest == 0.0):
            found[k, 0] = 1.0
        elif norm > 0.0:
            for a in range(3):
                found[k, a] /= norm
    return found


@kernel
def _straightest(voxels: np.ndarray, point: np.ndarray, squares: np.ndarray, order: np.ndarray, reach: float) -> float:
    """Squared radius of the ball within `reach` whose voxels are most like a line; `order`: from near to far."""
    best, best_reach = -1.0, reach
    mean, outer = np.zeros(3), np.zeros((3, 3))  # about the point, so that little is lost in the differences
    for m in range(len(order)):
        i = order[m]
        if squares[i] > reach:
            break
        for a in range(3):
            p = voxels[i, a] - point[a]
            mean[a] += p
            for b in range(a + 1):
                outer[a, b] += p * (voxels[i, b] - point[b])
        # Voxels at one distance enter together: the order in which they come does not matter.
        if m < 2 or (m + 1 < len(order) and squares[order[m + 1]] == squares[i]):
            continue
        trace, largest = _scatter(mean, outer, m + 1)
        across = trace - largest
        likeness = math.sqrt(largest / across) if largest > 0.0 and across > 1e-6 * largest else 0.0
        if likeness >= best:
            best, best_reach = likeness, squares[i]
    return best_reach


@kernel
def _scatter(total: np.ndarray, outer: np.ndarray, size: int) -> tuple[float, float]:
    """Trace and largest eigenvalue of the covariance, from the sums of x and of x xᵀ (lower triangle)."""
    xx = outer[0, 0] / size - (total[0] / size) ** 2
    yy = outer[1, 1] / size - (total[1] / size) ** 2
    zz = outer[2, 2] / size - (total[2] / size) ** 2
    xy = outer[1, 0] / size - total[0] * total[1] / size**2
    xz = outer[2, 0] / size - total[0] * total[2] / size**2
    yz = outer[2, 1] / size - total[1] * total[2] / size**2
    trace = xx + yy + zz
    # Smith (1961), https://doi.org/10.1145/355578.366316
    q = trace / 3.0
    off = xy * xy + xz * xz + yz * yz
    p = math.sqrt(((xx - q) ** 2 + (yy - q) ** 2 + (zz - q) ** 2 + 2.0 * off) / 6.0)
    if p == 0.0:
        return trace, q
    a, b, c, d, e, f = (xx - q) / p, (yy - q) / p, (zz - q) / p, xy / p, xz / p, yz / p
    half = 0.5 * (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e))
    return trace, q + 2.0 * p * math.cos(math.acos(min(1.0, max(-1.0, half))) / 3.0)


@kernel
def _dedx(
    squares: np.ndarray, values: np.ndarray, offsets: np.ndarray, points: np.ndarray, radius: float
) -> np.ndarray:
    n = len(points)
    found = np.zeros(n)
    for k in range(n):
        if _missing(points[k]):
            found[k] = np.nan
            continue
        reach = radius * radius if radius > 0.0 else np.inf
        size, energy, longest = 0, 0.0, 0.0
        for i in range(offsets[k], offsets[k + 1]):
            if squares[i] <= reach:
                size += 1
                energy += values[i]
                longest = max(longest, squares[i])
        if longest > 0.0 and (size > 1 or radius <= 0.0):
            found[k] = energy / math.sqrt(longest)
    return found


@kernel
def _dedx_along(
    voxels: np.ndarray,
    squares: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    points: np.ndarray,
    axes: np.ndarray,
    radius: float,
) -> np.ndarray:
    n = len(points)
    found = np.zeros(n)
    for k in range(n):
        if _missing(points[k]) or _missing(axes[k]):
            found[k] = np.nan
            continue
        size, energy, low, high = 0, 0.0, np.inf, -np.inf
        for i in range(offsets[k], offsets[k + 1]):
            at = 0.0
            for a in range(3):
                at += (voxels[i, a] - points[k, a]) * axes[k, a]
            if squares[i] <= radius * radius and at >= -1e-3:
                size += 1
                energy += values[i]
                low, high = min(low, at), max(high, at)
        if size > 1 and high - low > 1e-6 * radius:  # an extent, not rounding
            found[k] = energy / (high - low)
    return found


@kernel
def _straightness(
    voxels: np.ndarray, squares: np.ndarray, offsets: np.ndarray, points: np.ndarray, radius: float
) -> np.ndarray:
    n = len(points)
    found = np.zeros(n)
    for k in range(n):
        if _missing(points[k]):
            found[k] = np.nan
            continue
        reach = radius * radius if radius > 0.0 else np.inf
        size, total, outer = 0, np.zeros(3), np.zeros((3, 3))
        for i in range(offsets[k], offsets[k + 1]):
            if squares[i] > reach:
                continue
            size += 1
            for a in range(3):
                p = voxels[i, a] - points[k, a]
                total[a] += p
                for b in range(a + 1):
                    outer[a, b] += p * (voxels[i, b] - points[k, b])
        if size > 2:
            trace, largest = _scatter(total, outer, size)
            if trace > 1e-9:
                found[k] = min(1.0, largest / trace)
    return found
