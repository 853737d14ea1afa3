"""Tips and forks of connected voxels, from distances along them: where a classical program looks for points.

All components of a class at once: farthest voxels by two sweeps of Dijkstra's algorithm, then side branches by the
voxel that is farthest from what the branches before have covered.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

TIP, FORK = 0, 1


class Skeleton(NamedTuple):
    """Places in the components of some voxels; a row for each."""

    voxel: np.ndarray
    """[n] row among the voxels given"""
    kind: np.ndarray
    """[n] TIP, or FORK: where a branch leaves an earlier one"""
    branch: np.ndarray
    """[n] float, voxels: length of the branch that ends or begins here; infinite for the two farthest tips"""
    other: np.ndarray
    """[n] row among the voxels of the other end of that branch"""
    size: np.ndarray
    """[n] voxels of the component"""


def skeleton(voxels: np.ndarray, reach: float, max_branches: int, min_branch: float) -> Skeleton:
    """Two farthest tips of every component, one where it is a single voxel, and tips and forks of its side branches.

    voxels: int [N, 3]. reach: voxels that near are neighbours, in steps of their distance. min_branch: voxels, the
    shortest side branch; at most ``max_branches`` a component.
    """
    if not len(voxels):
        nothing = np.zeros(0, np.int64)
        return Skeleton(nothing, nothing, np.zeros(0), nothing, nothing)
    graph = neighbours(voxels, reach)
    n, component = connected_components(graph, directed=False)
    sizes = np.bincount(component, minlength=n)
    roots = np.unique(component, return_index=True)[1]
    first = _farthest(_from(graph, roots)[0], component, n)
    distance, before = _from(graph, first)
    second = _farthest(distance, component, n)
    long = second != first
    tips = [np.where(long, first, second), second[long]]
    ends = [second, first[long]]  # the other one of each
    parts = [(tip, np.full(len(tip), TIP), np.full(len(tip), np.inf), end) for tip, end in zip(tips, ends, strict=True)]
    covered = np.zeros(len(voxels), bool)
    covered[first] = True
    _trace(second, before, covered)
    for _ in range(max_branches):
        distance, before = _from(graph, np.flatnonzero(covered))
        tip = _farthest(distance, component, n)
        tip = tip[distance[tip] >= min_branch]
        if not len(tip):
            break
        fork = _trace(tip, before, covered)
        parts += [
            (tip, np.full(len(tip), TIP), distance[tip], fork),
            (fork, np.full(len(tip), FORK), distance[tip], tip),
        ]
    voxel, kind, branch, other = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Skeleton(voxel, kind, branch, other, sizes[component[voxel]])


def neighbours(voxels: np.ndarray, reach: float) -> csr_array:
    """Distances between voxels that are at most ``reach`` apart, both ways."""
    pairs = cKDTree(voxels).query_pairs(reach, output_type="ndarray")
    length = np.linalg.norm(voxels[pairs[:, 0]] - voxels[pairs[:, 1]], axis=1)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    return csr_array((np.concatenate([length, length]), (rows, columns)), shape=(len(voxels),) * 2)


def _from(graph: csr_array, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every voxel from the nearest source along the graph, and the voxel before it on the way."""
    distance, before, _ = dijkstra(graph, indices=sources, min_only=True, return_predecessors=True)
    return distance, before


def _farthest(distance: np.ndarray, component: np.ndarray, n: int) -> np.ndarray:
    """The voxel of largest distance in each of ``n`` components, the first of equals."""
    order = np.lexsort((np.arange(len(distance)), -distance, component))
    return order[np.searchsorted(component[order], np.arange(n))]


def _trace(tips: np.ndarray, before: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Cover the way back from each tip; returns the covered voxel that each comes to."""
    at = tips.copy()
    while True:
        going = ~covered[at]
        if not going.any():
            return at
        covered[at[going]] = True
        at[going] = before[at[going]]
