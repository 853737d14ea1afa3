"""A further decoder on the maps of an encoder, for networks that answer two questions from one encoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from weft.sparse.layers import TransposedConv, cat
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import ResidualBlock, Style


class Decoder(nn.Module):
    """The second half of a :class:`weft.sparse.uresnet.UResNet`, with weights of its own and the same names.

    Args:
        widths: channels of the encoder's levels, the finest first.
        reps: residual blocks a level.
    """

    def __init__(
        self,
        widths: Sequence[int],
        reps: int = 2,
        style: Callable[[int], nn.Module] | None = None,
        dims: int = 3,
    ) -> None:
        super().__init__()
        style = style or Style()
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for width, wider in pairwise(widths):
            self.up.append(nn.Sequential(style(wider), TransposedConv(wider, width, 2, 2, dims)))
            blocks = [ResidualBlock(width * (2 if k == 0 else 1), width, style, dims) for k in range(reps)]
            self.decoder.append(nn.Sequential(*blocks))

    def forward(self, encoder: Sequence[SparseTensor]) -> SparseTensor:
        """The finest map, [N, widths[0]], from the encoder's maps by level, the finest first."""
        x = encoder[-1]
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](cat(encoder[level], self.up[level](x)))
        return x
