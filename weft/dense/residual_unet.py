"""A U-Net with a residual encoder, planned from the size of a voxel (Isensee et al. 2021; its encoder: Isensee et al.,
nnU-Net revisited, MICCAI 2024). Volumes are [batch, channel, z, y, x]."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.dense.laws import law_of
from weft.dense.options import ResidualUNetOptions
from weft.dense.planning import planned
from weft.dense.size_law import Size
from weft.errors import WeftError

_LEAK = 0.01


class ResidualUNet(nn.Module):
    """Strides, kernels, channels and blocks of :func:`weft.dense.planning.planned`; instance normalisation.

    Auxiliary heads look at the decoder one level deeper each and are interpolated to the resolution of the output.
    """

    def __init__(self, options: ResidualUNetOptions) -> None:
        super().__init__()
        self.plan = plan = planned(options)
        self.size_law = law_of(options)
        levels = len(plan.channels)
        if levels < 2 or len(options.classes) > levels - 1:
            raise WeftError(
                f"model.patch: a residual_unet of {levels} levels has no {len(options.classes)} heads; a larger patch, "
                "a smaller smallest_edge or fewer classes would do"
            )
        self.stem = _convolution(options.channels, plan.channels[0], plan.kernels[0])
        self.encoder = nn.ModuleList()
        for level in range(levels):
            before, after = plan.channels[max(level - 1, 0)], plan.channels[level]
            first = ResidualBlock(before, after, plan.kernels[level], plan.strides[level])
            rest = [ResidualBlock(after, after, plan.kernels[level]) for _ in range(plan.blocks[level] - 1)]
            self.encoder.append(nn.Sequential(first, *rest))
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for level in range(levels - 1):
            here, below = plan.channels[level], plan.channels[level + 1]
            self.up.append(nn.ConvTranspose3d(below, here, plan.strides[level + 1], plan.strides[level + 1]))
            self.decoder.append(_convolution(2 * here, here, plan.kernels[level]))
        self.heads = nn.ModuleList(
            nn.Conv3d(channels, classes, 1) for channels, classes in zip(plan.channels, options.classes, strict=False)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(module.weight, a=_LEAK)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, volume: Tensor) -> dict[str, Tensor]:
        """Logits of "main" [B, classes, Z, Y, X], in training also of "aux1", …: as :class:`weft.dense.unet_xy.UNetXY`.

        Raises:
            WeftError: the size is not legal; the nearest legal ones are said.
        """
        self.size_law.require(volume.shape[2:])
        features, skipped = self.stem(volume), []
        for stage in self.encoder:
            features = stage(features)
            skipped.append(features)
        decoded = []
        for level in reversed(range(len(self.decoder))):
            features = self.decoder[level](torch.cat((self.up[level](features), skipped[level]), 1))
            decoded.append(features)
        outputs = {"main": self.heads[0](features)}
        if self.training:
            for i, head in enumerate(itertools.islice(self.heads, 1, None), 1):
                coarse = head(decoded[-1 - i])
                outputs[f"aux{i}"] = functional.interpolate(
                    coarse, size=volume.shape[2:], mode="trilinear", align_corners=False
                )
        return outputs


class ResidualBlock(nn.Module):
    """Two convolutions, and what came in added to them, averaged over a stride and projected where channels change."""

    def __init__(self, before: int, after: int, kernel: Size, stride: Size = (1, 1, 1)) -> None:
        super().__init__()
        self.first = _convolution(before, after, kernel, stride)
        self.second = nn.Sequential(*list(_convolution(after, after, kernel))[:2])
        shortcut: list[nn.Module] = [] if stride == (1, 1, 1) else [nn.AvgPool3d(stride, stride)]
        if before != after:
            shortcut += [nn.Conv3d(before, after, 1, bias=False), nn.InstanceNorm3d(after, affine=True)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, features: Tensor) -> Tensor:
        return functional.leaky_relu(self.second(self.first(features)) + self.shortcut(features), _LEAK, inplace=True)


def _convolution(before: int, after: int, kernel: Size, stride: Size = (1, 1, 1)) -> nn.Sequential:
    z, y, x = kernel
    return nn.Sequential(
        nn.Conv3d(before, after, kernel, stride, (z // 2, y // 2, x // 2)),
        nn.InstanceNorm3d(after, affine=True),
        nn.LeakyReLU(_LEAK, inplace=True),
    )
