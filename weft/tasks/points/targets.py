"""What a point proposal network should say: the nearest label point of each voxel, and masks of coarser grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.compiled import kernel


def nearest_points(
    voxels: np.ndarray,
    points: np.ndarray,
    radius: float,
    owners: np.ndarray | None = None,
    particles: np.ndarray | None = None,
) -> np.ndarray:
    """int32 [N]: the label point nearest to the centre of each voxel, −1 where none is nearer than ``radius``.

    voxels: int [N, 3]; points: [P, 3] in voxel units. owners [N], particles [P]: rows of particles, to let a voxel see
    only points of the particle that owns it, and none where that is −1. The first of equally near points is taken.
    """
    if owners is None:
        owners, particles = np.zeros(len(voxels), np.int32), np.zeros(len(points), np.int32)
    assert particles is not None
    nearest = np.full(len(voxels), -1, np.int32)
    _nearest(
        np.ascontiguousarray(voxels, np.float64) + 0.5,
        np.ascontiguousarray(points, np.float64),
        owners.astype(np.int32),
        particles.astype(np.int32),
        float(radius) ** 2,
        nearest,
    )
    return nearest


@kernel
def _nearest(
    centres: np.ndarray,
    points: np.ndarray,
    owners: np.ndarray,
    particles: np.ndarray,
    limit: float,
    nearest: np.ndarray,
) -> None:
    for i in range(len(centres)):
        best = limit
        for k in range(len(points)):
            if owners[i] < 0 or owners[i] != particles[k]:
                continue
            distance = 0.0
            for axis in range(3):
                distance += (centres[i, axis] - points[k, axis]) ** 2
            if distance < best:
                best = distance
                nearest[i] = k


def pooled_masks(coords: np.ndarray, positive: np.ndarray, levels: int) -> list[np.ndarray]:
    """bool [N_level] for levels 1 to ``levels`` − 1: whether a coarse voxel holds any positive one.

    coords: int [N, 1+D], batch, x, y, z; positive: bool [N]. Rows are in the order of the network's own: sorted by
    batch, x, y, z.
    """
    masks, cells = [], coords.astype(np.int64)
    for _ in range(1, levels):
        cells = _halved(cells)
        cells, parents = _distinct(cells)
        positive = np.bincount(parents, positive, minlength=len(cells)) > 0
        masks.append(positive)
    return masks


def label_masks(coords: np.ndarray, labels: np.ndarray, levels: Sequence[int]) -> list[np.ndarray]:
    """bool [N_level]: whether a coarse voxel holds a label point; ``labels``: int [P, 1+D], batch and voxel of each."""
    masks = []
    for level in levels:
        cells, _ = _distinct(_halved(coords.astype(np.int64), level))
        points = _halved(labels.astype(np.int64), level)
        both, rows = _distinct(np.concatenate([cells, points]))
        holds = np.zeros(len(both), bool)
        holds[rows[len(cells) :]] = True
        masks.append(holds[rows[: len(cells)]])
    return masks


def _halved(cells: np.ndarray, times: int = 1) -> np.ndarray:
    return np.concatenate([cells[:, :1], cells[:, 1:] >> times], axis=1)


def _distinct(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows, sorted by their columns, and the row of each among them; as `np.unique`, by one integer a row."""
    if not len(cells):
        return cells, np.zeros(0, np.int64)
    low = cells.min(axis=0)
    extent = cells.max(axis=0) - low + 1
    key = np.zeros(len(cells), np.int64)
    for column in range(cells.shape[1]):
        key = key * extent[column] + (cells[:, column] - low[column])
    _, first, rows = np.unique(key, return_index=True, return_inverse=True)
    return cells[first], rows


def view(
    arrays: Mapping[str, Any], order: np.ndarray, mirrored: np.ndarray, shift: np.ndarray
) -> dict[str, np.ndarray]:
    """Voxels and points with axes in another ``order``, mirrored where told and moved by whole voxels.

    arrays: ``coords`` int32 [N, 3] and, with labels, ``points`` float32 [P, 3] in voxel units. A mirrored voxel i is
    the voxel −1 − i, so that distances between voxels and points stay as they are.
    """
    coords = arrays["coords"][:, order]
    moved = {"coords": np.where(mirrored, -1 - coords, coords).astype(np.int32) + shift.astype(np.int32)}
    if "points" in arrays:
        points = arrays["points"][:, order]
        moved["points"] = (np.where(mirrored, -points, points) + shift).astype(np.float32)
    return moved


def event_rows(coords: np.ndarray, batch_size: int, levels: Sequence[int]) -> list[np.ndarray]:
    """int64 [B+1] for each level: rows of event b among its voxels are ``offsets[b]:offsets[b + 1]``.

    coords: int [N, 1+D], batch, x, y, z.
    """
    offsets = []
    for level in levels:
        cells, _ = _distinct(_halved(coords.astype(np.int64), level))
        counts = np.bincount(cells[:, 0], minlength=batch_size)
        offsets.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    return offsets
