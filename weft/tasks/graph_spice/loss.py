"""Loss of edges: −log of the Dice coefficient and cross-entropy (spec §1.5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from weft.tasks.graph_spice.network import Edges
from weft.tasks.graph_spice.options import LossOptions

TERMS = ("log_dice", "bce")

_EPSILON = 1e-6


class EdgeLoss:
    """Sums and weights of the terms of one batch.

    The Dice coefficient is one of many edges together and no mean over them, so it is taken of each micro-batch (of
    each process), and averaged over those of a step by their number of edges. Cross-entropy is a mean over the edges of
    the step. Edges one end of which has no label are left out.
    """

    def __init__(self, options: LossOptions, invert: bool) -> None:
        self.options, self.invert = options, invert

    def targets(self, fragments: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """What to learn from: edges int64 [L], some more than once if they are drawn; and targets bool [L].

        fragments: int [N], −1 without a label; ends: int64 [E, 2]. Draws depend on the edges alone, so that a loss is
        the same whenever and wherever it is computed.
        """
        first, second = fragments[ends].t()
        labelled = ((first >= 0) & (second >= 0)).nonzero()[:, 0]
        target = (first == second)[labelled] != self.invert
        if not self.options.equal_sampling:
            return labelled, target
        kinds = [(target == kind).nonzero()[:, 0] for kind in (False, True)]
        fewest = min(map(len, kinds))
        if not fewest:
            return labelled, target
        generator = torch.Generator().manual_seed(len(labelled) * 1_000_003 + fewest)
        drawn = torch.cat([_draw(kind, max(fewest, self.options.min_sample_edges), generator) for kind in kinds])
        return labelled[drawn], target[drawn]

    def counts(self, target: Tensor) -> Tensor:
        """int64 [2]: edges with target 0 and 1."""
        return torch.bincount(target.long(), minlength=2)

    def weights(self, target: Tensor, counts: Tensor | None = None) -> dict[str, Tensor]:
        """The weight of each term; counts: those of the whole step, where `balance` needs them."""
        n = torch.tensor(float(len(target)), device=target.device)
        return {"log_dice": n, "bce": self._edge_weights(target, counts).sum()}

    def __call__(
        self, output: Edges, learned: Tensor, target: Tensor, counts: Tensor | None = None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """{term: (sum, weight)}; learned, target: see `targets`. Both directions of an edge count."""
        logits, both = output.logits[learned], target.to(output.logits.dtype)[:, None].expand(-1, 2)
        weights = self.weights(target, counts)
        if not len(target):
            nothing = output.logits.sum() * 0.0
            return {name: (nothing, weights[name]) for name in TERMS}
        entropy = F.binary_cross_entropy_with_logits(logits, both, reduction="none").mean(1)
        p = logits.sigmoid()
        dice = (2 * (p * both).sum() + _EPSILON) / (p.square().sum() + both.square().sum() + _EPSILON)
        log_dice = -dice.clamp(_EPSILON, 1 - _EPSILON).log()
        return {
            "log_dice": (self.options.dice_weight * log_dice * weights["log_dice"], weights["log_dice"]),
            "bce": (self.options.bce_weight * (self._edge_weights(target, counts) * entropy).sum(), weights["bce"]),
        }

    def _edge_weights(self, target: Tensor, counts: Tensor | None) -> Tensor:
        if not self.options.balance:
            return torch.ones(len(target), device=target.device)
        counts = (self.counts(target) if counts is None else counts).float()
        return (counts.sum() / (2 * counts.clamp(min=1)))[target.long()]


def _draw(rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n of the rows: different ones where there are enough."""
    if n <= len(rows):
        chosen = torch.randperm(len(rows), generator=generator)[:n]
    else:
        chosen = torch.randint(len(rows), (n,), generator=generator)
    return rows[chosen.to(rows.device)]
