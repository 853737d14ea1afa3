"""The texture of a face as one vector: attention of a summary token to its pixels (spec §7.6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from weft.tasks.mesh_segmentation.attention import Attention
from weft.tasks.mesh_segmentation.layers import FeedForward
from weft.tasks.mesh_segmentation.model_options import ModelOptions, TextureOptions

COLOURS = 3
PLACES = {"none": 0, "bary": 2, "uv": 2}
"""numbers that say where a pixel lies"""


class PixelBlock(nn.Module):
    """One attention block over [summary; pixels]; the last one computes the summary alone, all that is read of it."""

    def __init__(self, texture: TextureOptions, options: ModelOptions, last: bool) -> None:
        super().__init__()
        self.pre, self.last = options.norm == "pre", last
        self.attention = Attention(texture.width, texture.heads, texture.dropout)
        self.norm = nn.LayerNorm(texture.width)
        plain = options.model_copy(update={"dropout": texture.dropout})
        self.feed_forward = FeedForward(texture.width, texture.width, plain, drop_path=0.0)

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """[T, 1, Dt] of the last block, else [T, 1 + P, Dt]; tokens: [T, 1 + P, Dt]; real: bool [T, 1 + P]."""
        seen = self.norm(tokens) if self.pre else tokens
        if self.last:
            return self._after(tokens[:, :1] + self.attention.of_one(seen[:, :1], seen, real))
        return self._after(tokens + self.attention(seen, seen, real))

    def of_linear(self, pixel: nn.Linear, summary: Tensor, pixels: Tensor, real: Tensor) -> Tensor:
        """[T, 1, Dt]: :meth:`forward` of [summary; pixel(pixels)] for the last block, without a row for each pixel.

        A pixel c is W c + b, and its norm divides that, less its mean, by the root of a quadratic form of c: so what
        the attention sees of a pixel are a few numbers times a matrix that all pixels share. pixels: [T, P, C].
        """
        with torch.autocast(pixels.device.type, enabled=False):
            weight = torch.cat([pixel.weight, pixel.bias[:, None]], dim=1).float()
            numbers = functional.pad(pixels.float(), (0, 1), value=1.0)
            seen = summary.float()
            if self.pre:
                weight = weight - weight.mean(0)
                form = weight.T @ weight / len(weight)
                variance = ((numbers @ form) * numbers).sum(2, keepdim=True).clamp(min=0)  # it may round below
                numbers = functional.pad(numbers * (variance + self.norm.eps).rsqrt(), (0, 1), value=1.0)
                weight = torch.cat([weight * self.norm.weight[:, None], self.norm.bias[:, None]], dim=1)
                seen = self.norm(seen)
            # The summary is one number more, that no pixel has.
            basis = torch.cat([weight, seen[:, None]], dim=1)
            tokens = functional.pad(numbers, (0, 1, 1, 0))
            tokens[:, 0, -1] = 1.0
        return self._after(summary + self.attention.of_one(seen[None, None], tokens, real, basis))

    def _after(self, tokens: Tensor) -> Tensor:
        return self.feed_forward(tokens if self.pre else self.norm(tokens), len(tokens))


class TextureBranch(nn.Module):
    """A vector for each face: of its pixels, or a learned one where it has no texture.

    Only faces with a texture are computed, ``chunk`` at a time; of several chunks a training keeps no activations.
    """

    def __init__(self, texture: TextureOptions, options: ModelOptions) -> None:
        super().__init__()
        self.chunk = texture.chunk
        self.pixel = nn.Linear(COLOURS + PLACES[texture.positions], texture.width)
        self.summary = nn.Parameter(torch.empty(texture.width))
        self.untextured = nn.Parameter(torch.empty(texture.width))
        self.blocks = nn.ModuleList(
            PixelBlock(texture, options, k == texture.blocks - 1) for k in range(texture.blocks)
        )
        self.norm = nn.LayerNorm(texture.width)

    def forward(self, pixels: Tensor, real: Tensor, rows: Tensor, faces: int) -> Tensor:
        """[faces, Dt].

        pixels: [T, P, 3 or 5], standardised colours and where the pixels lie. real: bool [T, P]. rows: int64 [T], the
        row in the answer of each textured face, each once; all others have no texture.
        """
        starts = range(0, max(len(pixels), 1), self.chunk)
        parts = []
        for start in starts:
            some = slice(start, start + self.chunk)
            if len(starts) > 1 and torch.is_grad_enabled():
                parts.append(checkpoint(self._vectors, pixels[some], real[some], use_reentrant=False))
            else:
                parts.append(self._vectors(pixels[some], real[some]))
        vectors = torch.cat(parts)
        table = self.untextured.to(vectors.dtype).expand(faces, -1)
        return table.index_put((rows,), vectors)

    def _vectors(self, pixels: Tensor, real: Tensor) -> Tensor:
        real = functional.pad(real, (1, 0), value=True)
        if len(self.blocks) == 1:
            block = self.blocks[0]
            assert isinstance(block, PixelBlock)
            return self.norm(block.of_linear(self.pixel, self.summary, pixels, real)[:, 0])
        tokens = self.pixel(pixels)
        summary = self.summary.to(tokens.dtype).expand(len(tokens), 1, -1)
        tokens = torch.cat([summary, tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens, real)
        return self.norm(tokens[:, 0])


class Fusion(nn.Module):
    """Geometry and texture of a face to one vector of the width (spec §7.7).

    `gated`: g W_a geometry + (1 - g) W_b texture, g = sigmoid(W_g [geometry; texture]), by channel, in [0, 1];
    `concat`: W_c [W_a geometry; W_b texture]; `add`: W_a geometry + W_b texture.
    """

    def __init__(self, geometry: int, texture: TextureOptions, width: int) -> None:
        super().__init__()
        self.geometry, self.texture = nn.Linear(geometry, width), nn.Linear(texture.width, width)
        self.kind = texture.fusion
        if self.kind == "gated":
            self.gate = nn.Linear(geometry + texture.width, width)
        elif self.kind == "concat":
            self.both = nn.Linear(2 * width, width)

    def forward(self, geometry: Tensor, texture: Tensor) -> Tensor:
        """[..., width]; geometry: [..., Dg]; texture: [..., Dt]."""
        a, b = self.geometry(geometry), self.texture(texture)
        if self.kind == "gated":
            g = self.gate(torch.cat([geometry, texture.to(geometry.dtype)], dim=-1)).sigmoid()
            return g * a + (1 - g) * b
        return self.both(torch.cat([a, b], dim=-1)) if self.kind == "concat" else a + b
