"""Connected components of masks of any size, and what small ones are taken for.

A mask is labelled slab by slab; components that meet at the face of two slabs are joined afterwards, so that the result
is that of `scipy.ndimage.label`, numbers included, whatever the slabs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as graph_components

from weft.errors import WeftError
from weft.volumes.lazy import MEMORY_MIB, LazyVolume, scratch, slabs

Connectivity = Literal[6, 18, 26]
"""Neighbours of a voxel: those that share a face, also those that share an edge, also those that share a corner."""
#: What separates objects that are joined through so many neighbours: holes are joined through these.
_OF_HOLES: dict[int, Connectivity] = {6: 26, 18: 6, 26: 6}


class Components(NamedTuple):
    labels: np.ndarray
    """int32 [Z, Y, X], 0 outside; in memory or in a scratch file"""
    sizes: np.ndarray
    """int64 [n + 1], voxels with each number, 0 included"""

    @property
    def n(self) -> int:
        return len(self.sizes) - 1


def connected_components(
    mask: LazyVolume, connectivity: Connectivity = 26, memory_mib: float = MEMORY_MIB, folder: Path | None = None
) -> Components:
    """Label the voxels of a mask [Z, Y, X] (true: not 0) by the component that they belong to.

    Components are numbered from 1 in the order of their first voxels.
    Raises WeftError for another number of axes.
    """
    if len(mask.shape) != 3:
        raise WeftError(f"a mask of shape {tuple(mask.shape)} has no components: expected [Z, Y, X]")
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    labels = scratch(tuple(mask.shape), np.int32, memory_mib, folder)
    count, pairs, last = 0, [], None
    for z, slab in slabs(mask):
        made, n = ndimage.label(slab != 0, structure)
        made[made > 0] += count
        count += n
        labels[z : z + len(made)] = made
        if last is not None and len(made):
            pairs.append(_touching(last, made[0], structure[0]))
        last = made[-1].copy() if len(made) else last
    number = _joined(count, pairs)
    sizes = np.zeros(int(number.max(initial=0)) + 1, np.int64)
    for z, slab in slabs(labels):
        final = number[slab]
        labels[z : z + len(slab)] = final
        sizes += np.bincount(final.ravel(), minlength=len(sizes))
    return Components(labels, sizes)


def _touching(above: np.ndarray, below: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """int32 [n, 2]: numbers of two neighbouring planes [Y, X] that touch; reach: which of 3 x 3 voxels do."""
    found = []
    height, width = above.shape
    for dy, dx in np.argwhere(reach) - 1:
        first = above[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
        second = below[max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)]
        both = (first > 0) & (second > 0)
        found.append(np.unique(np.stack([first[both], second[both]], 1), axis=0))
    return np.concatenate(found)


def _joined(count: int, pairs: list[np.ndarray]) -> np.ndarray:
    """int32 [count + 1]: the final number of each provisional one; 0 stays."""
    joined = np.concatenate([np.zeros((0, 2), np.int32), *pairs])
    graph = coo_array((np.ones(len(joined), bool), (joined[:, 0], joined[:, 1])), shape=(count + 1, count + 1))
    _, group = graph_components(graph, directed=False)
    # Provisional numbers follow the first voxels: so do groups in the order of their lowest number, and 0 is alone.
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int32)
    order[np.argsort(first)] = np.arange(len(first))
    return order[number.ravel()]


def without_small(components: Components, least: int) -> Components:
    """Without components of fewer than ``least`` voxels; the others numbered anew, in place."""
    kept = components.sizes >= least
    kept[0] = True
    if kept.all():
        return components
    number = np.where(kept, np.cumsum(kept) - 1, 0).astype(np.int32)
    for z, slab in slabs(components.labels):
        components.labels[z : z + len(slab)] = number[slab]
    sizes = components.sizes[kept]
    sizes[0] += components.sizes[~kept].sum()
    return Components(components.labels, sizes)


def holes(
    mask: LazyVolume,
    most: int,
    connectivity: Connectivity = 26,
    memory_mib: float = MEMORY_MIB,
    folder: Path | None = None,
) -> Components:
    """Holes of at most ``most`` voxels: components of what is not the mask that reach no face of the stack.

    connectivity: of the mask; what it encloses is joined through fewer neighbours, so that no hole leaks through it.
    """
    outside = connected_components(_Not(mask), _OF_HOLES[connectivity], memory_mib, folder)
    open_ = np.zeros(outside.n + 1, bool)
    for axis in range(3):
        for end in (0, -1):
            face: list[slice | int] = [slice(None)] * 3
            face[axis] = end
            open_[np.unique(outside.labels[tuple(face)])] = True
    kept = ~open_ & (outside.sizes <= most)
    kept[0] = True
    number = np.where(kept, np.cumsum(kept) - 1, 0).astype(np.int32)
    for z, slab in slabs(outside.labels):
        outside.labels[z : z + len(slab)] = number[slab]
    sizes = outside.sizes[kept]
    sizes[0] += outside.sizes[~kept].sum()
    return Components(outside.labels, sizes)


class _Not:
    def __init__(self, mask: LazyVolume) -> None:
        self._mask = mask
        self.shape, self.dtype = tuple(mask.shape), np.dtype(bool)

    def __getitem__(self, key: object) -> np.ndarray:
        return np.asarray(self._mask[key]) == 0
