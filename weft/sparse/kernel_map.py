"""Kernel maps: which input voxel meets which output voxel at each offset of a convolution kernel.

Offset k of a kernel links output voxel o and input voxel i when ``i = o + offset[k] * dilation`` on the input
grid. Offsets run over the x axis fastest; an odd kernel is centred, an even one starts at the voxel itself. This is
MinkowskiEngine's order, so its weights carry over. A transposed convolution uses the map of the strided
convolution it undoes with the two roles swapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor

from weft.sparse.coordinates import Matches, VoxelSet

Match = Callable[[VoxelSet, Tensor, Sequence[tuple[int, ...]]], Matches]


def kernel_offsets(kernel_size: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, ...]]:
    """The displacements of a hypercubic kernel, x fastest, in steps of the input grid."""
    axes = [
        [(i - size // 2 if size % 2 else i) * step for i in range(size)]
        for size, step in zip(kernel_size, dilation, strict=True)
    ]
    return [offset[::-1] for offset in product(*axes[::-1])]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The (input row, output row) pairs of a kernel map, block after block by kernel offset.

    ``in_rows``, ``out_rows`` int32 [P]; ``counts`` pairs per offset; ``centre`` the offset whose pairs are the
    identity (every row with itself), if there is one. Within an offset the rows of either side ascend, so none occurs
    twice.
    """

    in_rows: Tensor
    out_rows: Tensor
    counts: tuple[int, ...]
    n_in: int
    n_out: int
    centre: int | None = None

    def __len__(self) -> int:
        return self.in_rows.shape[0]

    @cached_property
    def in_blocks(self) -> tuple[Tensor, ...]:
        """Input rows, offset by offset."""
        return self.in_rows.split(self.counts)

    @cached_property
    def out_blocks(self) -> tuple[Tensor, ...]:
        """Output rows, offset by offset."""
        return self.out_rows.split(self.counts)

    @cached_property
    def by_output(self) -> tuple[Tensor, Tensor]:
        """Pairs grouped by output row: pair numbers int32 [P] and boundaries int32 [n_out + 1]."""
        # A table [row, offset] of pair numbers replaces a sort: at most one pair per (row, offset).
        volume, device = len(self.counts), self.out_rows.device
        counts = torch.tensor(self.counts, device=device)
        offset = torch.repeat_interleave(torch.arange(volume, device=device), counts, output_size=len(self))
        table = torch.full((self.n_out * volume,), -1, dtype=torch.int32, device=device)
        table[self.out_rows.long() * volume + offset] = torch.arange(len(self), dtype=torch.int32, device=device)
        table = table.view(self.n_out, volume)
        present = table >= 0
        boundaries = torch.zeros(self.n_out + 1, dtype=torch.int32, device=device)
        torch.cumsum(present.sum(1), 0, out=boundaries[1:])
        return table[present], boundaries

    @cached_property
    def swapped(self) -> Pairs:
        """The same pairs with input and output exchanged; swapping twice gives this object back."""
        other = Pairs(self.out_rows, self.in_rows, self.counts, self.n_out, self.n_in, self.centre)
        other.__dict__["swapped"] = self
        return other


class KernelMap:
    """Geometry of one sparse convolution between two voxel sets; its pairs are found when first asked for.

    ``fine`` and ``coarse`` are the voxel sets of the smaller and the larger stride (the same object for a
    submanifold convolution). ``transposed`` maps go from coarse to fine. ``parents`` int64 [len(fine)] is the
    coarse row that holds each fine voxel. ``shared`` belongs to the whole batch: an engine may keep its own
    structures there. ``match`` finds displaced cells, as :meth:`VoxelSet.match` does.
    """

    def __init__(
        self,
        fine: VoxelSet,
        coarse: VoxelSet,
        kernel_size: tuple[int, ...],
        dilation: tuple[int, ...],
        parents: Tensor | None = None,
        shared: dict[str, Any] | None = None,
        match: Match = VoxelSet.match,
    ) -> None:
        self.shared: dict[str, Any] = {} if shared is None else shared
        self.fine, self.coarse = fine, coarse
        self.kernel_size, self.dilation = kernel_size, dilation
        self.parents = parents
        self.match = match
        self.transposed = False

    @property
    def volume(self) -> int:
        return prod(self.kernel_size)

    @property
    def inputs(self) -> VoxelSet:
        return self.coarse if self.transposed else self.fine

    @property
    def outputs(self) -> VoxelSet:
        return self.fine if self.transposed else self.coarse

    @property
    def factor(self) -> tuple[int, ...]:
        """Ratio of the strides of the coarse and the fine grid, per axis."""
        return tuple(c // f for c, f in zip(self.coarse.stride, self.fine.stride, strict=True))

    @cached_property
    def transpose(self) -> KernelMap:
        """The map in the other direction, made of the same pairs."""
        return _TransposedKernelMap(self)

    @cached_property
    def pairs(self) -> Pairs:
        offsets = kernel_offsets(self.kernel_size, self.dilation)
        if self.fine is self.coarse and all(size % 2 for size in self.kernel_size):
            return _submanifold_pairs(self.fine, offsets, self.match)
        cells_of_stride = self.kernel_size == self.factor and all(size % 2 == 0 for size in self.kernel_size)
        if self.parents is not None and cells_of_stride and set(self.dilation) == {1}:
            return _partition_pairs(self.fine, self.coarse, self.parents, self.factor)
        return _searched_pairs(self.fine, self.coarse, self.factor, offsets, self.match)


class _TransposedKernelMap(KernelMap):
    def __init__(self, forward: KernelMap) -> None:
        super().__init__(
            forward.fine,
            forward.coarse,
            forward.kernel_size,
            forward.dilation,
            forward.parents,
            forward.shared,
            forward.match,
        )
        self.transposed = True
        self._forward = forward

    @property
    def pairs(self) -> Pairs:
        return self._forward.pairs.swapped


def _submanifold_pairs(voxels: VoxelSet, offsets: list[tuple[int, ...]], match: Match) -> Pairs:
    """Search half of a centred kernel; offset K-1-k is -offset[k], so its pairs are those of k exchanged."""
    half, n = len(offsets) // 2, len(voxels)
    identity = torch.arange(n, dtype=torch.int32, device=voxels.keys.device)
    if half == 0:
        return Pairs(identity, identity, (n,), n, n, centre=0)
    in_rows, out_rows, counts = match(voxels, voxels.cells, offsets[:half])
    outs, ins = out_rows.split(counts), in_rows.split(counts)
    return Pairs(
        torch.cat([in_rows, identity, *outs[::-1]]),
        torch.cat([out_rows, identity, *ins[::-1]]),
        (*counts, n, *counts[::-1]),
        n,
        n,
        centre=half,
    )


def _partition_pairs(fine: VoxelSet, coarse: VoxelSet, parents: Tensor, factor: tuple[int, ...]) -> Pairs:
    """An even kernel as large as its stride: every fine voxel meets its own coarse voxel and no other."""
    offset = torch.zeros(len(fine), dtype=torch.int64, device=parents.device)
    for column in range(len(factor), 0, -1):
        offset = offset * factor[column - 1] + (fine.cells[:, column] % factor[column - 1])
    counts = torch.bincount(offset, minlength=prod(factor)).tolist()
    order = torch.argsort(offset, stable=True)
    return Pairs(order.int(), parents[order].int(), tuple(counts), len(fine), len(coarse))


def _searched_pairs(
    fine: VoxelSet, coarse: VoxelSet, factor: tuple[int, ...], offsets: list[tuple[int, ...]], match: Match
) -> Pairs:
    """Any kernel: look every displaced output voxel up among the inputs."""
    anchors = coarse.cells * coarse.cells.new_tensor((1, *factor))
    return Pairs(*match(fine, anchors, offsets), len(fine), len(coarse))
