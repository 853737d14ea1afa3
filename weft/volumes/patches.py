"""Patches of stacks for training: where they lie, and how they are read (spec §4).

A network that shrinks sees ``size_in`` voxels and answers for ``size_out`` of them, in the middle. Labels and costs are
those of the answer. Beyond a stack, rows and columns are mirrored and slices repeat the outermost, as in inference
(:mod:`weft.dense.windows`); what lies there has no label, and cost 0. Only what a patch needs is read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.volumes.deform import Deformation, Symmetry
from weft.volumes.lazy import LazyVolume, slabs
from weft.volumes.tiling import reflected

Size = tuple[int, int, int]
_REACH = 3  # voxels around what is interpolated that a cubic spline sees


class Stack(NamedTuple):
    """What patches are cut from.

    Attributes:
        image: [C, Z, Y, X], normalised.
        labels: [Z, Y, X] integers, -1 no valid label.
        cost: [Z, Y, X] >= 0, or None where every voxel counts the same.
    """

    image: LazyVolume
    labels: LazyVolume
    cost: LazyVolume | None = None

    @property
    def size(self) -> Size:
        z, y, x = self.labels.shape
        return z, y, x


class Patch(NamedTuple):
    """image float32 [C, *size_in], labels int16 [*size_out], cost float32 [*size_out]."""

    image: NDArray[np.float32]
    labels: NDArray[np.int16]
    cost: NDArray[np.float32]


def cut(
    stack: Stack,
    start: Size,
    size_in: Size,
    size_out: Size,
    symmetry: Symmetry = Symmetry(),  # noqa: B008 (immutable)
    deformation: Deformation | None = None,
) -> Patch:
    """The patch whose answer begins at voxel ``start`` of the stack, which may lie outside of it.

    Both sizes are those after the symmetry; ``start`` and the deformation are before it. Under a deformation the image
    is interpolated by cubic splines in the plane, labels and costs are those of the nearest voxel.
    """
    before_in, before_out = symmetry.before(size_in), symmetry.before(size_out)
    start_in = [a - (n - m) // 2 for a, n, m in zip(start, before_in, before_out, strict=True)]
    if deformation is None:
        image = _extended(stack.image, [*map(_range, start_in, before_in)])
        rows = [*map(_range, start, before_out)]
        labels, cost = _within(stack, rows[0], *np.meshgrid(rows[1], rows[2], indexing="ij"))
    else:
        image = _interpolated(stack.image, _range(start_in[0], before_in[0]), deformation.sources(
            (start_in[1], start_in[2]), before_in[1:]))  # fmt: skip
        nearest = np.floor(deformation.sources((start[1], start[2]), before_out[1:]) + 0.5).astype(np.int64)
        labels, cost = _within(stack, _range(start[0], before_out[0]), *nearest)
    return Patch(*(np.ascontiguousarray(symmetry.of(array)) for array in (image, labels, cost)))


def uniform_start(size: Size, size_out: Size, rng: np.random.Generator) -> Size:
    """Where an answer begins: anywhere in the stack, or around its middle along axes that are shorter."""
    z, y, x = (
        int(rng.integers(n - out + 1)) if n >= out else -((out - n) // 2) for n, out in zip(size, size_out, strict=True)
    )
    return z, y, x


def start_around(voxel: Size, size: Size, size_out: Size) -> Size:
    """Where an answer begins that has a voxel in its middle, or as near to it as the border of the stack allows."""
    z, y, x = (
        min(max(v - out // 2, 0), n - out) if n >= out else -((out - n) // 2)
        for v, n, out in zip(voxel, size, size_out, strict=True)
    )
    return z, y, x


def foreground_voxels(stack: Stack, most: int, rng: np.random.Generator) -> dict[int, NDArray[np.int32]]:
    """For each class but the background int32 [n, 3]: up to ``most`` voxels that count, evenly drawn; read in slabs."""
    found: dict[int, list[NDArray[np.int32]]] = {}
    kept: dict[int, list[NDArray[np.float64]]] = {}
    for z, slab in slabs(stack.labels):
        counts = slab > 0
        if stack.cost is not None:
            counts &= np.asarray(stack.cost[z : z + len(slab)]) > 0
        place = np.argwhere(counts).astype(np.int32)
        classes = slab[counts]
        place[:, 0] += z
        for label in np.unique(classes).tolist():
            here = place[classes == label]
            ticket = rng.random(len(here))  # the lowest tickets of all slabs are kept
            if len(here) > most:
                chosen = np.argpartition(ticket, most)[:most]
                here, ticket = here[chosen], ticket[chosen]
            found.setdefault(label, []).append(here)
            kept.setdefault(label, []).append(ticket)
    drawn = {}
    for label, parts in sorted(found.items()):
        order = np.argsort(np.concatenate(kept[label]), kind="stable")[:most]
        drawn[label] = np.concatenate(parts)[order]
    return drawn


def _range(start: int, size: int) -> NDArray[np.int64]:
    return np.arange(start, start + size)


def _extended(image: LazyVolume, rows: list[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Voxels [C, z, y, x] of an image, by their coordinates along the axes, also beyond it."""
    z, y, x = image.shape[1:]
    index = [np.clip(rows[0], 0, z - 1), reflected(rows[1], y), reflected(rows[2], x)]
    low = [int(i.min()) for i in index]
    block = np.asarray(image[(slice(None), *(slice(a, int(i.max()) + 1) for a, i in zip(low, index, strict=True)))])
    inside = [i - a for a, i in zip(low, index, strict=True)]
    return block[:, inside[0][:, None, None], inside[1][None, :, None], inside[2]].astype(np.float32, copy=False)


def _interpolated(image: LazyVolume, planes: NDArray[np.int64], sources: NDArray[np.float64]) -> NDArray[np.float32]:
    """[C, planes, Y, X] at positions [2, Y, X] of each plane."""
    rows = [np.arange(int(np.floor(s.min())) - _REACH, int(np.ceil(s.max())) + _REACH + 1) for s in sources]
    block = _extended(image, [planes, *rows])
    at = sources - np.array([rows[0][0], rows[1][0]], float)[:, None, None]
    made = np.empty((*block.shape[:2], *sources.shape[1:]), np.float32)
    for c, z in np.ndindex(*block.shape[:2]):
        ndimage.map_coordinates(block[c, z], at, output=made[c, z], order=3, mode="mirror")
    return made


def _within(
    stack: Stack, z: NDArray[np.int64], y: NDArray[np.int64], x: NDArray[np.int64]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Labels and costs at planes z [n] and positions y, x [Y, X]; -1 and 0 outside of the stack."""
    deep, high, wide = stack.size
    planes = (z >= 0) & (z < deep)
    place = (y >= 0) & (y < high) & (x >= 0) & (x < wide)
    labels = np.full((len(z), *y.shape), -1, np.int16)
    cost = np.zeros(labels.shape, np.float32)
    if not planes.any() or not place.any():
        return labels, cost
    first, low_y, low_x = int(z[planes][0]), int(y[place].min()), int(x[place].min())
    region = (
        slice(first, int(z[planes][-1]) + 1),
        slice(low_y, int(y[place].max()) + 1),
        slice(low_x, int(x[place].max()) + 1),
    )
    at = (z[planes][:, None] - first, (y[place] - low_y)[None], (x[place] - low_x)[None])
    where = np.ix_(np.flatnonzero(planes), np.flatnonzero(place))
    labels.reshape(len(z), -1)[where] = np.asarray(stack.labels[region])[at]
    costs = 1.0 if stack.cost is None else np.asarray(stack.cost[region], np.float32)[at]
    cost.reshape(len(z), -1)[where] = costs
    cost[labels < 0] = 0
    return labels, cost
