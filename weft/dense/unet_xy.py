"""U-Nets for cell structures that pool in x and y only (spec §2.1, §2.2 and the variants of §2.5).

Stacks have few slices, far apart, and many voxels in a slice: z shrinks by convolutions alone. Volumes are
[batch, channel, z, y, x]; sizes are those of :func:`weft.dense.laws.unet_xy_law`.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from weft.dense.laws import unet_xy_law
from weft.dense.options import UNetXYOptions

HEADS = ("main", "aux1", "aux2")


class UNetXY(nn.Module):
    """``unet_xy``, or with a ``zoom`` ``unet_xy_zoom``, which works on an image shrunk in x and y.

    Attributes:
        size_law: which sizes it takes and gives.
    """

    def __init__(self, options: UNetXYOptions) -> None:
        super().__init__()
        self.padded, self.dilation, k = options.padding == "zero", options.dilation, options.zoom
        self.size_law = unet_xy_law(k, self.padded, options.dilation)
        c = options.base_channels

        def block(*channels: int, dilation: int = 1) -> Block:
            return Block(channels, self.padded, dilation, options.affine, options.dropout)

        def smaller(channels: int, factor: int = 2) -> nn.Module:
            window = (1, factor, factor)
            if options.downsampling == "max":
                return nn.MaxPool3d(window)
            return nn.Conv3d(channels, channels, window, window)

        self.zoom = None if k is None else smaller(options.channels, k)
        self.encode1, self.pool1 = block(options.channels, c, 2 * c), smaller(2 * c)
        self.encode2, self.pool2 = block(2 * c, 2 * c, 4 * c), smaller(4 * c)
        self.encode3, self.pool3 = block(4 * c, 4 * c, 8 * c), smaller(8 * c)
        self.bottom = block(8 * c, 8 * c, 16 * c, dilation=options.dilation)
        self.up3, self.decode3 = larger(16 * c, 16 * c, 2), block(24 * c, 8 * c, 8 * c)
        self.up2, self.decode2 = larger(8 * c, 8 * c, 2), block(12 * c, 4 * c, 4 * c)
        self.up1, self.decode1 = larger(4 * c, 4 * c, 2), block(6 * c, 2 * c, 2 * c)
        self.up0 = None if k is None else larger(2 * c, 2 * c, k)
        self.decode0 = None if k is None else block(2 * c, 2 * c, 2 * c)
        self.head = nn.Conv3d(2 * c, options.classes[0], 1)
        self.auxiliary = nn.ModuleList(
            AuxiliaryHead(channels, classes, scale, k, self.padded)
            for channels, classes, scale in zip((4 * c, 8 * c), options.classes[1:], (2, 4), strict=False)
        )
        initialise(self)

    def forward(self, volume: Tensor) -> dict[str, Tensor]:
        """
        volume: float [B, channels, Z, Y, X] of a legal size.

        Returns:
            logits [B, classes, z, y, x] of "main"; in training also of "aux1" and "aux2", of the same size.

        Raises:
            WeftError: the size is not legal; the nearest legal ones are said.
        """
        self.size_law.require(volume.shape[2:])
        volume = as_quickest(volume)
        level1 = self.encode1(volume if self.zoom is None else self.zoom(volume))
        level2 = self.encode2(self.pool1(level1))
        level3 = self.encode3(self.pool2(level2))
        up = self.up3(self.bottom(self.pool3(level3)))
        deep2 = self.decode3(self._beside(up, level3))
        deep1 = self.decode2(self._beside(self.up2(deep2), level2))
        features = self.decode1(self._beside(self.up1(deep1), level1))
        if self.up0 is not None and self.decode0 is not None:
            features = self.decode0(self.up0(features))
        outputs = {"main": self.head(features)}
        if self.training:
            for name, head, deep in zip(HEADS[1:], self.auxiliary, (deep1, deep2), strict=False):
                outputs[name] = centre(head(deep), outputs["main"])
        return outputs

    def _beside(self, up: Tensor, skipped: Tensor) -> Tensor:
        """Features from below with the middle of those of the way down."""
        return torch.cat((up, centre(skipped, up)), 1)


class Block(nn.Sequential):
    """Two convolutions of 3 x 3 x 3, each with batch normalisation and ReLU: ``channels`` in, between, out."""

    def __init__(self, channels: tuple[int, ...], padded: bool, dilation: int, affine: bool, dropout: float) -> None:
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            padding = (1, dilation, dilation) if padded else 0
            layers += [
                nn.Conv3d(before, after, 3, padding=padding, dilation=(1, dilation, dilation)),
                nn.BatchNorm3d(after, affine=affine),
                nn.ReLU(inplace=True),
            ]
        if dropout:
            layers.append(nn.Dropout3d(dropout))
        super().__init__(*layers)


class AuxiliaryHead(nn.Sequential):
    """Classes from the features of a deeper level, at the resolution of the output, with some border over.

    Without a zoom the transposed convolution overlaps itself: its kernel is twice its stride.
    """

    def __init__(self, channels: int, classes: int, scale: int, zoom: int | None, padded: bool) -> None:
        stride = scale * (zoom or 1)
        kernel = 2 * stride if zoom is None else stride
        inner = (kernel - stride) // 2 if padded else 0
        super().__init__(
            nn.ConvTranspose3d(channels, classes, (1, kernel, kernel), (1, stride, stride), (0, inner, inner)),
            nn.Conv3d(classes, classes, 3, padding=int(padded)),
            nn.Conv3d(classes, classes, 1),
        )


def larger(channels: int, out: int, factor: int) -> nn.ConvTranspose3d:
    """``factor`` times as many voxels in x and y."""
    return nn.ConvTranspose3d(channels, out, (1, factor, factor), (1, factor, factor))


def centre(volume: Tensor, like: Tensor) -> Tensor:
    """The middle [..., z, y, x] of a volume, of the size of another; their sizes differ by even numbers."""
    for axis in (2, 3, 4):
        size = like.shape[axis]
        volume = volume.narrow(axis, (volume.shape[axis] - size) // 2, size)
    return volume


def as_quickest(volume: Tensor) -> Tensor:
    """The same values in the order in memory that convolutions are quickest with, which all layers keep.

    On a CPU that is the channels of a voxel side by side: the gradients of narrow layers take half as long
    (benchmarks/volume_step.py). On other devices it is left as it is, and so is a single plane of a single channel: of
    such, in that order, torch 2.13's convolutions in bf16 on a CPU read memory that is not theirs.
    """
    alone = volume.shape[1] == volume.shape[2] == 1
    return volume if alone or volume.device.type != "cpu" else volume.to(memory_format=torch.channels_last_3d)


def initialise(network: nn.Module) -> None:
    """He's normal initialisation of convolutions, no bias; transposed ones stay as torch makes them (spec §2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
