"""The Lovász hinge: a convex stand-in for the Jaccard loss of a set (Berman et al., CVPR 2018; Yu & Blaschko 2015)."""

from __future__ import annotations

import torch
from torch import Tensor


def lovasz_hinge(logits: Tensor, members: Tensor) -> Tensor:
    """[K]: the Lovász hinge of each of K sets.

    logits: float [n, K]; members: bool [n, K]. An element whose logit is on the right side by 1 or more costs nothing;
    where all others have logit 0 the loss is 1 − IoU of the set and what is right, and where they are wrong by 1 it is
    twice that, as with any hinge. 0 for no elements.
    """
    if not len(logits):
        return logits.sum(0)
    signs = torch.where(members, 1.0, -1.0).to(logits.dtype)
    errors, order = (1 - logits * signs).sort(dim=0, descending=True, stable=True)
    inside = members.gather(0, order).to(logits.dtype)
    size = inside.sum(0)
    # Jaccard loss if the elements with the largest errors, up to each, were the wrong ones.
    jaccard = 1 - (size - inside.cumsum(0)) / (size + (1 - inside).cumsum(0))
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors.relu() * steps).sum(0)
