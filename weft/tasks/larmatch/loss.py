"""The loss of LArMatch (specs/larmatch.md §5.3): terms as sums and weights.

Weights are made event by event, so that an event weighs the same however many triplets it has and whatever else is in
the batch; batches, micro-batches and ranks then add up exactly. They depend on the labels alone, those of hard examples
in sum too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.wire_products import GOOD_TRIPLET, UNKNOWN_TRIPLET
from weft.tasks.larmatch.batch import TripletBatch
from weft.tasks.larmatch.hard_examples import choose_hard
from weft.tasks.larmatch.loss_options import TERMS, LossOptions, TermName

Term = tuple[Tensor, Tensor]
_KINDS = len(KEY_POINT_KINDS)


class LarmatchLoss:
    """Terms of the loss by name, those of the heads that the network has.

    heads: names out of :data:`weft.tasks.larmatch.loss_options.TERMS`. The targets of a batch are the fields of
    :class:`weft.triplets.labels.TripletLabels`; of triplets of unknown truth nothing is learned.

    A mean is taken over what weighs 1 in all: an event (larmatch), an event and a kind (key_points, whose term is the
    sum of the means of the six kinds; shift, over the kinds that an event has), an event with labels (semantics,
    affinity).
    """

    def __init__(self, options: LossOptions, heads: Sequence[TermName] = TERMS) -> None:
        self.options, self.heads = options, tuple(heads)

    def weights(self, batch: TripletBatch) -> dict[str, Tensor]:
        """The weight of each term, from the targets alone."""
        return {head: _total(head, self._each(head, batch)) for head in self.heads}

    def __call__(self, output: Mapping[str, Any], batch: TripletBatch) -> dict[str, Term]:
        """{term: (sum, weight)}, scalars; no gradient in weights.

        output: `larmatch` [T] logits, `key_points` [T, 6] scores (not logits), `semantics` [T, K] logits,
            `affinity` [T, 3], `shift` [T, 6, 3] cm; with `options.uncertainty` also `log_variance` {term: scalar}.
            Hard examples are looked for where `larmatch` has a gradient: a validation is of all triplets alike.
        """
        terms: dict[str, Term] = {}
        for head in self.heads:
            each = self._each(head, batch)
            weight = _total(head, each)
            if head == "larmatch":
                each = self._with_hard_examples(each, output["larmatch"], batch)
            total = getattr(self.options, head).weight * (each * self._errors(head, output[head], batch)).sum()
            if self.options.uncertainty is not None:
                log_variance = output["log_variance"][head]
                total = total * (-log_variance).exp() + log_variance * weight
            terms[head] = total, weight
        return terms

    # --- how much each triplet weighs ---------------------------------------------------------------------

    def _each(self, head: TermName, batch: TripletBatch) -> Tensor:
        """float32 [T], of key points and shifts [T, 6]: 0 where there is no label."""
        targets, event = batch.targets, _events(batch)
        if head == "larmatch":
            good = targets["good"].long()
            return _shared(event, good == GOOD_TRIPLET, good != UNKNOWN_TRIPLET, self.options.larmatch.balance)
        kind = event[:, None] * _KINDS + torch.arange(_KINDS, device=event.device)
        if head == "key_points":
            known = (targets["good"] == GOOD_TRIPLET)[:, None] & targets["key_points"].isfinite()
            near = targets["key_points"] > self.options.key_points.positive
            return _shared(kind, near, known, self.options.key_points.balance)
        if head == "shift":
            return 1 / _number(kind, targets["shift"].isfinite().all(2))
        if head == "affinity":
            return 1 / _number(event, targets["affinity"].isfinite().all(1))
        return self._semantic_weights(batch, event)

    def _semantic_weights(self, batch: TripletBatch, event: Tensor) -> Tensor:
        """n_c^-balance times the topology weight, 1 in all of an event."""
        labels = batch.targets["semantic"].long()
        known = labels >= 0
        classes = int(labels.max()) + 1 if known.any() else 1
        number = _number(event * classes + labels.clamp(min=0), known)
        each = number**-self.options.semantics.balance * batch.targets["boundary"].where(known, 0.0)
        # Sums of runs of rows: adding up by index has no fixed order on a GPU.
        sums = torch.stack([part.sum() for part in each.split(batch.triplet_offsets.diff().tolist())])
        return each / sums.where(sums > 0, 1.0)[event]

    def _with_hard_examples(self, each: Tensor, logits: Tensor, batch: TripletBatch) -> Tensor:
        """The weights again, a part of them on hard examples; by event and truth they keep their sum."""
        hard = self.options.larmatch.hard
        if hard is None or not logits.requires_grad:
            return each
        good = batch.targets["good"].long()
        group = torch.where(good != UNKNOWN_TRIPLET, 2 * _events(batch) + (good == GOOD_TRIPLET), -1)
        chosen, number = choose_hard(_mistake(logits, good).detach(), group, hard.share, hard.temperature)
        return each * (1 - hard.share + hard.share * chosen * number)

    # --- how wrong each triplet is ------------------------------------------------------------------------

    def _errors(self, head: TermName, answer: Tensor, batch: TripletBatch) -> Tensor:
        """Of the shape of :meth:`_each`; finite where there is no label too."""
        targets = batch.targets
        if head == "larmatch":
            return self._larmatch(answer, targets["good"].long())
        if head == "key_points":
            return (answer - targets["key_points"].nan_to_num()).square()
        if head == "semantics":
            return self._semantics(answer, targets["semantic"].long())
        if head == "affinity":
            along = targets["affinity"].nan_to_num()
            if self.options.affinity.form == "axis":
                return 1 - F.cosine_similarity(answer, along.to(answer), dim=1).square()
            return (answer - along).square().sum(1)
        square = ((answer - targets["shift"].nan_to_num()) / self.options.shift.unit).square().sum(2)
        return torch.where(square < 1, square / 2, square.clamp(min=1).sqrt() - 0.5)  # Huber loss of the distance

    def _larmatch(self, logits: Tensor, good: Tensor) -> Tensor:
        options = self.options.larmatch
        mistake = _mistake(logits, good)
        if options.form == "mse":
            return mistake.square()
        entropy = F.binary_cross_entropy_with_logits(logits, (good == GOOD_TRIPLET).to(logits), reduction="none")
        return entropy if options.form == "bce" else _modulated(entropy, mistake, options.gamma)

    def _semantics(self, logits: Tensor, labels: Tensor) -> Tensor:
        if len(labels) and int(labels.max()) >= logits.shape[1]:
            raise WeftError(f"semantic label {int(labels.max())}: expected a class in 0..{logits.shape[1] - 1}")
        entropy = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
        gamma = self.options.semantics.gamma
        return _modulated(entropy, -torch.expm1(-entropy), gamma) if gamma else entropy


def _mistake(logits: Tensor, good: Tensor) -> Tensor:
    """|p − y|, exact also where it is very small."""
    return torch.sigmoid(torch.where(good == GOOD_TRIPLET, -logits, logits))


def _modulated(entropy: Tensor, mistake: Tensor, gamma: float) -> Tensor:
    """Focal loss (arXiv:1708.02002): mistake^gamma · entropy."""
    # Below 1 the power has an infinite slope at 0, which times the slope 0 of what is certain would be NaN.
    return mistake.clamp(min=torch.finfo(mistake.dtype).eps) ** gamma * entropy


def _events(batch: TripletBatch) -> Tensor:
    """int64 [T]: the event of each triplet."""
    offsets = batch.triplet_offsets
    events = torch.arange(len(offsets) - 1, device=offsets.device)
    return events.repeat_interleave(offsets.diff(), output_size=len(batch.triplets))


def _shared(group: Tensor, positive: Tensor, known: Tensor, balance: bool) -> Tensor:
    """Weights that are 1 in all of a group; with `balance` ½ of its positives and ½ of the others."""
    if balance:
        return 0.5 / _number(2 * group + positive, known)
    return 1 / _number(group, known)


def _number(group: Tensor, known: Tensor) -> Tensor:
    """float32, like group: how many known members the group of each has; infinite where it is not known itself."""
    counts = torch.bincount(group[known], minlength=1)
    return counts[group.where(known, 0)].float().where(known, torch.inf)


def _total(head: TermName, each: Tensor) -> Tensor:
    return each.sum() / (_KINDS if head == "key_points" else 1)
