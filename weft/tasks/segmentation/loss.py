"""Loss of the voxel segmentation: cross-entropy with class balancing, point up-weighting and a ghost head.

Specification: spine_full_chain §1.1 and §1.2 (SPINE pools the voxels of a batch; so do we).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from weft.errors import WeftError

Term = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class SegmentationLoss:
    """Sums and weights of the loss terms of one batch.

    The engine divides sums by weights, both summed over ranks. Weights that depend on how many voxels there are of a
    kind need those numbers of the whole batch first: `counts` gives this rank's, their sum over ranks goes into the
    call.

    n_classes: classes of the semantic head.
    ghosts: there is a ghost head, and the label `n_classes` means ghost; only true non-ghosts enter the semantic term.
    balance: a voxel of class c weighs (N / (n_classes · n_c))^balance, N and n_c being the voxels in all and of class
        c: with 1 every class present weighs the same, 0 is the plain mean, and between them rare classes are heard
        without drowning the others; likewise for the two classes of the ghost head.
    upweight_points: voxels near a label point and the others weigh N / (2 n) of their kind, so that either kind weighs
        the same; multiplies with `balance`.
    semantic_weight, ghost_weight: alpha and beta of alpha·L_semantic + beta·L_ghost.
    """

    n_classes: int = 5
    ghosts: bool = False
    balance: float = 0.0
    upweight_points: bool = False
    semantic_weight: float = 1.0
    ghost_weight: float = 1.0

    def counts(self, labels: Tensor, near: Tensor | None = None) -> Tensor:
        """How many voxels of each kind: int64 [n_classes + 4].

        Per class; far from and near label points (0 without `near`); true non-ghosts and ghosts.
        labels: int [N], -1 where not valid; near: bool [N], the voxels near a label point.
        Raises WeftError for labels outside [-1, n_classes), or [-1, n_classes] with ghosts.
        """
        self._check(labels)
        target = self._semantic_target(labels)
        valid = target >= 0
        classes = torch.bincount(target[valid], minlength=self.n_classes)
        proximity = classes.new_zeros(2) if near is None else torch.bincount(near[valid].long(), minlength=2)
        reality = torch.bincount((labels[labels >= 0] == self.n_classes).long(), minlength=2)
        return torch.cat([classes, proximity, reality])

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        ghost_logits: Tensor | None = None,
        near: Tensor | None = None,
        counts: Tensor | None = None,
    ) -> dict[str, Term]:
        """{"semantic": (sum, weight)} and, with ghosts, {"ghost": (sum, weight)}: scalars, no gradient in weights.

        logits: float [N, n_classes]; ghost_logits: float [N, 2], column 1 for ghost; labels, near: see `counts`;
        counts: `counts` summed over ranks, by default those of this batch alone.
        """
        if (ghost_logits is not None) != self.ghosts:
            raise WeftError("the loss expects ghost logits exactly where `ghosts` is set")
        targets = self._targets(labels, near, counts, logits.dtype)
        terms = {"semantic": _weighted(logits, *targets["semantic"], self.semantic_weight)}
        if ghost_logits is not None:
            terms["ghost"] = _weighted(ghost_logits, *targets["ghost"], self.ghost_weight)
        return terms

    def weights(self, labels: Tensor, near: Tensor | None = None, counts: Tensor | None = None) -> dict[str, Tensor]:
        """The weights of the terms alone, which do not depend on logits: float32 scalars."""
        return {name: weight.sum() for name, (_, weight) in self._targets(labels, near, counts, torch.float32).items()}

    def _targets(
        self, labels: Tensor, near: Tensor | None, counts: Tensor | None, dtype: torch.dtype
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Target class int64 [N], -1 for none, and weight [N] of every voxel in each term."""
        if counts is None:
            counts = self.counts(labels, near)
        else:
            self._check(labels)
        classes, proximity, reality = counts.split([self.n_classes, 2, 2])
        target = self._semantic_target(labels)
        weight = (target >= 0).to(dtype)
        if self.balance:
            weight = weight * _balanced(classes, dtype, self.balance)[target.clamp(min=0)]
        if self.upweight_points:
            if near is None:
                raise WeftError("upweight_points needs to know which voxels are near label points (near=)")
            weight = weight * _balanced(proximity, dtype)[near.long()]
        targets = {"semantic": (target, weight)}
        if self.ghosts:
            target = torch.where(labels >= 0, labels == self.n_classes, -1)
            weight = (target >= 0).to(dtype)
            if self.balance:
                weight = weight * _balanced(reality, dtype, self.balance)[target.clamp(min=0)]
            targets["ghost"] = target, weight
        return targets

    def _semantic_target(self, labels: Tensor) -> Tensor:
        return torch.where(labels < self.n_classes, labels, -1).long()

    def _check(self, labels: Tensor) -> None:
        highest = self.n_classes if self.ghosts else self.n_classes - 1
        outside = (labels < -1) | (labels > highest)
        if outside.any():
            wrong = labels[outside][0].item()
            hint = "; ghosts need model.ghost" if wrong == self.n_classes else ""
            raise WeftError(f"semantic label {wrong}: expected -1 (not valid) or a class in 0..{highest}{hint}")


def _balanced(counts: Tensor, dtype: torch.dtype, power: float = 1.0) -> Tensor:
    """(N / (kinds · n))^power for each kind; 0 for a kind of which there is nothing."""
    counts = counts.to(dtype)
    return torch.where(counts > 0, (counts.sum() / (len(counts) * counts.clamp(min=1))) ** power, 0.0)


def _weighted(logits: Tensor, target: Tensor, weight: Tensor, factor: float) -> Term:
    loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="none")
    return factor * (weight * loss).sum(), weight.sum()
