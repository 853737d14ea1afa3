"""Voxel ids of LArCV, and one voxel from several deposits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Which class a voxel shared by several clusters gets, first to last: track, Michel, shower, delta, low-energy,
#: unknown, ghost (the default of SPINE's cluster3d parser; specs/spine_full_chain.md §1.0).
PRECEDENCE = (1, 2, 0, 3, 4, 6, 5)


def voxel_index(ids: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """int32 (n, 3) of LArCV ids, z·nx·ny + y·nx + x, in a box of shape (nx, ny, nz)."""
    nx, ny = np.uint64(shape[0]), np.uint64(shape[1])
    ids = np.asarray(ids, np.uint64)
    out = np.empty((len(ids), 3), np.int32)
    plane, out[:, 0] = np.divmod(ids, nx)
    out[:, 2], out[:, 1] = np.divmod(plane, ny)
    return out


def voxel_id(index: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """uint64 (n,): the inverse of `voxel_index`."""
    x, y, z = np.asarray(index, np.uint64).T
    return (z * np.uint64(shape[1]) + y) * np.uint64(shape[0]) + x


def merge_voxels(
    ids: np.ndarray, values: np.ndarray, shapes: np.ndarray | None = None, precedence: Sequence[int] = PRECEDENCE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row per voxel, sorted by id.

    Args:
        ids: uint64 (n,), with repetitions.
        values: float (n,): summed over a voxel's rows.
        shapes: int (n,): class of the cluster of each row.
        precedence: classes, the winning ones first.

    Returns:
        ids (m,), float64 sums (m,), and the row (m,) that represents each voxel: the one whose class comes first in
        `precedence`, the last such row where several have it (and where `shapes` is None).
    """
    rank = np.zeros(len(ids), np.int64)
    if shapes is not None:
        order_of = {shape: k for k, shape in enumerate(precedence)}
        rank = np.array([order_of.get(int(s), len(order_of)) for s in np.unique(shapes)], np.int64)[
            np.unique(shapes, return_inverse=True)[1]
        ]
    order = np.lexsort((np.arange(len(ids)), -rank, ids))
    ordered = ids[order]
    last = np.ones(len(ids), bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    first = np.ones(len(ids), bool)
    first[1:] = last[:-1]
    starts = np.flatnonzero(first)
    sums = np.add.reduceat(np.asarray(values, np.float64)[order], starts) if len(ids) else np.zeros(0)
    return ordered[last], sums, order[last]
