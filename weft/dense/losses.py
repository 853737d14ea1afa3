"""Losses of dense segmentation, weighted voxel by voxel (spec §3).

Logits are [B, C, z, y, x], labels integer [B, z, y, x] with ids below C, costs float [B, z, y, x] >= 0. A voxel counts
with the weight ``cost``, and not at all where its label is -1 or ``ignore_index``. Every loss is a sum and the weight
that it is to be divided by, which follows from labels and costs alone; so it can be added up over parts of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from weft.dense.loss_options import LossOptions
from weft.errors import WeftError

_SMOOTH = 1e-5
"""of the Dice losses, in numerator and denominator, as MONAI's"""


class Target(NamedTuple):
    """What a volume is to become.

    Attributes:
        labels: int64 [B, z, y, x], ids in 0 ... C-1 everywhere; what does not count is 0.
        weight: float32 [B, z, y, x], 0 where a voxel does not count.
        counted: float32 scalar, what sums over voxels are divided by.
        samples: bool [B], those with any voxel that counts.
    """

    labels: Tensor
    weight: Tensor
    counted: Tensor
    samples: Tensor


def target(labels: Tensor, cost: Tensor | None, options: LossOptions) -> Target:
    """Labels and costs as the losses read them.

    ``normalise: cost`` divides by the summed weights; ``voxels`` by the number of voxels, those that do not count
    included, as the original does.
    """
    labels = labels.long()
    valid = labels >= 0
    if options.ignore_index is not None:
        valid &= labels != options.ignore_index
    weight = valid.float() if cost is None else torch.where(valid, cost.float(), 0.0)
    counted = weight.sum() if options.normalise == "cost" else weight.new_tensor(float(weight.numel()))
    return Target(torch.where(valid, labels, 0), weight, counted, weight.flatten(1).any(1))


def cross_entropy(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """Sum over voxels of -cost · log p of the label."""
    each = functional.cross_entropy(logits, to.labels, reduction="none")
    return (each * to.weight).sum(), to.counted


def focal(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """Sum over voxels of -cost · (1 - p)^gamma · log p of the label (Lin et al., ICCV 2017)."""
    each = functional.cross_entropy(logits, to.labels, reduction="none")
    missed = (-torch.expm1(-each)).clamp(min=1e-7)  # 1 - p; a power of exactly 0 may have no gradient
    return (missed**options.focal_gamma * each * to.weight).sum(), to.counted


def dice(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """1 - Dice of each class of each volume, its sums weighted by the cost (Milletari et al., 3DV 2016).

    The background, class 0, is left out without ``dice_background``. A volume without a voxel that counts is, too.
    """
    overlap, predicted, true = _overlaps(logits, to, options.dice_background)
    each = 1 - (2 * overlap + _SMOOTH) / (predicted + true + _SMOOTH)
    return (each.mean(1) * to.samples).sum(), to.samples.sum().float()


def generalised_dice(logits: Tensor, to: Target, options: LossOptions) -> tuple[Tensor, Tensor]:
    """1 - Dice of all classes of a volume together, each weighted by 1 / (its true voxels)² (Sudre et al., 2017).

    A class that a volume does not have weighs as much as its rarest one.
    """
    overlap, predicted, true = _overlaps(logits, to, options.dice_background)
    share = torch.where(true > 0, true, torch.inf).square().reciprocal()
    share = torch.where(true > 0, share, share.amax(1, keepdim=True))
    each = 1 - (2 * (share * overlap).sum(1) + _SMOOTH) / ((share * (predicted + true)).sum(1) + _SMOOTH)
    return (each * to.samples).sum(), to.samples.sum().float()


LOSSES: Mapping[str, Callable[[Tensor, Target, LossOptions], tuple[Tensor, Tensor]]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "generalised_dice": generalised_dice,
}


def loss_terms(
    outputs: Mapping[str, Tensor], labels: Tensor, cost: Tensor | None, options: LossOptions
) -> dict[str, tuple[Tensor, Tensor]]:
    """{"<head>_<loss>": (sum, weight)} of every head and loss; the loss is the sum over terms of sum / weight.

    outputs: logits of "main", in training of "aux1", … (:class:`weft.dense.build.VolumeNetwork`), and "vae".

    Raises:
        WeftError: a label has no class in some head, or loss_weight is too short.
    """
    to = target(labels, cost, options)
    terms = {}
    for name, logits in outputs.items():
        if name == "vae":
            terms[name] = options.vae_weight * logits * len(labels), _volumes(labels)
            continue
        factor = _head_weight(name, options)
        for loss, share in options.terms.items():
            total, weight = LOSSES[loss](logits.float(), to, options)
            terms[f"{name}_{loss}"] = factor * share * total, weight
    return terms


def term_weights(
    outputs: tuple[str, ...], labels: Tensor, cost: Tensor | None, options: LossOptions
) -> dict[str, Tensor]:
    """The weights of :func:`loss_terms` before the outputs of these names are known."""
    to = target(labels, cost, options)
    weights = {}
    for name in outputs:
        if name == "vae":
            weights[name] = _volumes(labels)
            continue
        for loss in options.terms:
            by_voxels = loss in ("cross_entropy", "focal")
            weights[f"{name}_{loss}"] = to.counted if by_voxels else to.samples.sum().float()
    return weights


def check_labels(labels: Tensor, classes: tuple[int, ...], ignore_index: int | None) -> None:
    """Raise WeftError where a label that counts has no class in the smallest head."""
    most = int(labels.max()) if labels.numel() else -1
    if most >= min(classes) and (ignore_index is None or bool((labels[labels >= min(classes)] != ignore_index).any())):
        raise WeftError(
            f"labels: class {most}, but model.classes is {list(classes)}: ids from 0 to {min(classes) - 1} are expected"
        )


def _volumes(labels: Tensor) -> Tensor:
    return torch.tensor(float(len(labels)), device=labels.device)


def _head_weight(name: str, options: LossOptions) -> float:
    """Of "main" the first of ``loss_weight``, of "aux1" the second, …"""
    index = 0 if name == "main" else int(name.removeprefix("aux"))
    if index >= len(options.loss_weight):
        raise WeftError(
            f"loss.loss_weight: {list(options.loss_weight)}: the network has an output '{name}' too; give it a weight"
        )
    return options.loss_weight[index]


def _overlaps(logits: Tensor, to: Target, background: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted voxels [B, classes]: predicted and true at once, predicted, true."""
    probabilities = logits.softmax(1)
    weighted = probabilities * to.weight[:, None]
    predicted = weighted.flatten(2).sum(2)
    classes = torch.arange(logits.shape[1], device=logits.device)
    # One class at a time: a one-hot volume would be as large as all of the probabilities.
    overlap = torch.stack([(weighted[:, c] * (to.labels == c)).flatten(1).sum(1) for c in classes.tolist()], 1)
    true = torch.stack([(to.weight * (to.labels == c)).flatten(1).sum(1) for c in classes.tolist()], 1)
    first = 0 if background else 1
    return overlap[:, first:], predicted[:, first:], true[:, first:]
