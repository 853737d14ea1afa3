"""U-ResNet, a segmentation head if asked for, and a point proposal network (spec §1.2-1.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.engine.task import Batch
from weft.sparse.ppn import POINT, EveryScale, PointMaps, ThreeScales
from weft.sparse.spine_layout import batch_norm_names, ppn_names, uresnet_names
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import SegmentationHead, Style, UResNet
from weft.tasks.points.options import CLASSES, ModelOptions


class Proposals(NamedTuple):
    """One row per voxel of the batch, in its order, but for the coarse scales."""

    offset: Tensor
    """[N, 3], voxels, from the centre of the voxel"""
    classes: Tensor
    """[N, 5] logits"""
    score: Tensor
    """[N, 2] logits: empty, point"""
    kept: Tensor
    """bool [N]: voxels that coarser scales did not mask"""
    end: Tensor | None
    """[N, 2] logits: start, end"""
    semantic: Tensor | None
    """[N, 5] logits of the segmentation"""
    coarse: list[Tensor]
    """[N_scale, 2] logits of the coarser scales, the coarsest first; rows sorted by (batch, x, y, z)"""
    coarse_kept: list[Tensor]
    """bool [N_scale] likewise"""


class PointNetwork(nn.Module):
    """Point proposals of every voxel from its charge and its surroundings.

    A trunk that is frozen runs without a graph. `trunk` and `head` are those of the segmentation network.
    """

    ppn: EveryScale | ThreeScales

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.engine, self.use_true_masks = options.engine, options.use_true_masks
        style = Style(options.leak, options.norm_eps, options.norm_momentum)
        self.trunk = UResNet(1, options.filters, options.depth, options.reps, options.input_kernel, style)
        self.head = SegmentationHead(options.filters, CLASSES, style) if options.semantic else None
        if options.form == "scales3":
            self.ppn = ThreeScales(self.trunk.widths, options.levels, options.ppn_num_conv, CLASSES)
        else:
            self.ppn = EveryScale(
                self.trunk.widths,
                options.reps,
                CLASSES,
                Style(options.leak, options.ppn_norm_eps, options.ppn_norm_momentum),
                propagate_all=options.propagate_all,
                binary_mask=options.use_binary_mask,
                threshold=options.mask_score_threshold,
                ends=options.ends,
            )

    def forward(self, batch: Batch) -> Proposals:
        voxels = SparseTensor.from_points(batch.coords, batch.features, len(batch), engine=self.engine)
        learns = any(parameter.requires_grad for parameter in self.trunk.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            maps = self.trunk(voxels)
        points = self.ppn(maps, self._true_cells(batch)) if isinstance(self.ppn, ThreeScales) else self.ppn(maps)
        semantic = None if self.head is None else self.head(maps.final).at_points()
        return _at_voxels(points, semantic, voxels.maps.points)

    def _true_cells(self, batch: Batch) -> Tensor | None:
        if not (self.training and self.use_true_masks):
            return None
        positions = batch.targets["points"].floor().int()
        return torch.cat([batch.targets["point_event"].int()[:, None], positions], 1)


def _at_voxels(points: PointMaps, semantic: Tensor | None, rows: Tensor) -> Proposals:
    kept = [
        torch.ones_like(score[:, POINT], dtype=torch.bool) if mask is None else mask
        for score, mask in zip(points.scores, points.kept, strict=True)
    ]
    return Proposals(
        points.offset[rows],
        points.classes[rows],
        points.scores[-1][rows],
        kept[-1][rows],
        None if points.end is None else points.end[rows],
        semantic,
        points.scores[:-1],
        kept[:-1],
    )


def spine_names(options: ModelOptions) -> dict[str, str]:
    """``{our name: SPINE's}`` of every tensor; SPINE's network always has the segmentation head too."""
    backbone = uresnet_names(options.depth, options.reps)
    names = {f"trunk.{ours}": f"uresnet.backbone.{theirs}" for ours, theirs in backbone.items()}
    if options.semantic:
        names |= batch_norm_names("head.layers.0.0", "uresnet.output.0")
        for tensor in ("weight", "bias"):
            names[f"head.layers.1.module.{tensor}"] = f"uresnet.linear_segmentation.linear.{tensor}"
    proposals = ppn_names(options.depth, options.reps, options.ends)
    return names | {f"ppn.{ours}": f"ppn.{theirs}" for ours, theirs in proposals.items()}


def probabilities(output: Proposals) -> Tensor:
    """float32 [N, 10], the columns of the product ``point_proposals``: offset, score, classes, end score.

    The score is 0 where a coarser scale masked the voxel; the end score NaN without a head for it.
    """
    score = output.score.float().softmax(1)[:, POINT] * output.kept
    end = torch.full_like(score, torch.nan) if output.end is None else output.end.float().softmax(1)[:, 1]
    return torch.cat([output.offset.float(), score[:, None], output.classes.float().softmax(1), end[:, None]], 1)
