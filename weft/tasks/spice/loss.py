"""Losses of SPICE, of every class of every event by itself (spec §1.4).

For the voxels i of one class of an event and the true fragments k: p_ik = exp(−|e_i − µ_k|² / 2σ_k²), where µ_k and σ_k
are the mean embedding and margin of the members. Masks p_·k are to be the fragments, centroids to keep their distance,
seediness to be p of the own fragment, and margins to be alike within it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from weft.tasks.spice.lovasz import lovasz_hinge
from weft.tasks.spice.network import Embedding
from weft.tasks.spice.options import LossOptions

TERMS = ("mask", "inter", "seed", "smoothing")

_EPSILON = {"se_lovasz_inter": 1e-8, "bce": 1e-6}


class Subset(NamedTuple):
    """The labelled voxels of one class of one event."""

    rows: Tensor
    """int64 [n], of the batch"""
    fragments: Tensor
    """int64 [n], 0 to K − 1"""
    weight: float
    """how much it counts in the mean"""


class SpiceLoss:
    """Sums and weights of the terms of one batch."""

    def __init__(self, options: LossOptions) -> None:
        self.options = options
        self._by_event = options.form == "se_lovasz_inter"

    def subsets(self, fragments: Tensor, classes: Tensor, offsets: Tensor) -> list[Subset]:
        """What is learned from: classes with `min_voxels` labelled voxels.

        fragments: int [N], −1 where there is no label; classes: int [N]; offsets: int64 [B+1], rows of the events.
        The weights of an event's classes add up to 1 with se_lovasz_inter (a mean over classes, then over events), and
        are 1 with bce (a mean over all).
        """
        rows = (fragments >= 0).nonzero()[:, 0]
        event = torch.searchsorted(offsets, rows, right=True) - 1
        key = event * 128 + classes[rows].long()
        order = key.argsort(stable=True)
        keys, counts = key[order].unique_consecutive(return_counts=True)
        parts = rows[order].split(counts.tolist())
        kept = [(k // 128, part) for k, part in zip(keys.tolist(), parts, strict=True)
                if len(part) >= self.options.min_voxels]  # fmt: skip
        events = [k for k, _ in kept]
        made = []
        for k, part in kept:
            own = fragments[part].unique(return_inverse=True)[1]
            made.append(Subset(part, own, 1 / events.count(k) if self._by_event else 1.0))
        return made

    def weight(self, subsets: Sequence[Subset]) -> float:
        """The weight of every term: how many events there are with se_lovasz_inter, and subsets with bce."""
        return float(sum(subset.weight for subset in subsets))

    def __call__(self, output: Embedding, subsets: Sequence[Subset]) -> dict[str, tuple[Tensor, float]]:
        """{term: (sum, weight)} for each of :data:`TERMS`, factors of the options included."""
        options = self.options
        joint = options.embedding_weight if self._by_event else 1.0
        factors = (
            options.embedding_weight,
            options.inter_weight * joint,
            options.seediness_weight,
            options.smoothing_weight,
        )
        # Without labels the sum is 0 and still part of the graph.
        nothing = torch.stack([tensor.sum() for tensor in output]).sum() * 0.0
        total = torch.stack([nothing] * len(TERMS))
        for subset in subsets:
            total = total + subset.weight * torch.stack(self.of_subset(output, subset))
        weight = self.weight(subsets)
        return {name: (factor * term, weight) for name, factor, term in zip(TERMS, factors, total, strict=True)}

    def of_subset(self, output: Embedding, subset: Subset) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mask, separation, seediness and smoothing of one class of one event: scalars, without factors."""
        position, margin, seediness = (tensor[subset.rows] for tensor in output)
        fragments = subset.fragments
        k = int(fragments.max()) + 1
        members = F.one_hot(fragments, k)
        share = members.to(position.dtype) / members.sum(0)
        centroid, width = share.t() @ position, share.t() @ margin
        p = self._probability(position, centroid, width)
        own = p.gather(1, fragments[:, None])[:, 0].detach()
        spread = (margin - width.detach()[fragments]).abs()
        seed = (seediness - own).abs().mean()
        inter = _separation(centroid, self.options.inter_margin)
        if self._by_event:
            mask = lovasz_hinge(2 * p - 1, members.bool()).mean()
            return mask, inter, seed, (share.t() @ spread).mean()
        mask = F.binary_cross_entropy_with_logits(p.logit(), members.to(p.dtype))
        return mask, inter, seed, spread.mean()

    def _probability(self, position: Tensor, centroid: Tensor, width: Tensor) -> Tensor:
        epsilon = _EPSILON[self.options.form]
        square = (position[:, None] - centroid[None]).square().sum(2)
        if self._by_event:
            return (-square / (2 * width.square() + epsilon)).exp()
        p = (-square / (2 * width.clamp(min=epsilon).square())).exp()
        return p.clamp(epsilon, 1 - epsilon)


def _separation(centroid: Tensor, margin: float) -> Tensor:
    """Mean over pairs of centroids [K, D] of max(0, 2·margin − distance)²; 0 for one."""
    first, second = torch.triu_indices(len(centroid), len(centroid), 1, device=centroid.device)
    if not len(first):
        return centroid.sum() * 0.0
    # The 1e-8 keeps the gradient of the norm finite where two centroids are one.
    distance = (centroid[first] - centroid[second] + 1e-8).norm(dim=1)
    return (2 * margin - distance).relu().square().mean()
