"""From edges that stay to fragments: connected components, and orphans that neighbours adopt (spec §1.5).

Graph-SPICE's way from its edges, and SPICE's from clusters whose parts do not touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from weft.compiled import kernel
from weft.reco.dbscan import dbscan
from weft.reco.nodes import numbered_by_first
from weft.reco.voxel_graph import radius_edges

TOUCHING = 1.9
"""voxels: a radius that holds the 26 voxels that share a face, an edge or a corner with one"""


class OrphanOptions(Protocol):
    """What becomes of small components: options of a task, or :class:`Orphans`."""

    @property
    def min_size(self) -> int: ...
    @property
    def orphan_radius(self) -> float: ...
    @property
    def assign_all(self) -> bool: ...


class Orphans(NamedTuple):
    """Components of fewer than `min_size` voxels join one that they touch; those that touch none stay."""

    min_size: int
    orphan_radius: float = TOUCHING
    assign_all: bool = True


def touching_parts(labels: np.ndarray, coords: np.ndarray, classes: np.ndarray, least: int) -> np.ndarray:
    """int64 [N]: clusters divided where their parts do not touch by a face, an edge or a corner; −1: none.

    labels: integer [N], −1 for none, a cluster of voxels of one class. coords: int [N, 3]; classes: integer [N].
    A part of fewer than `least` voxels joins the part beside it, of its class, that most of its neighbours are in;
    small parts with none beside them stay, as one where they touch each other.
    """
    group = np.where(labels >= 0, classes, -1)
    kept = radius_edges(coords, TOUCHING, labels)
    return fragments(coords, group, kept, np.unique(group[group >= 0]).tolist(), Orphans(least))


def fragments(
    coords: np.ndarray, classes: np.ndarray, kept: np.ndarray, of: Sequence[int], options: OrphanOptions
) -> np.ndarray:
    """int64 [N]: the fragment of each voxel of an event; −1: none.

    coords: int [N, 3]. classes: integer [N]; of: the classes that have fragments. kept: int [E, 2], the edges that
    stay, each between voxels of one class.

    Components of fewer than `min_size` voxels are orphans. An orphan joins the component that most of its neighbours of
    its class are in, of equals the one with the first voxel; that is repeated with those that have just joined one,
    until nobody does. Those that are left are clustered by distance, or dropped without `assign_all`.
    """
    n = len(coords)
    group = np.where(np.isin(classes, list(of)), classes, -1).astype(np.int64)
    graph = coo_array((np.ones(len(kept), np.int8), (kept[:, 0], kept[:, 1])), shape=(n, n))
    labels = numbered_by_first(connected_components(graph, directed=False)[1]) if n else np.empty(0, np.int64)
    small = np.bincount(labels, minlength=1)[labels] < options.min_size
    labels[small | (group < 0)] = -1
    orphans = small & (group >= 0)
    if not orphans.any():
        return labels
    near = radius_edges(coords, options.orphan_radius, group)
    near = near[orphans[near].any(1)]
    ends = np.concatenate([near, near[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(ends[:, 0], minlength=n))])
    _adopt(starts, np.ascontiguousarray(ends[:, 1]).astype(np.int64), labels, np.flatnonzero(orphans))
    left = orphans & (labels < 0)
    if options.assign_all and left.any():
        alone = dbscan(coords, options.orphan_radius, groups=np.where(left, group, -1))
        labels[left] = alone[left] + labels.max() + 1
    return labels


@kernel
def _adopt(starts: np.ndarray, neighbours: np.ndarray, labels: np.ndarray, orphans: np.ndarray) -> None:
    """Give orphans the label of most of their neighbours, round by round; starts: where those of each begin."""
    n = len(starts) - 1
    asked, waiting = np.zeros(n, np.int64), orphans
    round_ = 0
    while len(waiting):
        round_ += 1
        found, number = np.empty(len(waiting), np.int64), 0
        chosen = np.empty(len(waiting), np.int64)
        for i in waiting:
            votes = np.empty(starts[i + 1] - starts[i], np.int64)
            m = 0
            for k in range(starts[i], starts[i + 1]):
                if labels[neighbours[k]] >= 0:
                    votes[m] = labels[neighbours[k]]
                    m += 1
            if m == 0:
                continue
            votes = np.sort(votes[:m])
            best, most, run = votes[0], 0, 0
            for k in range(m):
                run = run + 1 if k and votes[k] == votes[k - 1] else 1
                if run > most:
                    best, most = votes[k], run
            found[number], chosen[number] = i, best
            number += 1
        for k in range(number):
            labels[found[k]] = chosen[k]
        following, more = np.empty(len(orphans), np.int64), 0
        for k in range(number):
            for other in neighbours[starts[found[k]] : starts[found[k] + 1]]:
                if labels[other] < 0 and asked[other] < round_:
                    asked[other] = round_
                    following[more] = other
                    more += 1
        waiting = following[:more]
