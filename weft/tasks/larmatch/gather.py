"""What is known of a triplet: the features of its three pixels, one after the other (spec §4.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def extract_features(pixels: Tensor, triplets: Tensor) -> Tensor:
    """[T, 3·F]: the rows of `pixels` [P, F] that `triplets` int64 [T, 3] name, side by side.

    Rows are those of the batch: :func:`weft.tasks.larmatch.batch.collate` has added where the pixels of each event
    begin. The gradient sums over the triplets of a pixel in a fixed order.
    """
    return F.embedding(triplets, pixels).flatten(1)
