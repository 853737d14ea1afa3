"""Which end of a track is its start (spec §1.11)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from weft.io.products import Ragged


def starts_by_dedx(
    points: np.ndarray, energy: np.ndarray, nodes: Ragged, start: np.ndarray, end: np.ndarray, radius: float = 5.0
) -> np.ndarray:
    """bool [n]: whether less energy was left around the start than around the end, as by a particle that stops.

    points: [N, 3] cm; energy: [N] MeV; nodes: rows of each of n tracks; start, end: [n, 3] cm;
    radius: cm, of the balls.
    Tracks that say nothing (the same energy at both ends) keep their start.
    """
    node = np.repeat(np.arange(len(nodes)), nodes.counts)
    rows = nodes.values

    def around(point: np.ndarray) -> np.ndarray:
        near = ((points[rows] - point[node]) ** 2).sum(1) < radius**2
        return np.bincount(node[near], np.asarray(energy, np.float64)[rows[near]], len(nodes))

    return np.asarray(around(start) <= around(end))


def starts_by_points(start: np.ndarray, end: np.ndarray, points: np.ndarray, reach: float) -> np.ndarray:
    """bool [n]: whether the start looks less like the end of a track than the end does, to PPN.

    start, end: [n, 3] cm. points: the product `points`. reach: cm; a proposed point farther away than that, or one
    without an end score, says nothing; where one end has none, 0.5 is taken for it. Ties keep their start.
    """
    known = points[np.isfinite(points["end_score"])]
    if not len(known) or not len(start):
        return np.ones(len(start), bool)
    tree = cKDTree(np.stack([known[axis] for axis in "xyz"], axis=1).astype(np.float64))

    def score(position: np.ndarray) -> np.ndarray:
        distance, row = tree.query(position)
        return np.where(distance <= reach, known["end_score"][row].astype(np.float64), 0.5)

    return np.asarray(score(start) <= score(end))


def starts_by_vertex(start: np.ndarray, end: np.ndarray, vertex: np.ndarray) -> np.ndarray:
    """bool [n]: whether the start is at least as near to the vertex as the end; all [n, 3] cm. NaN keeps the start."""
    return ~(np.linalg.norm(end - vertex, axis=1) < np.linalg.norm(start - vertex, axis=1))
