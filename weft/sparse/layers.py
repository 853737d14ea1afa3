"""Layers on sparse tensors: convolutions, per-voxel modules, concatenation.

Weights have shape [kernel volume, Cin, Cout] with offsets in the order of
:func:`weft.sparse.kernel_map.kernel_offsets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from weft.errors import WeftError
from weft.sparse.convolve import convolve
from weft.sparse.kernel_map import KernelMap
from weft.sparse.tensor import SparseTensor, per_axis


class _Convolution(nn.Module):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        dims: int,
        dilation: int | Sequence[int] = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = per_axis(kernel_size, dims)
        self.dilation = per_axis(dilation, dims)
        volume = prod(self.kernel_size)
        self.weight = nn.Parameter(torch.empty(volume, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        # He et al. 2015, as if every offset were occupied.
        nn.init.normal_(self.weight, std=(2.0 / (volume * in_channels)) ** 0.5)

    def _convolve(self, x: SparseTensor, kernel_map: KernelMap, stride: tuple[int, ...]) -> SparseTensor:
        out = convolve(x.features, self.weight, kernel_map, x.maps.engine)
        if self.bias is not None:
            out = out + self.bias.to(out.dtype)
        return SparseTensor(out, x.maps, stride)

    def extra_repr(self) -> str:
        _, n_in, n_out = self.weight.shape
        return f"{n_in}, {n_out}, kernel_size={self.kernel_size}, bias={self.bias is not None}"


class SubmanifoldConv(_Convolution):
    """Convolution whose output lives on the input's voxels (Graham, Engelcke & van der Maaten 2018)."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self._convolve(x, x.maps.kernel_map(x.stride, x.stride, self.kernel_size, self.dilation), x.stride)


class StridedConv(_Convolution):
    """Convolution to the grid coarser by ``stride``: one output voxel per cell that holds an input voxel."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        dims: int,
        dilation: int | Sequence[int] = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dims, dilation, bias)
        self.stride = per_axis(stride, dims)

    def forward(self, x: SparseTensor) -> SparseTensor:
        coarse = x.maps.coarsen(x.stride, self.stride)
        return self._convolve(x, x.maps.kernel_map(x.stride, coarse, self.kernel_size, self.dilation), coarse)


class TransposedConv(StridedConv):
    """The transpose of :class:`StridedConv`: back to the voxels of the finer grid that the batch had there."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        fine = finer(x.stride, self.stride)
        kernel_map = x.maps.kernel_map(fine, x.stride, self.kernel_size, self.dilation)
        return self._convolve(x, kernel_map.transpose, fine)


def finer(stride: tuple[int, ...], factor: tuple[int, ...]) -> tuple[int, ...]:
    """The stride finer by ``factor``."""
    if any(s % f for s, f in zip(stride, factor, strict=True)):
        raise WeftError(f"a tensor of stride {stride} cannot be refined by {factor}")
    return tuple(s // f for s, f in zip(stride, factor, strict=True))


class PerVoxel(nn.Module):
    """Any module of dense rows [N, C] → [N, C'] (activation, linear, layer norm, dropout) on a sparse tensor."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_features(self.module(x.features))


class Pointwise(PerVoxel):
    """A linear map without bias of every voxel's features: a convolution by a kernel of one voxel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.Linear(in_channels, out_channels, bias=False))

    def forward(self, x: SparseTensor) -> SparseTensor:
        if x.maps.engine != "numba":  # elsewhere a matrix product of the library is the fastest
            return super().forward(x)
        ones = (1,) * x.dims
        linear: nn.Linear = self.module  # type: ignore[assignment]
        weight = linear.weight.t()[None]
        return x.with_features(
            convolve(x.features, weight, x.maps.kernel_map(x.stride, x.stride, ones, ones), x.maps.engine)
        )


def cat(*tensors: SparseTensor) -> SparseTensor:
    """Concatenate the channels of tensors on the same voxels, in the order given."""
    first = tensors[0]
    for other in tensors[1:]:
        if other.maps is not first.maps or other.stride != first.stride:
            raise WeftError("only tensors of the same batch and stride can be concatenated")
    features: list[Tensor] = [tensor.features for tensor in tensors]
    return first.with_features(torch.cat(features, dim=1))
