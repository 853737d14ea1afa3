"""Fragments by DBSCAN (spec §1.6): each class by itself; components of several particles are cut at their points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from weft.io.products import CLASSES
from weft.reco.dbscan import dbscan, masked_dbscan
from weft.reco.positions import to_voxels


class Rule(NamedTuple):
    """How the voxels of one class become fragments; lengths in voxels."""

    eps: float = 1.999
    """voxels so near are neighbours: below 2, those that share a face, an edge or a corner"""
    min_samples: int = 1
    """neighbours, itself included, of a voxel that carries a cluster on; 1: connected components"""
    min_size: int = 1
    """smaller fragments are dropped"""
    mask_radius: float | None = None
    """components are cut near points: voxels so near are set aside and join what is left around; None: not cut"""
    bridges: tuple[int, ...] = ()
    """classes whose voxels hold pieces together and are taken out again, such as deltas on a track"""


def dbscan_fragments(
    voxels: np.ndarray, semantics: np.ndarray, rules: Mapping[int, Rule], points: np.ndarray | None = None
) -> np.ndarray:
    """int64 [N]: the fragment of each voxel, numbered class by class in the order of `rules`; −1: in none.

    voxels: int [N, 3]. semantics: integer [N]. points: float [P, 3], voxel units (a voxel's centre is its index and a
    half), where particles start and end; for rules that cut.
    """
    centres = np.asarray(voxels, np.float64) + 0.5
    points = np.empty((0, 3)) if points is None else points
    labels, n = np.full(len(centres), -1, np.int64), 0
    for shape, rule in rules.items():
        rows = np.flatnonzero(np.isin(semantics, (shape, *rule.bridges)))
        if rule.mask_radius is None:
            found = dbscan(centres[rows], rule.eps, rule.min_samples)
        else:
            found = masked_dbscan(centres[rows], points, rule.eps, rule.min_samples, rule.mask_radius)
        found[semantics[rows] != shape] = -1
        sizes = np.bincount(found[found >= 0], minlength=1)
        large = sizes >= max(rule.min_size, 1)
        number = np.append(np.where(large, n + np.cumsum(large) - 1, -1), -1)  # the last entry is that of noise
        own = semantics[rows] == shape
        labels[rows[own]] = number[found[own]]
        n += int(large.sum())
    return labels


def splitting_points(
    points: np.ndarray, meta: np.ndarray, classes: tuple[int, ...], score: float = 0.0, class_score: float = 0.0
) -> np.ndarray:
    """float64 [P, 3], voxel units: the points of some classes that are sure enough.

    points: rows of the product `points`. meta: one row. score, class_score: least probability that there is a point,
    and that it is of its class.
    """
    own = np.zeros(len(points))
    for k in classes:
        of_class = points["class"] == k
        own[of_class] = points[f"score_{CLASSES[k]}"][of_class]
    kept = points[np.isin(points["class"], classes) & (points["score"] >= score) & (own >= class_score)]
    return to_voxels(np.stack([kept[axis] for axis in "xyz"], axis=1), meta)
