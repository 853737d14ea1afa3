"""What point proposals are judged by in training, in both forms (spec §1.3).

Every scale: the scores of each scale over all voxels of a step; class, position and end over the voxels near a label
point. Three scales: each term is the mean over an event, then over the events with label points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from weft.io.products import TRACK
from weft.tasks.points.network import Proposals
from weft.tasks.points.options import CLASSES, LossOptions

Terms = dict[str, tuple[Tensor, Tensor]]
Targets = Mapping[str, Tensor]
"""of a batch, see :meth:`weft.tasks.points.task.Points.collate`"""


def semantic_term(output: Proposals, targets: Targets, factor: float) -> Terms:
    """Cross-entropy over the voxels with a class; nothing where there is no head or no ``factor``."""
    if output.semantic is None or not factor:
        return {}
    labels = targets["semantics"].long()
    total = F.cross_entropy(output.semantic, labels, ignore_index=-1, reduction="sum")
    return {"semantic": (factor * total, (labels >= 0).sum().to(total.dtype))}


class EveryScaleLoss:
    """The loss of SPINE's form.

    Cross-entropy of the scores at every scale, whose mean is taken over scales; at positive voxels cross-entropy of the
    class, mean square of the three coordinates, and cross-entropy of the end where the nearest point is a track's.
    """

    def __init__(self, options: LossOptions, scales: int, ends: bool) -> None:
        self.options, self.scales, self.ends = options, scales, ends

    def counts(self, targets: Targets) -> Tensor:
        """int64 [2 · scales + 5]: empty and positive voxels of every scale, coarsest first; label points by class."""
        masks = [torch.bincount(mask.long(), minlength=2) for mask in self._masks(targets)]
        return torch.cat([*masks, torch.bincount(targets["point_class"].long(), minlength=CLASSES)])

    def weights(self, targets: Targets, counts: Tensor | None) -> dict[str, Tensor]:
        """The weights of the terms, which do not depend on the output."""
        mask_weights, class_weights = self._balanced(targets, counts)
        near, nearest = _nearest(targets)
        classes = targets["point_class"].long()[nearest]
        weights = {
            f"mask_{scale}": weight[mask.long()].sum()
            for scale, (mask, weight) in enumerate(zip(self._masks(targets), mask_weights, strict=True))
        }
        weights["class"] = class_weights[classes].sum()
        weights["position"] = near.sum().float()
        if self.ends:
            weights["end"] = (classes == TRACK).sum().float()
        return weights

    def __call__(self, output: Proposals, targets: Targets, counts: Tensor | None = None) -> Terms:
        options = self.options
        mask_weights, class_weights = self._balanced(targets, counts)
        terms: Terms = {}
        scores = [*output.coarse, output.score]
        for scale, (mask, weight) in enumerate(zip(self._masks(targets), mask_weights, strict=True)):
            each = weight[mask.long()]
            total = (each * F.cross_entropy(scores[scale], mask.long(), reduction="none")).sum()
            terms[f"mask_{scale}"] = (options.mask_weight / self.scales * total, each.sum())
        near, nearest = _nearest(targets)
        classes = targets["point_class"].long()[nearest]
        each = class_weights[classes]
        total = (each * F.cross_entropy(output.classes[near], classes, reduction="none")).sum()
        terms["class"] = (options.class_weight * total, each.sum())
        error = output.offset[near] + targets["centres"][near] - targets["points"][nearest]
        terms["position"] = (options.position_weight / 3 * error.square().sum(), near.sum().to(error.dtype))
        if output.end is not None:
            track = classes == TRACK
            end = targets["point_end"].long()[nearest][track]
            total = F.cross_entropy(output.end[near][track], end, reduction="sum")
            terms["end"] = (options.end_weight * total, track.sum().to(total.dtype))
        return terms

    def _masks(self, targets: Targets) -> list[Tensor]:
        """Positive voxels of every scale, the coarsest first."""
        coarse = [targets[f"mask_{level}"] for level in range(self.scales - 1, 0, -1)]
        return [*coarse, targets["nearest"] >= 0]

    def _balanced(self, targets: Targets, counts: Tensor | None) -> tuple[list[Tensor], Tensor]:
        counts = self.counts(targets) if counts is None else counts
        *masks, classes = counts.split([2] * self.scales + [CLASSES])
        return [_balanced(mask, self.options.balance_mask) for mask in masks], _balanced(
            classes, self.options.balance_class
        )


class ThreeScalesLoss:
    """The loss of 2020.

    Cross-entropy of the scores at each scale among what the scale before let through, empty voxels weighing as much as
    the share of positives, and these the rest; at positive voxels the distance from the predicted position to the
    nearest label point, and cross-entropy of its class.
    """

    def __init__(self, options: LossOptions) -> None:
        self.options = options

    def weights(self, targets: Targets, counts: Tensor | None = None) -> dict[str, Tensor]:
        """Of every term, the number of events with label points."""
        events = torch.bincount(targets["point_event"].long()).count_nonzero().float()
        return dict.fromkeys(("mask_0", "mask_1", "mask_2", "class", "position"), events)

    def __call__(self, output: Proposals, targets: Targets, counts: Tensor | None = None) -> Terms:
        options = self.options
        factors = {"mask_0": options.mask_weight * options.ppn1_weight, "class": options.class_weight}
        factors |= {"mask_1": options.mask_weight, "mask_2": options.mask_weight, "position": options.position_weight}
        scores, kept = [*output.coarse, output.score], [*output.coarse_kept, output.kept]
        # Each begins with nothing of its own output, so that a batch without label points can be learned from too.
        outputs = dict(zip(("mask_0", "mask_1", "mask_2"), scores, strict=True))
        outputs |= {"class": output.classes, "position": output.offset}
        sums = {name: values.sum() * 0 for name, values in outputs.items()}
        masks = [targets["mask_1"], targets["mask_2"], targets["nearest"] >= 0]
        rows = [targets["rows_1"], targets["rows_2"], targets["rows_0"]]
        for event, labels in _events(targets):
            for scale in range(3):
                part = slice(*rows[scale][event : event + 2].tolist())
                inside = kept[scale][part]
                sums[f"mask_{scale}"] = sums[f"mask_{scale}"] + _share_weighted(
                    scores[scale][part][inside], masks[scale][part][inside]
                )
            near = kept[2][part] & masks[2][part]
            if near.any():
                predicted = output.offset[part][near] + targets["centres"][part][near]
                distance, closest = torch.cdist(predicted, targets["points"][labels]).min(1)
                classes = targets["point_class"][labels].long()[closest]
                sums["position"] = sums["position"] + distance.mean()
                sums["class"] = sums["class"] + F.cross_entropy(output.classes[part][near], classes)
        weights = self.weights(targets)
        return {name: (factors[name] * total, weights[name]) for name, total in sums.items()}


def _events(targets: Targets) -> Iterator[tuple[int, slice]]:
    """Events with label points, and the rows of these; label points lie event by event."""
    counts = torch.bincount(targets["point_event"].long())
    edges: Sequence[int] = [0, *counts.cumsum(0).tolist()]
    return ((event, slice(a, b)) for event, (a, b) in enumerate(pairwise(edges)) if b > a)


def _share_weighted(scores: Tensor, positive: Tensor) -> Tensor:
    """Weighted mean cross-entropy, (w, 1 − w) for (empty, point) with w the share of positives; 0 without any."""
    share = positive.float().mean() if len(positive) else scores.new_zeros(())
    if not 0 < share < 1:  # all weights are 0, or those of all that occur
        return scores.sum() * 0
    return F.cross_entropy(scores, positive.long(), weight=torch.stack([share, 1 - share]))


def _nearest(targets: Targets) -> tuple[Tensor, Tensor]:
    """bool [N] positive voxels, and the label point of each of them."""
    near = targets["nearest"] >= 0
    return near, targets["nearest"][near].long()


def _balanced(counts: Tensor, power: float) -> Tensor:
    """float32: (N / (kinds · max(n, 1)))^power of each kind."""
    counts = counts.float()
    return (counts.sum() / (len(counts) * counts.clamp(min=1))) ** power
