"""Transformer blocks: attention inside of clusters of faces, and between them by their summaries (spec §7.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.tasks.mesh_segmentation.attention import Attention
from weft.tasks.mesh_segmentation.layers import DropPath, FeedForward
from weft.tasks.mesh_segmentation.model_options import ModelOptions


class Scene(NamedTuple):
    """What is padding, and where faces and clusters lie from each other."""

    faces: Tensor
    """bool [B, N, F], real faces"""
    clusters: Tensor
    """bool [B, N], clusters that may be attended to: those with a face; of a sample without any, all"""
    local: Tensor | None
    """[B·N, F, F, 3] m, from face to face of a cluster"""
    across: Tensor | None
    """m between clusters: [B, N·F, N, 3] from faces for `local_global`, [B, N, N, 3] for `two_stage`"""


class LocalAttention(nn.Module):
    """Attention among the faces of each cluster and its summary; nothing passes between clusters (spec §7.2).

    Args:
        updates: whether the summary is used after it; it has no norm of its own otherwise.
    """

    def __init__(self, options: ModelOptions, drop_path: float, updates: bool = True) -> None:
        super().__init__()
        self.pre, self.token, self.updates = options.norm == "pre", options.summary == "token", updates
        self.attention = Attention(options.width, options.heads, options.dropout, options.relative)
        normed = self.pre or (self.token and updates)
        self.norm = nn.LayerNorm(options.width) if normed else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, summary: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """x: [B, N, F, D]; summary: [B, N, D], not read where it is the mean. Both anew."""
        samples, clusters = x.shape[:2]
        tokens, real = x, scene.faces
        if self.token:
            tokens = torch.cat([summary[:, :, None], x], dim=2)
            real = functional.pad(real, (1, 0), value=True)
        else:
            real = real | ~real.any(2, keepdim=True)
        tokens, real = tokens.flatten(0, 1), real.flatten(0, 1)
        seen = self.norm(tokens) if self.pre else tokens
        tokens = tokens + self.drop_path(self.attention(seen, seen, real, scene.local), samples)
        tokens = tokens.unflatten(0, (samples, clusters))
        if not self.token:
            return tokens, masked_mean(tokens, scene.faces)
        summary = tokens[:, :, 0]
        return tokens[:, :, 1:], summary if self.pre else self.norm(summary)


class LocalGlobalBlock(nn.Module):
    """Attention inside of clusters, then of every face to the summaries of all clusters of the sample (spec §7.4a).

    Each is followed by a feed-forward layer of its own and by one whose weights both share. With norms after the layers
    the block's input is added to its output; with norms before them it runs through already.
    """

    def __init__(self, options: ModelOptions, drop_path: float) -> None:
        super().__init__()
        width, hidden = options.width, options.width * options.hidden
        self.pre = options.norm == "pre"
        self.local = LocalAttention(options, drop_path)
        self.after_local = FeedForward(width, hidden, options, drop_path)
        self.across = Attention(width, options.heads, options.dropout, options.relative)
        self.face_norm = nn.LayerNorm(width) if self.pre else nn.Identity()
        self.summary_norm = nn.LayerNorm(width) if self.pre else nn.Identity()
        self.after_across = FeedForward(width, hidden, options, drop_path)
        self.shared = FeedForward(width, hidden, options, drop_path)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, summary: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """x: [B, N, F, D]; summary: [B, N, D]. Both anew."""
        samples, _, faces, _ = x.shape
        before = x
        x, summary = self.local(x, summary, scene)
        x = x.flatten(1, 2)
        x = self.shared(self.after_local(x, samples), samples)
        attended = self.across(self.face_norm(x), self.summary_norm(summary), scene.clusters, scene.across)
        x = x + self.drop_path(attended, samples)
        x = self.shared(self.after_across(x, samples), samples).unflatten(1, (-1, faces))
        return (x if self.pre else before + x), summary


class TwoStageBlock(nn.Module):
    """Attention inside of clusters, then among the summaries, which are handed to the faces (spec §7.4b).

    With `gate` a face becomes (1 - g) x + g s, g = sigmoid(W [x/|x|; s/|s|]); else x + s. `stages: 3` has a second
    attention inside of clusters. Norms and the block's input as in :class:`LocalGlobalBlock`.

    Args:
        last: no block follows that would read the summary.
    """

    def __init__(self, options: ModelOptions, drop_path: float, last: bool) -> None:
        super().__init__()
        width, hidden = options.width, options.width * options.hidden
        self.pre = options.norm == "pre"
        self.local = LocalAttention(options, drop_path)
        self.after_local = FeedForward(width, hidden, options, drop_path)
        self.across = Attention(width, options.heads, options.dropout, options.relative)
        self.summary_norm = nn.LayerNorm(width)
        self.gate = nn.Linear(2 * width, width) if options.gate else None
        self.after_across = FeedForward(width, hidden, options, drop_path)
        third = options.stages == 3
        self.second = LocalAttention(options, drop_path, updates=not last) if third else None
        self.after_second = FeedForward(width, hidden, options, drop_path) if third else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, summary: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """x: [B, N, F, D]; summary: [B, N, D]. Both anew."""
        samples, _, faces, _ = x.shape
        before = x
        x, summary = self.local(x, summary, scene)
        x = self.after_local(x.flatten(1, 2), samples).unflatten(1, (-1, faces))
        seen = self.summary_norm(summary) if self.pre else summary
        summary = summary + self.drop_path(self.across(seen, seen, scene.clusters, scene.across), samples)
        summary = summary if self.pre else self.summary_norm(summary)
        x = self._handed(x, summary)
        x = self.after_across(x.flatten(1, 2), samples).unflatten(1, (-1, faces))
        if self.second is not None and self.after_second is not None:
            x, summary = self.second(x, summary, scene)
            x = self.after_second(x.flatten(1, 2), samples).unflatten(1, (-1, faces))
        return (x if self.pre else before + x), summary

    def _handed(self, x: Tensor, summary: Tensor) -> Tensor:
        given = summary[:, :, None].expand_as(x)
        if self.gate is None:
            return x + given
        pair = torch.cat([functional.normalize(x, dim=-1), functional.normalize(given, dim=-1)], dim=-1)
        g = self.gate(pair).sigmoid()
        return (1 - g) * x + g * given


def masked_mean(x: Tensor, real: Tensor) -> Tensor:
    """[B, N, D], means over the real faces of x [B, N, F, D]; 0 of a cluster without any."""
    weight = real[..., None].to(x.dtype)
    return (x * weight).sum(2) / weight.sum(2).clamp(min=1)
