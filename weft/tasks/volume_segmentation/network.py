"""The network of a stage: a network on volumes that is given batches."""

from __future__ import annotations

from torch import Tensor, nn

from weft.dense.build import as_volume_network, build_network
from weft.dense.options import NetworkOptions
from weft.errors import WeftError
from weft.tasks.volume_segmentation.batch import VolumeBatch


class SegmentationNetwork(nn.Module):
    """``body`` is any network of :mod:`weft.dense`, and takes volumes."""

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.body = build_network(options)

    def forward(self, batch: VolumeBatch) -> dict[str, Tensor]:
        """Logits of the patches of a batch, by head."""
        if batch.image is None:
            raise WeftError("whole stacks are predicted window by window, and have no single output")
        return as_volume_network(self.body)(batch.image)
