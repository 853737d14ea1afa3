"""A network on volumes from its options."""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from weft.dense.options import NetworkOptions, ResidualUNetOptions, UNetXYOptions
from weft.dense.size_law import SizeLaw


class VolumeNetwork(Protocol):
    """What every network here is: float volumes [B, channels, Z, Y, X] of a legal size to logits
    {"main": [B, classes, z, y, x]}, in training also those of its auxiliary heads, "aux1", "aux2", …"""

    size_law: SizeLaw
    training: bool

    def __call__(self, volume: Tensor) -> dict[str, Tensor]: ...


def build_network(options: NetworkOptions) -> nn.Module:
    """A fresh network, a :class:`VolumeNetwork` too; its weights depend on torch's generator.

    Raises:
        WeftError: the arguments of a MONAI network do not fit.
    """
    if isinstance(options, UNetXYOptions):
        from weft.dense.unet_xy import UNetXY

        return UNetXY(options)
    if isinstance(options, ResidualUNetOptions):
        from weft.dense.residual_unet import ResidualUNet

        return ResidualUNet(options)
    from weft.dense.monai_networks import MonaiNetwork

    return MonaiNetwork(options)


def as_volume_network(network: nn.Module) -> VolumeNetwork:
    """The same, as type checkers see it."""
    return cast(VolumeNetwork, network)
