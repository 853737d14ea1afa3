"""Networks of MONAI behind the same face as ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.dense.laws import law_of
from weft.dense.options import MonaiOptions
from weft.errors import WeftError

VAE = "vae"
"""of the outputs of SegResNetVAE in training: its own loss, a number"""


class MonaiNetwork(nn.Module):
    """A class of ``monai.networks.nets``.

    With ``deep_supervision`` a DynUNet gives auxiliary outputs; a SegResNetVAE gives a loss of its own, "vae".
    """

    def __init__(self, options: MonaiOptions) -> None:
        super().__init__()
        from monai.networks import nets

        self.size_law = law_of(options)
        self.vae = options.name == "SegResNetVAE"
        channels = {"in_channels": options.channels, "out_channels": options.classes[0]}
        set_here = {"spatial_dims": 3, **channels}
        taken = sorted(set_here.keys() & options.arguments.keys())
        if taken:
            raise WeftError(f"model.arguments.{taken[0]}: set from model.channels and model.classes; leave it out")
        deep = options.arguments.get("deep_supervision", False)
        self.heads = 1
        if options.name == "DynUNet" and deep:
            self.heads += int(options.arguments.get("deep_supr_num", 1))
        if options.classes != (options.classes[0],) * self.heads:
            raise WeftError(
                f"model.classes: {list(options.classes)}: {options.name} with these arguments has {self.heads} "
                "output(s), all of the same classes"
            )
        try:
            self.network: nn.Module = getattr(nets, options.name)(**set_here, **options.arguments)
        except (TypeError, ValueError, AssertionError) as error:
            reason = " ".join(str(error).split())
            raise WeftError(f"model.arguments: monai.networks.nets.{options.name}: {reason}") from error

    def forward(self, volume: Tensor) -> dict[str, Tensor]:
        """Logits as of :class:`weft.dense.unet_xy.UNetXY`.

        Raises:
            WeftError: the size is not legal; the nearest legal ones are said.
        """
        self.size_law.require(volume.shape[2:])
        output = self.network(volume)
        if self.vae:
            logits, loss = output
            return {"main": logits} | ({} if loss is None else {VAE: loss})
        if self.training and self.heads > 1:
            # All heads in one tensor [B, heads, classes, z, y, x], where they are interpolated to one size.
            names = ("main", *(f"aux{i}" for i in range(1, self.heads)))
            return dict(zip(names, torch.unbind(output, 1), strict=True))
        return {"main": output}
