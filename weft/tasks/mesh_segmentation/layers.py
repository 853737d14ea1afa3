"""Layers that blocks are made of: feed-forward, stochastic depth, and which norm stands where."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.tasks.mesh_segmentation.model_options import ModelOptions


class DropPath(nn.Module):
    """A layer's output left out for a random share of the samples in training, the others scaled up so that the mean
    stays (stochastic depth; Huang et al., ECCV 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, samples: int) -> Tensor:
        """x: [G, ...], G a multiple of the samples, those of a sample together."""
        if not self.training or not self.rate:
            return x
        kept = (torch.rand(samples, device=x.device) >= self.rate).to(x.dtype) / (1 - self.rate)
        return (x.unflatten(0, (samples, -1)) * kept.view(-1, *[1] * x.ndim)).flatten(0, 1)


class FeedForward(nn.Module):
    """x and two linear layers on it: of the norm of x (pre), or the sum normed (post; spec §7.3).

    Args:
        width, hidden: channels, and hidden channels.
        drop_path: rate of :class:`DropPath`.
    """

    def __init__(self, width: int, hidden: int, options: ModelOptions, drop_path: float) -> None:
        super().__init__()
        self.pre = options.norm == "pre"
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU() if options.activation == "gelu" else nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(hidden, width),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, samples: int) -> Tensor:
        """x: [G, K, D]; samples: as for :class:`DropPath`."""
        if self.pre:
            return x + self.drop_path(self.layers(self.norm(x)), samples)
        return self.norm(x + self.drop_path(self.layers(x), samples))
