"""U-ResNet with one linear head, or two (spec §1.1-1.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.engine.task import Batch
from weft.sparse.spine_layout import batch_norm_names, uresnet_names
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import SegmentationHead, Style, UResNet
from weft.tasks.segmentation.options import ModelOptions


class Logits(NamedTuple):
    """One row per voxel of the batch, in its order."""

    semantic: Tensor
    """[N, classes]"""
    ghost: Tensor | None
    """[N, 2]: real, ghost"""


class SegmentationNetwork(nn.Module):
    """Class logits of every voxel from its charge and its surroundings."""

    def __init__(self, options: ModelOptions, classes: int) -> None:
        super().__init__()
        self.engine = options.engine
        style = Style(options.leak, options.norm_eps, options.norm_momentum)
        self.trunk = UResNet(1, options.filters, options.depth, options.reps, options.input_kernel, style)
        self.head = SegmentationHead(options.filters, classes, style)
        self.ghost_head = SegmentationHead(options.filters, 2, style) if options.ghost else None

    def forward(self, batch: Batch) -> Logits:
        voxels = SparseTensor.from_points(batch.coords, batch.features, len(batch), engine=self.engine)
        features = self.trunk(voxels).final
        ghost = None if self.ghost_head is None else self.ghost_head(features).at_points()
        return Logits(self.head(features).at_points(), ghost)


def spine_names(options: ModelOptions) -> dict[str, str]:
    """``{our name: SPINE's}`` of every tensor, SPINE's below its ``uresnet`` module.

    SPINE's two heads share a norm and an activation; each of ours has its own, so the norm is read twice.
    """
    names = {
        f"trunk.{ours}": f"backbone.{theirs}" for ours, theirs in uresnet_names(options.depth, options.reps).items()
    }
    for ours, theirs in (("head", "linear_segmentation"), ("ghost_head", "linear_ghost"))[: 1 + options.ghost]:
        names |= batch_norm_names(f"{ours}.layers.0.0", "output.0")
        names |= {f"{ours}.layers.1.module.{tensor}": f"{theirs}.linear.{tensor}" for tensor in ("weight", "bias")}
    return names


def mean(outputs: Sequence[Logits]) -> Logits:
    """Logits whose softmax is the mean of the probabilities of several outputs for the same voxels."""

    def logarithm(each: Sequence[Tensor]) -> Tensor:
        return torch.stack([logits.float().log_softmax(1) for logits in each]).logsumexp(0) - math.log(len(each))

    ghosts = [output.ghost for output in outputs if output.ghost is not None]
    return Logits(logarithm([output.semantic for output in outputs]), logarithm(ghosts) if ghosts else None)


def classify(logits: Logits) -> tuple[Tensor, Tensor]:
    """Class int8 [N] and class probabilities float32 [N, classes (+1: ghost)] of every voxel.

    With a ghost head a voxel is a ghost first (argmax of that head, spec §1.1); the classes share the rest of the
    probability.
    """
    scores = logits.semantic.float().softmax(1)
    classes = scores.argmax(1).to(torch.int8)
    if logits.ghost is not None:
        real, ghost = logits.ghost.float().softmax(1).split(1, dim=1)
        classes = classes.masked_fill(logits.ghost.argmax(1) == 1, scores.shape[1])
        scores = torch.cat([scores * real, ghost], 1)
    return classes, scores
