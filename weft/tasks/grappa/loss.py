"""Losses of the heads as sums and weights, so that ragged micro-batches average rightly (spec §1.7, §1.8).

Targets say by −1, or NaN, what has no label. Class balance gives class c the weight N/(classes·n_c), N and n_c being
counted over the whole step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weft.errors import WeftError
from weft.graph.grouping import group_by_score, spanning_forest
from weft.tasks.grappa.batch import GraphBatch
from weft.tasks.grappa.network import OUTPUTS
from weft.tasks.grappa.options import LossOptions, ModelOptions

Term = tuple[Tensor, Tensor]

#: Share of the largest residual from which the reverse Huber loss is quadratic.
BERHU = 0.2
_CLASSES = ("edge", "primary", "pid", "orientation")


class GrappaLoss:
    """Terms of the loss by name: those of the heads there are, and `begins` with the vertex."""

    def __init__(self, model: ModelOptions, loss: LossOptions) -> None:
        self.model, self.loss = model, loss

    @property
    def _balanced(self) -> list[str]:
        wanted = {"edge": self.loss.edge.balance, "primary": self.loss.primary.balance, "pid": self.loss.pid.balance}
        return [head for head in self.model.heads if wanted.get(head)]

    def counts(self, batch: GraphBatch) -> Tensor | None:
        """int64: labels of each class, for each head with class balance in turn; None without one."""
        counts = [self._count(head, batch) for head in self._balanced]
        return torch.cat(counts) if counts else None

    def weights(self, batch: GraphBatch, counts: Tensor | None) -> dict[str, Tensor]:
        """The weight of each term, from the targets alone."""
        if self._needs_output:
            raise WeftError(
                "loss.primary.predicted_groups: which nodes are judged depends on the output, so the weight of the "
                "term is not known before it; use training.accumulate: 1"
            )
        balance = self._balance(counts if counts is not None else self.counts(batch))
        weights: dict[str, Tensor] = {}
        for head in self.model.heads:
            if head in _CLASSES:
                counted = self._count(head, batch).float()
                weights[head] = (counted * balance[head]).sum() if head in balance else counted.sum()
            elif head == "momentum":
                weights[head] = batch.targets["momentum"].isfinite().sum().float()
            else:
                weights["begins"] = (batch.targets["begins"] >= 0).sum().float()
                weights["vertex"] = batch.targets["vertex"].isfinite().all(1).sum().float()
        return weights

    def __call__(
        self, output: Mapping[str, Tensor], batch: GraphBatch, counts: Tensor | None = None
    ) -> dict[str, Term]:
        """{term: (sum, weight)}; output: logits or values by head."""
        balance = self._balance(counts if counts is not None else self.counts(batch))
        terms: dict[str, Term] = {}
        for head in self.model.heads:
            answer = output[head]
            if head in _CLASSES:
                target = batch.targets[head]
                if head == "edge" and self.loss.edge.target == "forest":
                    target = self._forest(answer, batch)
                if head == "primary" and self._needs_output:
                    target = self._in_pure_predicted_groups(output["edge"], target, batch)
                factor = getattr(self.loss, head).weight
                terms[head] = _cross_entropy(answer, target, balance.get(head), factor)
            elif head == "momentum":
                truth = batch.targets["momentum"]
                known = truth.isfinite()
                residual = answer[known, 0] - truth[known] / self.model.momentum_unit
                terms[head] = self.loss.momentum.weight * berhu(residual).sum(), known.sum().to(residual)
            else:
                factor = self.loss.vertex.weight / 2
                terms["begins"] = _cross_entropy(answer[:, :2], batch.targets["begins"], None, factor)
                terms["vertex"] = self._vertex(answer[:, 2:], batch, factor)
        return terms

    def _vertex(self, answer: Tensor, batch: GraphBatch, factor: float) -> Term:
        unit = vertex_unit(batch, self.model).to(answer)
        truth = batch.targets["vertex"] / unit
        known = truth.isfinite().all(1)
        answer = vertex_position(answer, batch, self.model, unit)
        square = (answer[known] - truth[known]).square().sum()
        return factor * square, known.sum().to(square)

    @property
    def _needs_output(self) -> bool:
        primary = self.loss.primary
        return "primary" in self.model.heads and primary.high_purity and primary.predicted_groups

    def _count(self, head: str, batch: GraphBatch) -> Tensor:
        """int64 [classes]: labels of each class."""
        if head == "edge":
            return batch.targets["edge_counts"]
        target = batch.targets[head]
        return torch.bincount(target[target >= 0], minlength=OUTPUTS[head])  # type: ignore[index]

    def _balance(self, counts: Tensor | None) -> dict[str, Tensor]:
        """Weight of each class, float32; 0 for one of which there is nothing."""
        if counts is None:
            return {}
        parts = counts.split([OUTPUTS[head] for head in self._balanced])  # type: ignore[index]
        balance = {}
        for head, part in zip(self._balanced, parts, strict=True):
            number = part.float()
            balance[head] = torch.where(number > 0, number.sum() / (len(number) * number.clamp(min=1)), 0.0)
        return balance

    def _forest(self, logits: Tensor, batch: GraphBatch) -> Tensor:
        """Targets of the forest loss: the tree of each true group that the network likes best."""
        scores = on_probability(logits)
        group = batch.targets["group"].cpu().numpy()
        edges, static = batch.edge_index.cpu().numpy().T, batch.targets["edge"].cpu().numpy()
        target = np.full(len(edges), -1, np.int64)
        for nodes, rows in batch.slices():
            label, judged = spanning_forest(edges[rows] - nodes.start, scores[rows], group[nodes])
            target[rows] = np.where(judged & (static[rows] >= 0), label, -1)
        return torch.from_numpy(target).to(logits.device)

    def _in_pure_predicted_groups(self, logits: Tensor, target: Tensor, batch: GraphBatch) -> Tensor:
        """Labels of the nodes whose predicted group has exactly one true primary."""
        scores, edges = on_probability(logits), batch.edge_index.cpu().numpy().T
        primary = target.cpu().numpy() == 1
        kept = np.zeros(len(primary), bool)
        for nodes, rows in batch.slices():
            group = group_by_score(edges[rows] - nodes.start, scores[rows], nodes.stop - nodes.start)
            number = np.bincount(group, primary[nodes], minlength=len(group) + 1)
            kept[nodes] = number[group] == 1
        return torch.where(torch.from_numpy(kept).to(target.device), target, -1)


def berhu(residual: Tensor) -> Tensor:
    """Reverse Huber loss of residuals [k]: |r| up to c = 0.2·max|r|, (r² + c²)/2c above (Owen 2007)."""
    size = residual.abs()
    c = BERHU * size.detach().amax().clamp(min=torch.finfo(size.dtype).tiny) if len(size) else size.new_ones(())
    return torch.where(size <= c, size, (size.square() + c.square()) / (2 * c))


def vertex_unit(batch: GraphBatch, model: ModelOptions) -> Tensor:
    """float64 [n, 3]: voxels that one unit of the vertex head counts."""
    if not model.vertex_normalise:
        return torch.ones_like(batch.start, dtype=torch.float64)
    extent = batch.box[:, 0]
    return extent.repeat_interleave(batch.node_offsets.diff(), dim=0)


def vertex_position(answer: Tensor, batch: GraphBatch, model: ModelOptions, unit: Tensor) -> Tensor:
    """[n, 3], in `unit` [n, 3]: the position that the vertex head means by its answer [n, 3]."""
    if model.vertex_anchor == "origin":
        return answer
    start, end = batch.start / unit, batch.end / unit
    if model.vertex_anchor == "start":
        return answer + start
    nearer_end = (answer - end).norm(dim=1) < (answer - start).norm(dim=1)
    return answer + torch.where(nearer_end[:, None], end, start)


def on_probability(logits: Tensor) -> np.ndarray:
    """float64 [E]: probability that each edge is on."""
    return logits.detach().double().softmax(1)[:, 1].cpu().numpy()


def _cross_entropy(logits: Tensor, target: Tensor, balance: Tensor | None, factor: float) -> Term:
    loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="none")
    weight = (target >= 0).to(loss)
    if balance is not None:
        weight = weight * balance.to(loss)[target.clamp(min=0)]
    return factor * (weight * loss).sum(), weight.sum()
