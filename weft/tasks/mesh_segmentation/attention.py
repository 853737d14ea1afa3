"""Attention with masks, and with relative positions; logits and softmax are float32 whatever the precision is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.tasks.mesh_segmentation.model_options import RelativeOptions

_HIDDEN_BIAS, _HIDDEN_VALUES = 64, 128
_PAIR = 6  # dx, dy, dz, |d|, |d|², 1


class Attention(nn.Module):
    """Scaled dot-product attention with H heads and an output projection (Vaswani et al., NeurIPS 2017; spec §7.2).

    Args:
        relative: attention that also sees offsets d (spec §7.4c): an MLP on (dx, dy, dz, |d|, |d|², 1) adds to logits,
            and with `values` another one to values.
    """

    def __init__(self, width: int, heads: int, dropout: float, relative: RelativeOptions | None = None) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.relative = None if relative is None else RelativePositions(width, heads, relative)

    def forward(self, queries: Tensor, keys: Tensor, real: Tensor, offsets: Tensor | None = None) -> Tensor:
        """[G, Q, D].

        queries: [G, Q, D], or [1, Q, D] where they are the same in all groups. keys: [G, K, D].
        real: bool [G, K], keys that may be attended to, at least one in each group.
        offsets: with `relative`, [G, Q', K', 3] m from query to key, of the last Q' queries and K' keys; those before,
            such as summaries, have no place.
        """
        groups = len(keys)
        q, k, v = (self._split(layer(x)) for layer, x in
                   ((self.query, queries), (self.key, keys), (self.value, keys)))  # fmt: skip
        q = q.expand(groups, -1, -1, -1)
        with torch.autocast(keys.device.type, enabled=False):
            q, k, v = q.float(), k.float(), v.float()
            if self.relative is None:
                mixed = self._mix(q, k, v, real[:, None, None, :])
            else:
                assert offsets is not None
                bias, values = self.relative(offsets)
                bias = functional.pad(bias, (k.shape[2] - bias.shape[3], 0, q.shape[2] - bias.shape[2], 0))
                bias = bias.masked_fill(~real[:, None, None, :], -math.inf)
                mixed = self._mix(q, k, v, bias) if values is None else self._with_values(q, k, v, bias, values)
        return self.out(mixed.transpose(1, 2).flatten(2).to(queries.dtype))

    def of_one(self, query: Tensor, tokens: Tensor, real: Tensor, basis: Tensor | None = None) -> Tensor:
        """[G, 1, D]: what :meth:`forward` gives for one query a group, without the keys and values of every token.

        With one query, q · (K s) is (Kᵀ q) · s, and a mean of values is the value of a mean: of the tokens nothing is
        computed but their products with one vector a head, and their mean. Costs G K H E instead of G K D².

        query: [G, 1, D], or [1, 1, D] where it is the same in all groups. tokens: [G, K, E], what keys are made of: D
        numbers each, or with a basis [D, E] the coefficients of its columns. real: as in :meth:`forward`.
        """
        key, value = (layer.weight.unflatten(0, (self.heads, -1)) for layer in (self.key, self.value))
        q = self.query(query).unflatten(2, (self.heads, -1)).squeeze(1)
        with torch.autocast(tokens.device.type, enabled=False):
            q, tokens, key, value = q.float() / math.sqrt(q.shape[-1]), tokens.float(), key.float(), value.float()
            if basis is not None:
                key, value = key @ basis.float(), value @ basis.float()
            # The level is the same for all tokens of a group: no softmax sees it, and its gradient is 0, not missing.
            level = (q * self.key.bias.float().view(self.heads, -1)).sum(2, keepdim=True)
            logits = torch.einsum("ghd,hde->ghe", q, key) @ tokens.transpose(1, 2) + level
            weights = logits.masked_fill(~real[:, None], -math.inf).softmax(2)
            weights = functional.dropout(weights, self.dropout, self.training)
            mixed = torch.einsum("ghe,hde->ghd", weights @ tokens, value)
            mixed = mixed + weights.sum(2, keepdim=True) * self.value.bias.float().view(self.heads, -1)
        return self.out(mixed.flatten(1)[:, None].to(query.dtype))

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """mask: bool, True where a key may be attended to, or what is added to logits."""
        # The functional form drops whenever it is given a rate, in evaluation too.
        rate = self.dropout if self.training else 0.0
        if not rate or q.device.type != "cpu":
            return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        # With a rate it has no kernel for the CPU, and what it does in the place of one takes a third longer than this.
        logits = (q / math.sqrt(q.shape[-1])) @ k.transpose(2, 3)
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
        return functional.dropout(logits.softmax(3), rate) @ v

    def _with_values(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, values: Tensor) -> Tensor:
        """values: [G, H, Q', K', d], added to the values of pairs."""
        logits = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + bias
        weights = functional.dropout(logits.softmax(3), self.dropout, self.training)
        placed = weights[:, :, -values.shape[2] :, -values.shape[3] :]
        added = torch.einsum("ghqk,ghqkd->ghqd", placed, values)
        return weights @ v + functional.pad(added, (0, 0, q.shape[2] - added.shape[2], 0))

    def _split(self, x: Tensor) -> Tensor:
        """[G, K, D] to [G, H, K, D/H]"""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class RelativePositions(nn.Module):
    """What the offset between a query and a key adds to their logit and, if asked for, to the value of the key."""

    def __init__(self, width: int, heads: int, options: RelativeOptions) -> None:
        super().__init__()
        self.heads, self.scale = heads, options.scale
        self.bias = _mlp(_HIDDEN_BIAS, heads)
        self.values = _mlp(_HIDDEN_VALUES, width) if options.values else None

    def forward(self, offsets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Bias [G, H, Q, K] and values [G, H, Q, K, D/H]; offsets: [G, Q, K, 3] m."""
        d = offsets.float() / self.scale
        square = d.square().sum(-1, keepdim=True)
        # The root has no gradient at 0, where a face is compared with itself; of offsets none is asked.
        pair = torch.cat([d, square.sqrt(), square, torch.ones_like(square)], dim=-1)
        bias = self.bias(pair).permute(0, 3, 1, 2)
        if self.values is None:
            return bias, None
        return bias, self.values(pair).unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4)


def _mlp(hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(_PAIR, hidden), nn.GELU(), nn.Linear(hidden, out))
