"""U-ResNet: a U-Net of residual blocks of submanifold convolutions.

Dominé & Terao, arXiv:1903.05663; Graham, Engelcke & van der Maaten, CVPR 2018. Channels grow linearly,
``filters · (l + 1)`` at level l, unless they are given; the grid halves from level to level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from weft.sparse.layers import PerVoxel, Pointwise, StridedConv, SubmanifoldConv, TransposedConv, cat
from weft.sparse.norm import VoxelBatchNorm
from weft.sparse.tensor import SparseTensor


@dataclass(frozen=True)
class Style:
    """What normalises and activates every layer of a network."""

    slope: float = 0.33
    eps: float = 1e-4
    momentum: float = 0.01

    def __call__(self, channels: int) -> nn.Module:
        """Normalisation, then activation."""
        # In place: nobody else reads the normalised features. torch cannot undo a slope that is not positive.
        activation = nn.LeakyReLU(self.slope, inplace=self.slope > 0)
        return nn.Sequential(VoxelBatchNorm(channels, self.eps, self.momentum), PerVoxel(activation))


class ResidualBlock(nn.Module):
    """Pre-activation block (He et al. 2016): twice (norm, act, 3-wide convolution), plus the input.

    Where the widths differ the input goes through a 1×1 linear map.
    """

    def __init__(self, in_channels: int, out_channels: int, style: Callable[[int], nn.Module], dims: int) -> None:
        super().__init__()
        self.shortcut = nn.Identity() if in_channels == out_channels else Pointwise(in_channels, out_channels)
        self.residual = nn.Sequential(
            style(in_channels),
            SubmanifoldConv(in_channels, out_channels, 3, dims),
            style(out_channels),
            SubmanifoldConv(out_channels, out_channels, 3, dims),
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        residual = self.residual(x)
        return residual.with_features(_added(residual.features, self.shortcut(x).features))


def _added(new: Tensor, other: Tensor) -> Tensor:
    """Their sum, in the memory of ``new``, which a convolution has just made and nothing else reads."""
    # Types differ under autocast, where the sum has the wider one.
    return new.add_(other) if new.dtype == other.dtype else new + other


@dataclass(frozen=True)
class FeatureMaps:
    """Outputs of both halves of the U by level: level 0 is the finest, ``decoder[-1]`` is ``encoder[-1]``."""

    encoder: list[SparseTensor]
    decoder: list[SparseTensor]

    @property
    def final(self) -> SparseTensor:
        """The finest decoder map, [N, filters]."""
        return self.decoder[0]


class UResNet(nn.Module):
    """Encoder and decoder of the U; see :class:`SegmentationHead` for what follows.

    Args:
        in_channels: features of a voxel.
        filters: channels of the finest level; level l has ``filters · (l + 1)``.
        depth: number of levels, one more than the number of strided convolutions.
        reps: residual blocks per level, in each half.
        input_kernel: size of the first convolution.
        widths: channels of each level, in place of ``filters`` and ``depth``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        filters: int = 32,
        depth: int = 5,
        reps: int = 2,
        input_kernel: int = 3,
        style: Callable[[int], nn.Module] | None = None,
        dims: int = 3,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        style = style or Style()
        self.widths = [filters * (level + 1) for level in range(depth)] if widths is None else list(widths)
        self.stem = SubmanifoldConv(in_channels, self.widths[0], input_kernel, dims)
        self.encoder, self.down = nn.ModuleList(), nn.ModuleList()
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for width in self.widths:
            self.encoder.append(_blocks(width, width, reps, style, dims))
        for width, wider in zip(self.widths, self.widths[1:], strict=False):
            self.down.append(nn.Sequential(style(width), StridedConv(width, wider, 2, 2, dims)))
            self.up.append(nn.Sequential(style(wider), TransposedConv(wider, width, 2, 2, dims)))
            self.decoder.append(_blocks(2 * width, width, reps, style, dims))

    def levels(self) -> list[list[nn.Module]]:
        """The modules in the order of the forward pass: the stem, the encoder's levels, then the decoder's."""
        encoder = [list(pair) for pair in zip(self.down, list(self.encoder)[1:], strict=True)]
        decoder = [list(pair) for pair in zip(self.up, self.decoder, strict=True)]
        return [[self.stem], [self.encoder[0]], *encoder, *decoder[::-1]]

    def forward(self, x: SparseTensor) -> FeatureMaps:
        x = self.encoder[0](self.stem(x))
        encoder = [x]
        for down, blocks in zip(self.down, list(self.encoder)[1:], strict=True):
            x = blocks(down(x))
            encoder.append(x)
        decoder = [x]
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](cat(encoder[level], self.up[level](x)))
            decoder.append(x)
        return FeatureMaps(encoder, decoder[::-1])


def _blocks(
    in_channels: int, out_channels: int, reps: int, style: Callable[[int], nn.Module], dims: int
) -> nn.Sequential:
    widths = [in_channels] + [out_channels] * reps
    return nn.Sequential(*(ResidualBlock(a, b, style, dims) for a, b in pairwise(widths)))


class SegmentationHead(nn.Module):
    """Norm, activation and a linear map to one score per class: logits on the voxels of its input."""

    def __init__(self, channels: int, classes: int, style: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential((style or Style())(channels), PerVoxel(nn.Linear(channels, classes)))

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self.layers(x)
