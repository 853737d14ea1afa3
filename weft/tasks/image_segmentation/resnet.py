"""ResNet-18 and -34 as published, whose weights are those of torchvision, name by name.

Where features become more, a 1 × 1 convolution goes beside a block (option B of He et al., CVPR 2016). MONAI's own two
fill up with zeros there, as the weights of MedicalNet need it.
"""

from __future__ import annotations

from typing import Any

from monai.networks.blocks import BaseEncoder
from monai.networks.nets.resnet import ResNet, ResNetFeatures, get_inplanes

_BLOCKS = {"resnet18-b": [2, 2, 2, 2], "resnet34-b": [3, 4, 6, 3]}


class ResNetB(ResNetFeatures, BaseEncoder):
    """Features [B, 64, Y/2, X/2], [B, 64, Y/4, X/4], …, [B, 512, Y/32, X/32] of pictures [B, C, Y, X]."""

    def __init__(self, model_name: str, in_channels: int = 3, spatial_dims: int = 2, pretrained: bool = False) -> None:
        assert not pretrained, "weights come by init"
        ResNet.__init__(
            self,
            block="basic",
            layers=_BLOCKS[model_name],
            block_inplanes=get_inplanes(),
            spatial_dims=spatial_dims,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            shortcut_type="B",
            feed_forward=False,
            bias_downsample=False,
        )

    @classmethod
    def get_encoder_parameters(cls) -> list[dict[str, Any]]:
        return [{"model_name": name, "in_channels": 3, "spatial_dims": 2, "pretrained": False} for name in _BLOCKS]

    @classmethod
    def num_channels_per_output(cls) -> list[tuple[int, ...]]:
        return [(64, 64, 128, 256, 512)] * len(_BLOCKS)

    @classmethod
    def num_outputs(cls) -> list[int]:
        return [5] * len(_BLOCKS)

    @classmethod
    def get_encoder_names(cls) -> list[str]:
        return list(_BLOCKS)
