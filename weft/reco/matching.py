"""Which reconstructed object is which true one, by the voxels that they share (spec §1.11)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from weft.io.products import Ragged

Overlap = Literal["count", "iou", "dice", "weighted_iou", "weighted_dice", "chamfer"]


class Matches(NamedTuple):
    """Objects of the other kind that each object overlaps, best first."""

    ids: Ragged
    """int32 rows of the other kind"""
    overlaps: Ragged
    """float32, of each of them"""

    @property
    def best(self) -> np.ndarray:
        """int64 [n]: the best one; −1 where there is none."""
        return _first(self.ids, -1).astype(np.int64)

    @property
    def best_overlap(self) -> np.ndarray:
        """float64 [n]: overlap with the best one; NaN where there is none."""
        return _first(Ragged(self.overlaps.values.astype(np.float64), self.overlaps.offsets), np.nan)


def overlap_matrix(
    first: Ragged, second: Ragged, voxels: int, mode: Overlap = "iou", coords: np.ndarray | None = None
) -> np.ndarray:
    """float64 [n, m]: how much each object of the first kind overlaps each of the second.

    first, second: rows of voxels, each at most once in an object; objects of one kind may overlap.
    voxels: number of voxels of the event.
    mode: `count` of common voxels; `iou`, |A∩B|/|A∪B|; `dice`, 2|A∩B|/(|A|+|B|); those weighted by
        (|A|+|B|)/(1+||A|−|B||); `chamfer`, the mean distance of a voxel of A from B plus that of a voxel of B from A,
        where less is better and ∞ that one is empty: it needs coords [N, 3].
    """
    if mode == "chamfer":
        if coords is None:
            raise ValueError("the chamfer distance needs coordinates")
        return _chamfer(first, second, np.asarray(coords, np.float64))
    common = (_incidence(first, voxels) @ _incidence(second, voxels).T).toarray().astype(np.float64)
    if mode == "count":
        return common
    a, b = first.counts[:, None], second.counts[None]
    whole, factor = (a + b - common, 1) if mode.endswith("iou") else (a + b, 2)
    share = np.divide(factor * common, whole, out=np.zeros_like(common), where=whole > 0)
    return share * ((a + b) / (1 + np.abs(a - b))) if mode.startswith("weighted") else share


def match(overlap: np.ndarray, least: float = 0.0, mode: Overlap = "iou") -> tuple[Matches, Matches]:
    """Matches of the rows, and of the columns, of an overlap matrix [n, m].

    least: overlaps must be greater; for `chamfer` they must be finite, and less than it if it is positive.
    Of equal overlaps the lower row comes first.
    """
    nearer = mode == "chamfer"
    kept = (overlap < (least or np.inf)) if nearer else overlap > least
    cost = overlap if nearer else -overlap
    return _ranked(overlap, kept, cost), _ranked(overlap.T, kept.T, cost.T)


def _ranked(overlap: np.ndarray, kept: np.ndarray, cost: np.ndarray) -> Matches:
    row, column = np.nonzero(kept)
    order = np.lexsort((column, cost[row, column], row))
    row, column = row[order], column[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(overlap)))]).astype(np.int64)
    return Matches(Ragged(column.astype(np.int32), offsets), Ragged(overlap[row, column].astype(np.float32), offsets))


def _first(items: Ragged, missing: float) -> np.ndarray:
    out = np.full(len(items), missing, np.result_type(items.values.dtype, np.min_scalar_type(missing)))
    some = items.counts > 0
    out[some] = items.values[items.offsets[:-1][some]]
    return out


def _incidence(items: Ragged, voxels: int) -> csr_array:
    ones = np.ones(len(items.values), np.int64)
    return csr_array((ones, items.values.astype(np.int64), items.offsets), shape=(len(items), voxels))


def _chamfer(first: Ragged, second: Ragged, coords: np.ndarray) -> np.ndarray:
    out = np.full((len(first), len(second)), np.inf)
    trees = [[cKDTree(coords[rows]) if len(rows) else None for rows in kind] for kind in (first, second)]
    for i, a in enumerate(trees[0]):
        for j, b in enumerate(trees[1]):
            if a is not None and b is not None:
                out[i, j] = b.query(a.data)[0].mean() + a.query(b.data)[0].mean()
    return out
