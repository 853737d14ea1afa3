"""Losses over the faces of a batch that have a label (spec §8); padding and label -1 do not count.

Logits are [B, N, F, C], labels int64 and face weights float [B, N, F]. Every loss is a sum and the weight that it is to
be divided by, which follows from labels and face weights alone; so it can be added up over parts of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from weft.tasks.mesh_segmentation.loss_options import LossOptions

_SMOOTH = 1e-5
"""of Dice, in numerator and denominator"""


class Target(NamedTuple):
    """What faces are to become, sample by sample: K = N·F."""

    labels: Tensor
    """int64 [B, K]; of what does not count 0"""
    face_weight: Tensor
    """float32 [B, K], 0 where a face does not count"""
    weight: Tensor
    """float32 [B, K], the same times the weight of its class"""
    present: Tensor
    """bool [B, C], classes that a sample has a face of"""


def target(labels: Tensor, area: Tensor, class_weight: Tensor, options: LossOptions) -> Target:
    """Labels and areas [B, N, F] as the losses read them; class_weight: float [C]."""
    labels, area = labels.flatten(1), area.flatten(1).float()
    counts = labels >= 0
    face_weight = counts.float() * (area if options.faces == "area" else 1.0)
    labels = labels.clamp(min=0)
    one_hot = functional.one_hot(labels, len(class_weight)) * (face_weight > 0)[..., None]
    return Target(labels, face_weight, face_weight * class_weight[labels], one_hot.any(1))


def cross_entropy(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """Weighted sum of -log p of the label, which label smoothing shares with all classes."""
    each = functional.cross_entropy(
        logits.transpose(1, 2), to.labels, reduction="none", label_smoothing=options.label_smoothing
    )
    return (each * to.weight).sum(), to.weight.sum()


def focal(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """Weighted sum of -(1 - p)^gamma log p of the label (Lin et al., ICCV 2017)."""
    each = functional.cross_entropy(logits.transpose(1, 2), to.labels, reduction="none")
    missed = (-torch.expm1(-each)).clamp(min=1e-7)  # 1 - p; a power of exactly 0 may have no gradient
    return (missed**options.focal_gamma * each * to.weight).sum(), to.weight.sum()


def dice(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """1 - Dice of each class that a sample has (Milletari et al., 3DV 2016), faces weighted by area where asked for.

    A class that a sample does not have has no Dice; what is wrongly given to it is missed by another.
    """
    probabilities = logits.softmax(2) * to.face_weight[..., None]
    one_hot = functional.one_hot(to.labels, logits.shape[2])
    overlap, predicted = (probabilities * one_hot).sum(1), probabilities.sum(1)
    true = (one_hot * to.face_weight[..., None]).sum(1)
    each = 1 - (2 * overlap + _SMOOTH) / (predicted + true + _SMOOTH)
    return (each * to.present).sum(), to.present.sum().float()


LOSSES: Mapping[str, Callable[[Tensor, Target, LossOptions], tuple[Tensor, Tensor]]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
}


def loss_terms(logits: Tensor, to: Target, options: LossOptions) -> dict[str, tuple[Tensor, Tensor]]:
    """{loss: (sum, weight)}; the loss is the sum over them of sum / weight. logits: [B, N, F, C]"""
    logits = logits.flatten(1, 2).float()
    terms: dict[str, tuple[Tensor, Tensor]] = {}
    for name, factor in options.terms.items():
        total, weight = LOSSES[name](logits, to, options)
        terms[name] = factor * total, weight
    return terms


def term_weights(to: Target, options: LossOptions) -> dict[str, Tensor]:
    """The weights of :func:`loss_terms` before the logits are known."""
    return {name: to.present.sum().float() if name == "dice" else to.weight.sum() for name in options.terms}
