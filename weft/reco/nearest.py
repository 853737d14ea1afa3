"""The nearest of some points, with a rule for equals, which are common on a grid and which trees order at will."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def nearest_rows(
    coords: np.ndarray, among: np.ndarray, asked: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """int64 [asked]: the one of the rows `among` that is nearest to each row `asked`, of equally near ones the first.

    coords: [N, 3]. among, asked: rows of it; `among` not empty, its order is that of preference.
    groups: integer [N]: only rows of the same group count; each one asked for has some among them.
    """
    if not len(asked):
        return np.empty(0, np.int64)
    space = np.asarray(coords, np.float64)
    if groups is not None:
        # Groups lie apart in a fourth dimension by more than any distance within one.
        apart = 2 * float(np.linalg.norm(np.ptp(space, axis=0))) + 1
        space = np.column_stack([space, groups * apart])
    tree = cKDTree(space[among])
    nearest, many, open_ = np.empty(len(asked), np.int64), 8, np.arange(len(asked))
    while len(open_):
        many = min(many, len(among))
        distance, index = tree.query(space[asked[open_]], k=many)
        distance, index = distance.reshape(-1, many), index.reshape(-1, many)
        equal = distance == distance[:, :1]
        nearest[open_] = np.where(equal, index, len(among)).min(1)
        open_ = open_[equal[:, -1]] if many < len(among) else open_[:0]
        many *= 4
    return among[nearest]
