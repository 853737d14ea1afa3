"""Sets of voxels as sorted 64-bit keys.

A voxel ``[batch, x, y, (z)]`` becomes one integer by mixed-radix packing over the extents that the batch really
occupies, so negative coordinates need no offset by the user and large detectors fit. Packing keeps the
lexicographic order of the columns, hence a sorted key array is a search tree for neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from weft.errors import WeftError

KEY_RANGE = 2**63  # keys are 0 ... 2**63 - 1


@dataclass(frozen=True)
class Packing:
    """Mixed-radix code of ``[batch, x, y, (z)]`` with inclusive bounds ``low`` and ``high`` per column."""

    low: tuple[int, ...]
    high: tuple[int, ...]

    def __post_init__(self) -> None:
        if prod(self.extents) > KEY_RANGE:
            raise WeftError(
                f"voxel extents {' x '.join(map(str, self.extents[1:]))} x {self.extents[0]} events need more "
                "than 63 bits: use smaller batches or remove voxels far outside the detector"
            )

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(h - l + 1 for l, h in zip(self.low, self.high, strict=True))  # noqa: E741

    @property
    def radix(self) -> tuple[int, ...]:
        """Key difference of one step along each column."""
        extents = self.extents
        return tuple(prod(extents[i + 1 :]) for i in range(len(extents)))

    @classmethod
    def around(cls, coords: Tensor) -> Packing:
        """The tightest packing of integer ``coords`` [N, 1+D]."""
        if coords.shape[0] == 0:
            zeros = (0,) * coords.shape[1]
            return cls(zeros, zeros)
        bounds = [torch.aminmax(column) for column in coords.t().contiguous()]  # columns: rows would be slow
        return cls(tuple(int(b.min) for b in bounds), tuple(int(b.max) for b in bounds))

    def coarsened(self, factor: Sequence[int]) -> Packing:
        """The packing of the same region on a grid coarser by ``factor`` [D]."""
        divisors = (1, *factor)
        return Packing(
            tuple(low // f for low, f in zip(self.low, divisors, strict=True)),
            tuple(high // f for high, f in zip(self.high, divisors, strict=True)),
        )

    def pack(self, coords: Tensor) -> Tensor:
        """Keys int64 [N] of integer ``coords`` [N, 1+D] that lie within the bounds."""
        keys = torch.zeros(coords.shape[0], dtype=torch.int64, device=coords.device)
        for column, (low, extent) in enumerate(zip(self.low, self.extents, strict=True)):
            keys = keys * extent + (coords[:, column].long() - low)
        return keys

    def unpack(self, keys: Tensor) -> Tensor:
        """Coordinates int32 [N, 1+D] of ``keys`` [N]."""
        columns = []
        for low, extent in zip(reversed(self.low), reversed(self.extents), strict=True):
            columns.append((keys % extent + low).int())
            keys = torch.div(keys, extent, rounding_mode="floor")
        return torch.stack(columns[::-1], dim=1)


class Matches(NamedTuple):
    """Cells found in a voxel set, offset after offset, in ascending order within each."""

    rows: Tensor
    """int32 [P]: row in the voxel set"""
    positions: Tensor
    """int32 [P]: number of the cell that was asked for"""
    counts: tuple[int, ...]
    """found cells per offset"""


@dataclass(frozen=True, eq=False)
class VoxelSet:
    """Unique voxels of a batch on the grid of one stride, sorted by (batch, x, y, z).

    ``cells`` int32 [N, 1+D] counts steps of the grid (coordinate // stride); ``keys`` int64 [N] is ascending.
    """

    cells: Tensor
    keys: Tensor
    packing: Packing
    stride: tuple[int, ...]

    def __len__(self) -> int:
        return self.keys.shape[0]

    @property
    def dims(self) -> int:
        return len(self.stride)

    @property
    def coords(self) -> Tensor:
        """Coordinates int32 [N, 1+D] on the finest grid: multiples of the stride, batch first."""
        return self.cells * self.cells.new_tensor((1, *self.stride))

    @classmethod
    def from_points(cls, coords: Tensor) -> tuple[VoxelSet, Tensor]:
        """The distinct voxels of ``coords`` [M, 1+D], and the row int64 [M] of each point among them."""
        packing = Packing.around(coords)
        keys, rows = torch.unique(packing.pack(coords), return_inverse=True)
        return cls(packing.unpack(keys), keys, packing, (1,) * (coords.shape[1] - 1)), rows

    def coarsened(self, factor: Sequence[int]) -> tuple[VoxelSet, Tensor]:
        """The voxels of a grid coarser by ``factor`` [D] that hold any of these, and the coarse row of each."""
        packing = self.packing.coarsened(factor)
        divisors = self.cells.new_tensor((1, *factor))
        coarse = packing.pack(torch.div(self.cells, divisors, rounding_mode="floor"))
        keys, rows = torch.unique(coarse, return_inverse=True)
        stride = tuple(s * f for s, f in zip(self.stride, factor, strict=True))
        return VoxelSet(packing.unpack(keys), keys, packing, stride), rows

    def find(self, cells: Tensor, offsets: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Look up ``cells`` [M, 1+D] displaced by each of ``offsets`` (K tuples of D steps).

        Returns ``rows`` int64 [K, M], meaningful only where ``found`` bool [K, M].
        """
        low, high, radix = self.packing.low, self.packing.high, self.packing.radix
        inside: dict[tuple[int, int], Tensor] = {}
        for column in range(1, self.dims + 1):
            values = cells[:, column]
            for step in {offset[column - 1] for offset in offsets}:
                inside[column, step] = (values >= low[column] - step) & (values <= high[column] - step)
        batch = (cells[:, 0] >= low[0]) & (cells[:, 0] <= high[0])
        steps = [sum(o * r for o, r in zip(offset, radix[1:], strict=True)) for offset in offsets]
        # Keys outside the bounds may wrap around; the masks below discard them.
        queries = self.packing.pack(cells)[None, :] + torch.tensor(steps, device=cells.device)[:, None]
        rows = torch.searchsorted(self.keys, queries)
        if len(self) == 0:
            return rows, torch.zeros_like(rows, dtype=torch.bool)
        rows.clamp_(max=len(self) - 1)
        found = self.keys[rows] == queries
        for k, offset in enumerate(offsets):
            mask = batch
            for column, step in enumerate(offset, start=1):
                mask = mask & inside[column, step]
            found[k] &= mask
        return rows, found

    def match(self, cells: Tensor, offsets: Sequence[tuple[int, ...]]) -> Matches:
        """Those of ``cells`` int32 [M, 1+D], sorted, that displaced by each of ``offsets`` are in this set."""
        rows, found = self.find(cells, offsets)
        return Matches(rows[found].int(), found.nonzero()[:, 1].int(), tuple(found.sum(1).tolist()))
