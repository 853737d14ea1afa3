"""Point proposal networks: where particles start and end, read off the feature maps of a U-ResNet.

Dominé et al., arXiv:2006.14745 (three fixed scales); SPINE (every scale of the decoder). Both
propose a point at every voxel near one: an offset from the centre of the voxel, a score and a class. What coarser
scales call empty is damped, or left out, on the finer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.sparse.layers import SubmanifoldConv, TransposedConv, cat
from weft.sparse.tensor import CoordinateMaps, SparseTensor
from weft.sparse.uresnet import FeatureMaps, ResidualBlock, Style

EMPTY, POINT = 0, 1  # columns of every score


class PointMaps(NamedTuple):
    """What a proposal network says on the voxels of its scales; rows as in the maps of the trunk."""

    offset: Tensor
    """[N, D], voxels: from the centre of a voxel to the point"""
    classes: Tensor
    """[N, classes] logits: class of the particle"""
    scores: list[Tensor]
    """[N_scale, 2] logits (empty, point) of every scale, from the coarsest to the finest"""
    kept: list[Tensor | None]
    """bool [N_scale]: what the scale before let through; None where it only damps, and for the first"""
    end: Tensor | None
    """[N, 2] logits (start, end)"""


class EveryScale(nn.Module):
    """A second decoder beside that of the trunk, with scores at each of its scales (SPINE's form).

    At every scale: upsampling, the trunk's decoder map of that scale beside it, residual blocks, two scores. The
    features go on multiplied by the probability of a point, through which no gradient flows back.

    Args:
        widths: channels of the trunk's levels, the finest first; at least two.
        reps: residual blocks a scale.
        propagate_all: pass features on as they are.
        binary_mask: pass features on where the probability exceeds ``threshold``, and zeros elsewhere.
        ends: a head that tells the ends of tracks from their starts.
    """

    def __init__(
        self,
        widths: Sequence[int],
        reps: int = 2,
        classes: int = 5,
        style: Callable[[int], nn.Module] | None = None,
        dims: int = 3,
        propagate_all: bool = False,
        binary_mask: bool = False,
        threshold: float = 0.5,
        ends: bool = False,
    ) -> None:
        super().__init__()
        style = style or Style(eps=1e-5, momentum=0.1)
        self.propagate_all, self.binary_mask, self.threshold = propagate_all, binary_mask, threshold
        self.up, self.decoder, self.masks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for width, wider in pairwise(widths):
            self.up.append(nn.Sequential(style(wider), TransposedConv(wider, width, 2, 2, dims)))
            blocks = [ResidualBlock(width * (2 if k == 0 else 1), width, style, dims) for k in range(reps)]
            self.decoder.append(nn.Sequential(*blocks))
            self.masks.append(nn.Linear(width, 2))
        self.final = ResidualBlock(widths[0], widths[0], style, dims)
        self.offset = nn.Linear(widths[0], dims)
        self.classes = nn.Linear(widths[0], classes)
        self.end = nn.Linear(widths[0], 2) if ends else None

    def forward(self, maps: FeatureMaps) -> PointMaps:
        x, scores = maps.decoder[-1], []
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](cat(maps.decoder[level], self.up[level](x)))
            scores.append(self.masks[level](x.features))
            x = self._passed_on(x, scores[-1])
        features = self.final(x).features
        end = None if self.end is None else self.end(features)
        return PointMaps(self.offset(features), self.classes(features), scores, [None] * len(scores), end)

    def _passed_on(self, x: SparseTensor, scores: Tensor) -> SparseTensor:
        if self.propagate_all:
            return x
        gate = scores.detach().softmax(1)[:, POINT:]
        if self.binary_mask:
            gate = gate > self.threshold
        return x.with_features(x.features * gate.to(x.features.dtype))


class ThreeScales(nn.Module):
    """Scores at two coarse levels of the trunk's decoder and at the finest (the form of 2020).

    At each of the three: convolutions without activation and two scores. A voxel is kept on the next scale where the
    probability in its cell of this one exceeds a half; the features of others are zeroed, and they propose nothing.

    Args:
        widths: channels of the trunk's levels, the finest first.
        levels: the two coarse ones, the coarser first.
        convolutions: 3-wide convolutions before the scores, at each scale.
    """

    def __init__(
        self, widths: Sequence[int], levels: tuple[int, int], convolutions: int = 1, classes: int = 5, dims: int = 3
    ) -> None:
        super().__init__()
        self.levels = (*levels, 0)
        self.convolutions, self.masks = nn.ModuleList(), nn.ModuleList()
        for level in self.levels:
            width = widths[level]
            convs = [SubmanifoldConv(width, width, 3, dims) for _ in range(convolutions)]
            self.convolutions.append(nn.Sequential(*convs))
            self.masks.append(SubmanifoldConv(width, 2, 3, dims))
        self.offset = SubmanifoldConv(widths[0], dims, 3, dims)
        self.classes = SubmanifoldConv(widths[0], classes, 3, dims)

    def forward(self, maps: FeatureMaps, true_cells: Tensor | None = None) -> PointMaps:
        """true_cells: int [P, 1+D], batch index and voxel of true points, which are kept whatever the scores say."""
        scores: list[Tensor] = []
        kept: list[Tensor | None] = []
        x = maps.decoder[self.levels[0]]
        for scale, level in enumerate(self.levels):
            fine = maps.decoder[level]
            if scale:
                found = scores[-1].detach().softmax(1)[:, POINT] > 0.5
                mask = found[rows_above(fine.maps, fine.stride, x.stride)]
                if true_cells is not None:
                    mask[rows_of(fine, true_cells)] = True
                fine = fine.with_features(fine.features * mask[:, None].to(fine.features.dtype))
                kept.append(mask)
            else:
                kept.append(None)
            x = self.convolutions[scale](fine)
            scores.append(self.masks[scale](x).features)
        return PointMaps(self.offset(x).features, self.classes(x).features, scores, kept, None)


def rows_above(maps: CoordinateMaps, fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tensor:
    """Row int64 [N_fine] of the voxel of stride ``coarse`` that holds each one of stride ``fine``, over several
    halvings of the grid."""
    rows = torch.arange(len(maps.levels[fine]), device=maps.points.device)
    while fine != coarse:
        above = tuple(2 * step for step in fine)
        rows = maps.parents(fine, above)[rows]
        fine = above
    return rows


def rows_of(x: SparseTensor, voxels: Tensor) -> Tensor:
    """Rows of ``x`` that hold ``voxels`` int [P, 1+D] (batch, x, y, z at full resolution); those it lacks are left
    out."""
    grid = voxels.new_tensor((1, *x.stride))
    cells = torch.div(voxels, grid, rounding_mode="floor")
    rows, found = x.maps.levels[x.stride].find(cells, [(0,) * x.dims])
    return rows[0, found[0]]
