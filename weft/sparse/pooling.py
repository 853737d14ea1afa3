"""Pooling over kernel windows and over events, and its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from weft.sparse.kernel_map import Pairs
from weft.sparse.layers import finer
from weft.sparse.tensor import SparseTensor, per_axis, sum_rows

Reduction = Literal["max", "mean", "sum"]


class Pool(nn.Module):
    """Pool the occupied voxels of a window to the grid coarser by ``stride``; empty voxels do not count.

    A window as large as the stride is exactly the cell of the coarse voxel; any other follows the kernel offsets of a
    strided convolution of that size (as MinkowskiEngine does). The default window is the cell.
    """

    def __init__(
        self,
        reduction: Reduction,
        stride: int | Sequence[int],
        dims: int,
        kernel_size: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.reduction: Reduction = reduction
        self.stride = per_axis(stride, dims)
        self.kernel_size = self.stride if kernel_size is None else per_axis(kernel_size, dims)

    def forward(self, x: SparseTensor) -> SparseTensor:
        coarse = x.maps.coarsen(x.stride, self.stride)
        n_out = len(x.maps.levels[coarse])
        if self.kernel_size == self.stride:
            pooled = reduce_rows(x.features, x.maps.parents(x.stride, coarse), n_out, self.reduction)
        else:
            ones = (1,) * x.dims
            pairs: Pairs = x.maps.kernel_map(x.stride, coarse, self.kernel_size, ones).pairs
            rows = x.features[pairs.in_rows]
            pooled = reduce_rows(rows, pairs.out_rows.long(), n_out, self.reduction)
        return SparseTensor(pooled, x.maps, coarse)


class Unpool(nn.Module):
    """Copy every voxel's features to the voxels of the finer grid inside it (nearest neighbour)."""

    def __init__(self, stride: int | Sequence[int], dims: int) -> None:
        super().__init__()
        self.stride = per_axis(stride, dims)

    def forward(self, x: SparseTensor) -> SparseTensor:
        fine = finer(x.stride, self.stride)
        return SparseTensor(x.features[x.maps.parents(fine, x.stride)], x.maps, fine)


class GlobalPool(nn.Module):
    """One row per event: [batch size, C]. Events without voxels give zeros."""

    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(self, x: SparseTensor) -> Tensor:
        return reduce_rows(x.features, x.batch.long(), x.maps.batch_size, self.reduction)


def reduce_rows(features: Tensor, rows: Tensor, n_rows: int, reduction: Reduction) -> Tensor:
    """Reduce ``features`` [M, C] over equal ``rows`` int64 [M] to [n_rows, C]; rows never named give zeros."""
    if reduction == "max":
        index = rows[:, None].expand_as(features)
        empty = features.new_zeros(n_rows, features.shape[1])
        return empty.scatter_reduce(0, index, features, "amax", include_self=False)
    sums = sum_rows(features, rows, n_rows)
    if reduction == "sum":
        return sums
    counts = torch.bincount(rows, minlength=n_rows).clamp_min(1)
    return sums / counts[:, None].to(sums.dtype)
