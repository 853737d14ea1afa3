"""How near two clusters must be to belong together: distances for each pair of classes that fit the truth best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weft.compiled import kernel

CLASSES = 4


class Pairs(NamedTuple):
    """What the fit needs of one event of n nodes: all P pairs a < b of them."""

    label: np.ndarray
    """int64 [n]: true group; −1: not judged"""
    size: np.ndarray
    """int64 [n]: voxels"""
    ends: np.ndarray
    """int64 [P, 2]"""
    kind: np.ndarray
    """int64 [P]: lower class · 4 + higher class"""
    distance: np.ndarray
    """float64 [measures, P]: voxels"""


class Reach(NamedTuple):
    """Clusters of two classes are joined if they are nearer than `distance`[class, class], by one of the measures."""

    measure: int
    distance: np.ndarray


def fit_reach(events: Sequence[Pairs], grid: int, passes: int) -> Reach:
    """The measure and distances with the highest mean adjusted Rand index (by voxels) over the events.

    The distances of the pairs of classes are tried in turn, `passes` times, from none to the longest there is.
    """
    together = _Together(events)
    longest = float(together.distance.max(initial=2.0)) + 1
    values = np.concatenate([[0.0], np.geomspace(1.0, longest, grid)])
    best, best_score = Reach(0, np.zeros((CLASSES, CLASSES))), -np.inf
    for measure in range(len(together.distance)):
        reach = np.zeros((CLASSES, CLASSES))
        score = together.mean_ari(reach, measure)
        for _ in range(passes):
            for kind in np.unique(together.kind).tolist():
                a, b = divmod(kind, CLASSES)
                for value in values:
                    tried = reach.copy()
                    tried[a, b] = tried[b, a] = value
                    if (found := together.mean_ari(tried, measure)) > score:
                        score, reach = found, tried
        if score > best_score:
            best, best_score = Reach(measure, reach), score
    return best


class _Together:
    """All events end to end."""

    def __init__(self, events: Sequence[Pairs]) -> None:
        self.nodes = np.concatenate([[0], np.cumsum([len(e.label) for e in events])]).astype(np.int64)
        self.pairs = np.concatenate([[0], np.cumsum([len(e.kind) for e in events])]).astype(np.int64)
        # True groups numbered within each event.
        labels = [np.unique(e.label, return_inverse=True)[1] - int((e.label < 0).any()) for e in events]
        self.label = np.concatenate([np.zeros(0, np.int64), *labels]).astype(np.int64)
        self.size = np.concatenate([np.zeros(0, np.int64), *(e.size for e in events)]).astype(np.int64)
        self.ends = np.concatenate([np.zeros((0, 2), np.int64), *(e.ends for e in events)]).astype(np.int64)
        self.kind = np.concatenate([np.zeros(0, np.int64), *(e.kind for e in events)]).astype(np.int64)
        self.distance = np.concatenate([np.zeros((2, 0)), *(e.distance for e in events)], axis=1).astype(np.float64)

    def mean_ari(self, reach: np.ndarray, measure: int) -> float:
        """Mean over the events with two judged voxels or more; 0 where there is none."""
        near = self.distance[measure] < reach[np.divmod(self.kind, CLASSES)]
        total, number = _sum_of_ari(self.nodes, self.pairs, self.label, self.size, self.ends, near)
        return total / number if number else 0.0


@kernel
def _sum_of_ari(
    nodes: np.ndarray, pairs: np.ndarray, label: np.ndarray, size: np.ndarray, ends: np.ndarray, near: np.ndarray
) -> tuple[float, int]:
    """Sum of the adjusted Rand indices (Hubert & Arabie 1985) of the events, and of how many."""
    total, number = 0.0, 0
    for event in range(len(nodes) - 1):
        first, n = nodes[event], nodes[event + 1] - nodes[event]
        parent = np.arange(n)
        for p in range(pairs[event], pairs[event + 1]):
            if near[p]:
                a, b = ends[p, 0], ends[p, 1]
                while parent[a] != a:
                    a = parent[a]
                while parent[b] != b:
                    b = parent[b]
                parent[max(a, b)] = min(a, b)
        cells, true, found = np.zeros((n, n)), np.zeros(n), np.zeros(n)
        voxels = 0.0
        for i in range(n):
            t, root = label[first + i], i
            if t < 0:
                continue
            while parent[root] != root:
                root = parent[root]
            cells[t, root] += size[first + i]
            true[t] += size[first + i]
            found[root] += size[first + i]
            voxels += size[first + i]
        if voxels < 2:
            continue
        number += 1
        both = (cells * (cells - 1)).sum() / 2
        of_true, of_found = (true * (true - 1)).sum() / 2, (found * (found - 1)).sum() / 2
        expected = of_true * of_found / (voxels * (voxels - 1) / 2)
        most = (of_true + of_found) / 2
        total += 1.0 if most == expected else (both - expected) / (most - expected)
    return total, number
