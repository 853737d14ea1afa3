"""From probabilities to labels, from labels to objects: thresholds, holes, small ones, and a row for each.

microscopy_segmentation spec §7. Everything is read and written in slabs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from weft.config.strict import Strict
from weft.io.volume_products import OBJECTS
from weft.volumes.components import Components, Connectivity, connected_components, holes, without_small
from weft.volumes.lazy import MEMORY_MIB, LazyVolume, pieces, scratch, slabs
from weft.volumes.normalise import channel

_READ = 1 << 22  # values of a product that are read at once to be measured


class ObjectOptions(Strict):
    """Which voxels of one class are one object, and which are none."""

    connectivity: Connectivity = Field(26, description="neighbours of a voxel: 6 by faces, 18 also by edges, 26 all")
    min_voxels: int = Field(1, ge=1, description="smaller objects become background")
    max_hole: int = Field(0, ge=0, description="voxels; enclosed background up to this size becomes its object")


class Found(NamedTuple):
    """Objects of a stack; the arrays are in memory or in scratch files."""

    labels: np.ndarray
    """int16 [Z, Y, X]: the class of each voxel, after holes and small objects"""
    instances: np.ndarray
    """int32 [Z, Y, X]: the object of each voxel, 0 background; class by class, in the order of first voxels"""
    objects: np.ndarray
    """structured `objects` table, one row each"""


def decided(probabilities: LazyVolume, threshold: float | None = None) -> LazyVolume:
    """int16 [Z, Y, X] of probabilities [K, Z, Y, X], class 0 being the background.

    Without a threshold the most probable class, the first of equals; with one the most probable of classes 1 to K - 1
    where its probability is not below the threshold, else 0.
    """
    return _Decided(probabilities, threshold)


class _Decided:
    def __init__(self, probabilities: LazyVolume, threshold: float | None) -> None:
        self._probabilities, self._threshold = probabilities, threshold
        self.shape, self.dtype = tuple(probabilities.shape[1:]), np.dtype(np.int16)

    def __getitem__(self, key: Any) -> np.ndarray:
        values = np.asarray(self._probabilities[(slice(None), *(key if isinstance(key, tuple) else (key,)))])
        if self._threshold is None:
            return values.argmax(axis=0).astype(np.int16)
        best = values[1:].argmax(axis=0) + 1
        return np.where(values[1:].max(axis=0) >= self._threshold, best, 0).astype(np.int16)


def find_objects(
    labels: LazyVolume,
    options: ObjectOptions,
    spacing: tuple[float, float, float],
    image: LazyVolume,
    probabilities: LazyVolume | None = None,
    memory_mib: float = MEMORY_MIB,
    folder: Path | None = None,
) -> Found:
    """Objects of labels [Z, Y, X] (classes, 0 and below: no object): holes are filled, small objects removed, the rest
    numbered and measured.

    spacing: µm along z, y, x, NaN where unknown. image: [Z, Y, X] or [C, Z, Y, X], of which the first channel is
    measured. probabilities: [K, Z, Y, X].
    """
    made = scratch(tuple(labels.shape), np.int16, memory_mib, folder)
    classes: set[int] = set()
    for z, slab in slabs(labels):
        made[z : z + len(slab)] = np.maximum(slab, 0)
        classes.update(np.unique(slab[slab > 0]).tolist())
    instances = scratch(tuple(labels.shape), np.int32, memory_mib, folder)
    owner: list[int] = []
    for label in sorted(classes):
        _fill(made, label, options, memory_mib, folder)
        found = connected_components(_Is(made, label), options.connectivity, memory_mib, folder)
        kept = _without_small(found, options.min_voxels, made, label)
        for z, slab in slabs(kept.labels):
            block = instances[z : z + len(slab)]
            block[slab > 0] = slab[slab > 0] + len(owner)
        owner += [label] * kept.n
    first = image if len(image.shape) == 3 else channel(image, 0)
    return Found(made, instances, measure(instances, np.array(owner, np.int16), spacing, first, probabilities))


def _fill(labels: np.ndarray, label: int, options: ObjectOptions, memory_mib: float, folder: Path | None) -> None:
    """Give the holes of a class that hold nothing but background to it, in place."""
    if not options.max_hole:
        return
    enclosed = holes(_Is(labels, label), options.max_hole, options.connectivity, memory_mib, folder)
    if not enclosed.n:
        return
    taken = np.zeros(enclosed.n + 1, bool)
    for z, slab in slabs(enclosed.labels):
        taken[slab[labels[z : z + len(slab)] != 0]] = True  # another class lies inside
    taken[0] = True
    for z, slab in slabs(enclosed.labels):
        labels[z : z + len(slab)][~taken[slab]] = label


def _without_small(found: Components, least: int, labels: np.ndarray, label: int) -> Components:
    kept = without_small(found, least)
    if kept is not found:
        for z, slab in slabs(kept.labels):
            block = labels[z : z + len(slab)]
            block[(block == label) & (slab == 0)] = 0
    return kept


def measure(
    instances: LazyVolume,
    classes: np.ndarray,
    spacing: tuple[float, float, float],
    image: LazyVolume,
    probabilities: LazyVolume | None = None,
) -> np.ndarray:
    """The `objects` table of instances [Z, Y, X] numbered from 1; classes: int (n,), the class of each.

    image: [Z, Y, X]; probabilities: [K, Z, Y, X], of which that of an object's own class is averaged.
    An object without voxels has centroid and means NaN and an empty box.
    """
    n = len(classes)
    voxels, brightness, certainty = np.zeros(n + 1, np.int64), np.zeros(n + 1), np.zeros(n + 1)
    sums = np.zeros((3, n + 1))
    start, stop = np.full((3, n + 1), np.iinfo(np.int32).max, np.int32), np.zeros((3, n + 1), np.int32)
    of = np.concatenate([[0], classes]).astype(np.int64)
    values = 1 if probabilities is None else probabilities.shape[0]
    for z, slab in slabs(instances, max(1, _READ // values)):
        pixels = np.asarray(image[z : z + len(slab)]).ravel()
        block = None if probabilities is None else np.asarray(probabilities[:, z : z + len(slab)])
        for first, piece in pieces(slab):
            inside = np.flatnonzero(piece)
            number, place = piece[inside], inside + first
            where = np.unravel_index(place, slab.shape)
            voxels += np.bincount(number, minlength=n + 1)
            brightness += np.bincount(number, pixels[place], n + 1)
            for axis, offset in enumerate((z, 0, 0)):
                at = (where[axis] + offset).astype(np.int32)
                sums[axis] += np.bincount(number, at, n + 1)
                np.minimum.at(start[axis], number, at)
                np.maximum.at(stop[axis], number, at + 1)
            if block is not None:
                certainty += np.bincount(number, block[(of[number], *where)], n + 1)
    table = np.zeros(n, OBJECTS.dtype)
    table["label"], table["class"], table["voxels"] = np.arange(1, n + 1), classes, voxels[1:]
    table["volume"] = voxels[1:] * float(np.prod(spacing))
    count = np.where(voxels[1:] > 0, voxels[1:], np.nan)
    for axis, name in enumerate("zyx"):
        table[f"centroid_{name}"] = sums[axis, 1:] / count * spacing[axis]
        table[f"start_{name}"] = np.where(voxels[1:] > 0, start[axis, 1:], 0)
        table[f"stop_{name}"] = stop[axis, 1:]
    table["mean_intensity"] = brightness[1:] / count
    table["mean_probability"] = np.nan if probabilities is None else certainty[1:] / count
    return table


class _Is:
    """Where labels have one value."""

    def __init__(self, labels: LazyVolume, label: int) -> None:
        self._labels, self._label = labels, label
        self.shape, self.dtype = tuple(labels.shape), np.dtype(bool)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self._labels[key]) == self._label
