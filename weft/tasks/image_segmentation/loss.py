"""Losses of the segmentation of pictures, each a sum and what it is to be divided by.

Logits are [B, K, Y, X], masks int [B, Y, X] with −1 where a pixel does not count. The weights follow from the masks
alone, so that they can be added up over parts of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from weft.tasks.image_segmentation.loss_options import LossOptions

_SMOOTH = 1.0
"""pixels, of the Dice loss, in numerator and denominator"""


def loss_terms(logits: Tensor, mask: Tensor, options: LossOptions) -> dict[str, tuple[Tensor, Tensor]]:
    """{loss: (sum, weight)}; the loss is the sum over terms of sum / weight.

    cross_entropy and focal (Lin et al., ICCV 2017): over pixels, each with the weight of its class. dice: 1 − soft
    Dice (Milletari et al., 3DV 2016) of each class that a picture has, over pictures and classes.
    """
    labels = mask.clamp(min=0).long()
    weights, made = term_weights(mask, logits.shape[1], options), {}
    pixel = _pixel_weights(mask, options)
    for name, factor in options.terms.items():
        if name == "dice":
            total = _dice(logits, labels, mask >= 0)
        elif name == "focal":
            each = functional.cross_entropy(logits, labels, reduction="none")
            missed = (-torch.expm1(-each)).clamp(min=1e-7)  # 1 − p; a power of exactly 0 may have no gradient
            total = (missed**options.focal_gamma * each * pixel).sum()
        else:
            smoothing = options.label_smoothing
            each = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
            total = (each * pixel).sum()
        made[str(name)] = factor * total, weights[str(name)]
    return made


def term_weights(mask: Tensor, classes: int, options: LossOptions) -> Mapping[str, Tensor]:
    """The weights of :func:`loss_terms` before the logits are known."""
    pixels = _pixel_weights(mask, options).sum()
    return {str(name): _present(mask, classes).sum().float() if name == "dice" else pixels for name in options.terms}


def _pixel_weights(mask: Tensor, options: LossOptions) -> Tensor:
    """float32 [B, Y, X], 0 where there is no label."""
    valid = (mask >= 0).float()
    if options.class_weights is None:
        return valid
    return valid * torch.tensor(options.class_weights, device=mask.device)[mask.clamp(min=0).long()]


def _present(mask: Tensor, classes: int) -> Tensor:
    """bool [B, K]: which classes a picture has."""
    found = torch.zeros(len(mask), classes + 1, dtype=torch.bool, device=mask.device)
    return found.scatter_(1, (mask.flatten(1).long() + 1), True)[:, 1:]


def _dice(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    probabilities, counted = logits.softmax(1), valid[:, None].to(logits.dtype)
    true = torch.zeros_like(probabilities).scatter_(1, labels[:, None], counted)
    overlap, predicted, there = (values.sum((2, 3)) for values in (probabilities * true, probabilities * counted, true))
    each = 1 - (2 * overlap + _SMOOTH) / (predicted + there + _SMOOTH)
    return (each * (there > 0)).sum()
