"""Encoders by name: those of MONAI, and ours. No torch at import.

To add one: a class of :class:`monai.networks.blocks.BaseEncoder` (`light.py` is a short one) that gives features at
1/2, 1/4, 1/8, 1/16 and 1/32 of a picture, and its name and place in OWN. Its ``stages()`` are the layers of
``optimizer.layer_decay``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from weft.errors import WeftError

if TYPE_CHECKING:
    from torch import nn

MONAI = (
    *(f"resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200)),
    *(f"efficientnet-b{k}" for k in range(9)),
    "efficientnet-l2",
)
#: Encoders of ours: name, and the class that has them.
OWN = {
    "light": "weft.tasks.image_segmentation.light:LightEncoder",
    "resnet18": "weft.tasks.image_segmentation.resnet:ResNetB",
    "resnet34": "weft.tasks.image_segmentation.resnet:ResNetB",
}
#: What those are called in MONAI's register whose names are taken there.
_THERE = {"resnet18": "resnet18-b", "resnet34": "resnet34-b"}
NAMES = tuple(dict.fromkeys((*MONAI, *OWN)))


def register(name: str) -> str:
    """The name by which MONAI's FlexibleUNet knows an encoder, which is made known to it."""
    from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE

    there = _THERE.get(name, name)
    if name in OWN and there not in FLEXUNET_BACKBONE.register_dict:
        module, _, kind = OWN[name].partition(":")
        FLEXUNET_BACKBONE.register_class(getattr(import_module(module), kind))
    return there


def stages(encoder: Any) -> list[list[nn.Module]]:
    """The layers of an encoder from its input on. Raises WeftError for one that does not say."""
    if hasattr(encoder, "stages"):
        return [[stage] for stage in encoder.stages()]
    if hasattr(encoder, "layer4"):  # ResNet
        return [[encoder.conv1, encoder.bn1], *([getattr(encoder, f"layer{k}")] for k in range(1, 5))]
    if hasattr(encoder, "_blocks"):  # EfficientNet; what follows its blocks is of the classifier
        return [[encoder._conv_stem, encoder._bn0], *([block] for block in encoder._blocks)]
    raise WeftError(f"optimizer.layer_decay: {type(encoder).__name__} does not say which layers it has (stages())")
