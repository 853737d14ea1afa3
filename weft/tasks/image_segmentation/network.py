"""The network of a stage: a U-Net of MONAI that is given batches."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import FlexibleUNet
from torch import Tensor, nn
from torch.nn import functional

from weft.errors import WeftError
from weft.tasks.image_segmentation.backbones import register
from weft.tasks.image_segmentation.batch import ImageBatch
from weft.tasks.image_segmentation.options import ModelOptions

#: Sizes that the network takes are multiples of it.
STEP = 32


class SegmentationNetwork(nn.Module):
    """``encoder``, ``decoder`` and ``segmentation_head`` are modules of ``body``, as `init` and `freeze` name them."""

    def __init__(self, options: ModelOptions, channels: int, classes: int) -> None:
        super().__init__()
        self.body: Any = FlexibleUNet(
            in_channels=channels,
            out_channels=classes,
            backbone=register(options.backbone),
            pretrained=False,
            decoder_channels=options.decoder_channels,
            dropout=options.dropout,
            # Sizes are multiples of 32, so that what goes up meets its like; padding by nothing would copy it all.
            is_pad=False,
        )
        # Convolutions of few channels, as those near full size are, take a third less time with channels innermost.
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, batch: ImageBatch) -> Tensor:
        """Logits [B, K, Y, X] of the pictures of a batch, of any size."""
        if batch.pictures is None:
            raise WeftError("whole images are predicted window by window, and have no single output")
        rows, columns = batch.pictures.shape[2:]
        # Five halvings: what is missing to a multiple of 32 repeats the last row and column.
        missing = (0, -columns % STEP, 0, -rows % STEP)
        wide = functional.pad(batch.pictures, missing, mode="replicate") if any(missing) else batch.pictures
        return self.body(wide)[:, :, :rows, :columns]
