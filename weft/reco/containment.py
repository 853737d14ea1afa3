"""What lies far enough inside the box of voxels (spec §1.11)."""

from __future__ import annotations

import numpy as np

from weft.io.products import Ragged


def inside(position: np.ndarray, meta: np.ndarray, margin: float) -> np.ndarray:
    """bool [n]: positions [n, 3] (cm) at least `margin` cm from every wall; NaN is outside. meta: the product."""
    box = meta[0]
    low = np.array([box[f"min_{a}"] for a in "xyz"])
    high = low + np.array([box[f"size_{a}"] * box[f"n{a}"] for a in "xyz"])
    position = np.asarray(position, np.float64)
    return np.asarray(((position >= low + margin) & (position <= high - margin)).all(axis=1))


def contained(points: np.ndarray, nodes: Ragged, meta: np.ndarray, margin: float) -> np.ndarray:
    """bool [n]: clusters all of whose voxels are :func:`inside`; one without voxels is.

    points: [N, 3] cm, centres of voxels; nodes: rows of each of n clusters.
    """
    near_wall = ~inside(points, meta, margin)
    node = np.repeat(np.arange(len(nodes)), nodes.counts)
    return np.bincount(node, near_wall[nodes.values], len(nodes)) == 0
