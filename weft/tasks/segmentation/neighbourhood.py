"""Features of a voxel from its surroundings: charge, density, shape, and its place in the connected piece it
is in.

Only voxel numbers and charges enter. All geometry is summed in integers and every row is worked out in the
order of the voxels in space, so the features are the same to the last bit wherever the event lies in the box
and in whatever order its voxels come.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

#: Radii of the neighbourhoods, voxels; the first holds the 26 touching voxels.
RADII = (1.75, 3.0, 5.0, 8.0)
#: Radii of the neighbourhoods counted in cells of CELL³ voxels, voxels.
COARSE_RADII = (16.0, 32.0)
CELL = 4
#: Voxels and cells no further apart than this belong to one piece, voxels.
LINKS = (1.75, 5.0)

_SHAPE = ("linearity", "planarity", "sphericity", "spread", "offset", "pull")
#: Features that are averaged over the wider neighbourhoods, where they tell what a voxel is part of.
_AVERAGED = ("linearity_5", "offset_5", "charge_per_length_3")
_WIDE = (RADII[-1], *COARSE_RADII)
_DENSITY = ("count", "charge", "charge_per_voxel", "charge_spread", "charge_per_length")


def _names() -> tuple[str, ...]:
    names = ["charge"]
    for radius in (*RADII, *COARSE_RADII):
        names += [f"{what}_{radius:g}" for what in (*_DENSITY, *_SHAPE)]
    for radius in _WIDE:
        names += [f"mean_{what}_{radius:g}" for what in _AVERAGED]
    names += [f"peak_charge_{radius:g}" for radius in _WIDE]
    names += [f"mean_peak_charge_{RADII[-1]:g}"]
    for link in LINKS:
        names += [f"{what}_{link:g}" for what in ("piece_voxels", "piece_charge", "piece_extent")]
    names += ["end_distance", "other_end_distance", "branch_length", "peak_distance", "peak_charge"]
    names += ["end_charge", "other_end_charge", "piece_length", "event_voxels"]
    return tuple(names)


FEATURES = _names()


def voxel_features(voxels: np.ndarray, charge: np.ndarray) -> NDArray[np.float32]:
    """float32 [N, len(FEATURES)].

    voxels: int [N, 3], unique; charge: float [N] or [N, 1], MeV. Lengths are in voxels, charges in MeV.

    For every radius: voxels and charge within it, mean charge of a voxel and its spread, charge per length of the
    principal axis (a stand-in for dE/dx); from the eigenvalues l1 >= l2 >= l3 of the positions' covariance linearity
    (l1 - l2) / l1, planarity (l2 - l3) / l1, sphericity l3 / l1 and the spread sqrt(l1 + l2 + l3) (Weinmann et al.,
    ISPRS J. 105, 2015), and the distances to the centroid (`offset`) and to that of
    the charge (`pull`), which tell ends from middles. Over wider neighbourhoods also
    the means of some of these features and of the highest charge within 3 voxels (`peak`): they tell what the voxel is
    part of.

    For the connected piece: its size, charge and extent; the way inside it to its two ends (the voxels furthest apart),
    half the detour that a voxel makes from the way between them, which is how far out on a branch it lies, and the way
    to the highest charge density, where a stopping particle has its Bragg peak.
    """
    voxels = np.asarray(voxels, dtype=np.int64)
    charge = np.asarray(charge, dtype=np.float64).reshape(-1)
    if len(voxels) == 0:
        return np.zeros((0, len(FEATURES)), np.float32)
    order = np.lexsort(voxels.T)
    columns = np.empty((len(voxels), len(FEATURES)), np.float32)
    columns[order] = _sorted_features(voxels[order] - voxels.min(axis=0), charge[order])
    return columns


def _sorted_features(voxels: NDArray[np.int64], charge: Array) -> Array:
    """The columns in the order of FEATURES."""
    pairs, distance = _pairs(voxels, max(RADII))
    sums = _moments(voxels, charge)
    local = []
    for radius in RADII:
        around = _neighbours(pairs[distance <= radius], len(voxels))
        local.append(_local(voxels, around @ sums))
    first = np.concatenate([charge[:, None], *local], axis=1)
    averaged = first[:, [FEATURES.index(name) for name in _AVERAGED]]
    density = first[:, FEATURES.index(f"charge_{RADII[1]:g}")]
    wide, wide_means, wide_peaks = _coarse(voxels, sums, averaged, density)
    # `around` is now the widest neighbourhood that is counted in voxels.
    count = local[-1][:, :1]
    peak = np.maximum.reduceat(density[around.indices], around.indptr[:-1])[:, None]
    pieces = [_piece_labels(pairs[distance <= link], len(voxels)) for link in LINKS]
    touching = distance <= LINKS[0]
    return np.concatenate(
        [
            first,
            *wide,
            around @ averaged / count,
            *wide_means,
            peak,
            *wide_peaks,
            around @ peak / count,
            *(_piece_sizes(voxels, charge, label) for label in pieces),
            _ways(pairs[touching], distance[touching], pieces[0], density),
            np.full((len(voxels), 1), len(voxels)),
        ],
        axis=1,
    )


def _pairs(points: NDArray[np.int64], radius: float) -> tuple[NDArray[np.int64], Array]:
    """Pairs (i, j), i < j, no further apart than `radius`, in lexicographic order, and their distances."""
    pairs = cKDTree(points).query_pairs(radius + 1e-6, output_type="ndarray").astype(np.int64)
    pairs = pairs[np.argsort(pairs[:, 0] * len(points) + pairs[:, 1])]
    step = points[pairs[:, 0]] - points[pairs[:, 1]]
    return pairs, np.sqrt((step * step).sum(axis=1))


def _neighbours(pairs: NDArray[np.int64], n: int) -> sparse.csr_array:
    """Adjacency [n, n] of a neighbourhood, every voxel its own neighbour."""
    own = np.arange(n)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], own])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], own])
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    matrix.sort_indices()
    return matrix


def _moments(voxels: NDArray[np.int64], charge: Array) -> Array:
    """Columns whose sums give counts, charges, centroids and covariances:
    1, q, q², x, y, z, xx, xy, xz, yy, yz, zz, qx, qy, qz."""
    x, y, z = voxels.T
    geometry = [x, y, z, x * x, x * y, x * z, y * y, y * z, z * z]
    return np.stack([np.ones(len(x)), charge, charge**2, *geometry, charge * x, charge * y, charge * z], axis=1)


def _local(voxels: NDArray[np.int64], sums: Array) -> Array:
    """[N, len(_DENSITY) + len(_SHAPE)] from the sums of `_moments` over each neighbourhood."""
    n, q, q2 = sums[:, 0], sums[:, 1], sums[:, 2]
    mean = q / n
    l1, l2, l3 = _eigenvalues(sums)
    spread = np.sqrt(np.maximum(q2 / n - mean**2, 0))
    offset = np.sqrt(((voxels * n[:, None] - sums[:, 3:6]) ** 2).sum(axis=1)) / n
    pull = np.sqrt(((voxels * q[:, None] - sums[:, 12:15]) ** 2).sum(axis=1)) / np.where(q > 0, q, 1)
    length = np.sqrt(12 * l1 + 1)  # a rod of length L has variance L²/12 along itself
    scale = np.maximum(l1, 1e-9)
    return np.stack(
        [
            n,
            q,
            mean,
            spread,
            q / length,
            (l1 - l2) / scale,
            (l2 - l3) / scale,
            l3 / scale,
            np.sqrt(l1 + l2 + l3),
            offset,
            pull,
        ],
        axis=1,
    )


def _eigenvalues(sums: Array) -> tuple[Array, Array, Array]:
    """Eigenvalues of the 3x3 covariances, largest first, in closed form (Smith, Comm. ACM 4, 168, 1961)."""
    n, x, y, z, xx, xy, xz, yy, yz, zz = sums[:, [0, 3, 4, 5, 6, 7, 8, 9, 10, 11]].T
    # n² · covariance is made of integers, hence exact.
    a, b, c = n * xx - x * x, n * yy - y * y, n * zz - z * z
    d, e, f = n * xy - x * y, n * xz - x * z, n * yz - y * z
    mean = (a + b + c) / 3
    a, b, c = a - mean, b - mean, c - mean
    off = d * d + e * e + f * f
    size = np.sqrt((a * a + b * b + c * c + 2 * off) / 6)
    determinant = a * (b * c - f * f) - d * (d * c - e * f) + e * (d * f - e * b)
    cosine = np.divide(determinant, 2 * size**3, out=np.ones_like(size), where=size > 0)
    angle = np.arccos(np.clip(cosine, -1, 1)) / 3
    largest = mean + 2 * size * np.cos(angle)
    smallest = mean + 2 * size * np.cos(angle + 2 * np.pi / 3)
    middle = 3 * mean - largest - smallest
    norm = n * n
    return (np.maximum(largest, 0) / norm, np.maximum(middle, 0) / norm, np.maximum(smallest, 0) / norm)


def _coarse(
    voxels: NDArray[np.int64], sums: Array, averaged: Array, density: Array
) -> tuple[list[Array], list[Array], list[Array]]:
    """Wide neighbourhoods, made of cells whose centres are near that of the voxel's cell: for each radius the columns
    of `_local`, the means of `averaged` [N, K] and the largest `density` [N]."""
    cells, cell = np.unique(voxels // CELL, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    per_cell = _group_sums(cell, np.concatenate([sums, averaged], axis=1), len(cells))
    pairs, distance = _pairs(cells, max(COARSE_RADII) / CELL)
    highest = np.zeros(len(cells))
    np.maximum.at(highest, cell, density)
    local, means, peaks = [], [], []
    for radius in COARSE_RADII:
        near = _neighbours(pairs[distance <= radius / CELL], len(cells))
        around = (near @ per_cell)[cell]
        peaks.append(np.maximum.reduceat(highest[near.indices], near.indptr[:-1])[cell][:, None])
        local.append(_local(voxels, around[:, : sums.shape[1]]))
        means.append(around[:, sums.shape[1] :] / around[:, :1])
    return local, means, peaks


def _group_sums(group: NDArray[np.int64], values: Array, n_groups: int) -> Array:
    """Sum of rows by group: [n_groups, K]."""
    own = np.arange(len(group))
    return sparse.csr_array((np.ones(len(group)), (group, own)), shape=(n_groups, len(group))) @ values


def _piece_labels(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return csgraph.connected_components(graph, directed=False)[1].astype(np.int64)


def _piece_sizes(voxels: NDArray[np.int64], charge: Array, piece: NDArray[np.int64]) -> Array:
    """[N, 3]: voxels, charge and diagonal of the bounding box of the piece that each voxel is in."""
    n_pieces = piece.max() + 1
    low = np.full((n_pieces, 3), np.iinfo(np.int64).max)
    high = np.zeros((n_pieces, 3), np.int64)
    np.minimum.at(low, piece, voxels)
    np.maximum.at(high, piece, voxels)
    extent = np.sqrt(((high - low + 1) ** 2).sum(axis=1))
    sizes = np.stack([np.bincount(piece), np.bincount(piece, charge), extent], axis=1)
    return sizes[piece]


def _ways(pairs: NDArray[np.int64], length: Array, piece: NDArray[np.int64], density: Array) -> Array:
    """[N, 8]: the columns from end_distance to piece_length, see `voxel_features`."""
    n = len(piece)
    graph = sparse.csr_array((length, (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    anywhere = np.unique(piece, return_index=True)[1]
    first = _furthest(_way(graph, anywhere), piece)
    to_first = _way(graph, first)
    second = _furthest(to_first, piece)
    to_second = _way(graph, second)
    peak = _furthest(density, piece)
    to_peak = _way(graph, peak)
    whole = to_first[second][piece]
    nearer = np.minimum(to_first, to_second)
    end = np.where(to_first <= to_second, first[piece], second[piece])
    other = np.where(to_first <= to_second, second[piece], first[piece])
    return np.stack(
        [
            nearer,
            np.maximum(to_first, to_second),
            (to_first + to_second - whole) / 2,
            to_peak,
            density[peak][piece],
            density[end],
            density[other],
            whole,
        ],
        axis=1,
    )


def _way(graph: sparse.csr_array, sources: NDArray[np.int64]) -> Array:
    """Length of the shortest way inside its piece from each voxel to the source there (one source a piece)."""
    return csgraph.dijkstra(graph, directed=False, indices=sources, min_only=True)


def _furthest(value: Array, piece: NDArray[np.int64]) -> NDArray[np.int64]:
    """The voxel with the largest value of each piece; the first of equals."""
    order = np.lexsort((np.arange(len(value)), -value, piece))
    return order[np.unique(piece[order], return_index=True)[1]]
