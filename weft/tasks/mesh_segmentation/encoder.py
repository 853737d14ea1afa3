"""Faces of a sample to embeddings that know of each other (spec §7.1, §7.5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.tasks.mesh_segmentation.blocks import LocalGlobalBlock, Scene, TwoStageBlock, masked_mean
from weft.tasks.mesh_segmentation.model_options import FourierOptions, ModelOptions

#: Columns of the positions of the three corners, the first of the features.
POSITIONS = 9
_FIRST_SCALE = 0.1  # of the Fourier features when a training begins


class FourierFeatures(nn.Module):
    """sin and cos of 2π 2^k x / period of each position, to the width by a linear layer and a norm without weights."""

    frequencies: Tensor

    def __init__(self, width: int, options: FourierOptions) -> None:
        super().__init__()
        assert options.period is not None  # the task knows in what positions are
        turns = 2 * math.pi * 2.0 ** torch.arange(options.frequencies) / options.period
        self.register_buffer("frequencies", turns, persistent=False)
        self.linear = nn.Linear(2 * POSITIONS * options.frequencies, width)
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))

    def forward(self, positions: Tensor) -> Tensor:
        """[..., D]; positions: [..., 9]"""
        # In float32: a phase of many turns has none of its digits left in 16 bits.
        angles = (positions.float()[..., None] * self.frequencies).flatten(-2)
        embedded = self.linear(torch.cat([angles.sin(), angles.cos()], dim=-1))
        return self.scale * functional.layer_norm(embedded, embedded.shape[-1:])


class Encoder(nn.Module):
    """Stem, blocks and a last norm.

    Args:
        features: channels that the stem reads.
    """

    def __init__(self, features: int, options: ModelOptions) -> None:
        super().__init__()
        self.across_faces = options.block == "local_global"
        self.relative = options.relative is not None
        self.stem = nn.Linear(features, options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.fourier = None if options.fourier is None else FourierFeatures(options.width, options.fourier)
        self.summary = nn.Parameter(torch.empty(options.width)) if options.summary == "token" else None
        blocks: list[nn.Module] = []
        for i in range(options.blocks):
            rate = options.drop_path * i / max(options.blocks - 1, 1)
            if self.across_faces:
                blocks.append(LocalGlobalBlock(options, rate))
            else:
                blocks.append(TwoStageBlock(options, rate, last=i == options.blocks - 1))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(options.width)

    def forward(self, x: Tensor, positions: Tensor, centroids: Tensor, real: Tensor) -> Tensor:
        """[B, N, F, D]; of padding whatever comes out.

        x: [B, N, F, features]. positions: [B, N, F, 9] of the corners, read for Fourier features. centroids:
        [B, N, F, 3] m, read for relative positions. real: bool [B, N, F].
        """
        x = self.dropout(self.stem(x))
        if self.fourier is not None:
            x = x + self.fourier(positions).to(x.dtype)
        scene = self._scene(centroids, real)
        samples, clusters = real.shape[:2]
        start = x.new_zeros(x.shape[-1]) if self.summary is None else self.summary.to(x.dtype)
        summary = start.expand(samples, clusters, -1)
        for block in self.blocks:
            x, summary = block(x, summary, scene)
        return self.norm(x)

    def _scene(self, centroids: Tensor, real: Tensor) -> Scene:
        clusters = real.any(2)
        clusters = clusters | ~clusters.any(1, keepdim=True)
        if not self.relative:
            return Scene(real, clusters, None, None)
        flat = centroids.flatten(0, 1)
        centres = masked_mean(centroids, real)
        seeing = centroids.flatten(1, 2) if self.across_faces else centres
        return Scene(real, clusters, _offsets(flat, flat), _offsets(seeing, centres))


def _offsets(queries: Tensor, keys: Tensor) -> Tensor:
    """[G, Q, K, 3], from queries [G, Q, 3] to keys [G, K, 3]"""
    return keys[:, None] - queries[:, :, None]
