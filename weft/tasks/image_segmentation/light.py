"""A small encoder for small pictures and machines without a GPU: two convolutions a level."""

from __future__ import annotations

from typing import Any

from monai.networks.blocks import BaseEncoder
from torch import Tensor, nn

_CHANNELS = (16, 24, 40, 64, 96)


class LightEncoder(nn.Module, BaseEncoder):
    """Features [B, 16, Y/2, X/2], [B, 24, Y/4, X/4], …, [B, 96, Y/32, X/32] of pictures [B, C, Y, X]."""

    def __init__(self, in_channels: int = 3, spatial_dims: int = 2, pretrained: bool = False) -> None:
        super().__init__()
        assert spatial_dims == 2, "pictures"
        assert not pretrained, "weights come by init"
        before = (in_channels, *_CHANNELS[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), _convolution(b, b))
            for a, b in zip(before, _CHANNELS, strict=True)
        )

    def forward(self, picture: Tensor) -> list[Tensor]:
        made = []
        for level in self.levels:
            picture = level(picture)
            made.append(picture)
        return made

    def stages(self) -> list[nn.Module]:
        return list(self.levels)

    @classmethod
    def get_encoder_parameters(cls) -> list[dict[str, Any]]:
        return [{"in_channels": 3, "spatial_dims": 2, "pretrained": False}]

    @classmethod
    def num_channels_per_output(cls) -> list[tuple[int, ...]]:
        return [_CHANNELS]

    @classmethod
    def num_outputs(cls) -> list[int]:
        return [len(_CHANNELS)]

    @classmethod
    def get_encoder_names(cls) -> list[str]:
        return ["light"]


def _convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
