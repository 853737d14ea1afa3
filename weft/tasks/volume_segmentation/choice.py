"""Which filter and which threshold segment the training stacks best, from histograms of what the filters answer.

Each stack leaves two histograms for each class and response, of voxels inside and outside of the class, so that any
threshold is judged without a stack being read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.metrics.shares import share
from weft.tasks.volume_segmentation.baseline_options import Threshold
from weft.tasks.volume_segmentation.responses import Response

#: Edges of the bins of responses: those to intensities in [0, 1] lie in here, what does not joins the end bins.
EDGES = np.linspace(-1.0, 1.0, 4097)
_CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
#: Widths of the logistic function that are tried, in units of a response.
_WIDTHS = np.geomspace(1e-3, 1.0, 61)


class Seen(NamedTuple):
    """One response to one training stack, for one class."""

    outside: NDArray[np.int64]
    """judged voxels of other classes, by bin of the response"""
    inside: NDArray[np.int64]
    thresholds: dict[Threshold, float]
    """those that the stack says by itself"""


class Chosen(NamedTuple):
    """How a class is found."""

    response: Response
    threshold: Threshold
    fitted: float | None
    """the threshold, where it is the same for all stacks"""
    width: float
    """of the logistic function that makes a probability of a response less its threshold"""
    dice: float
    """mean over the training stacks"""


def seen(answer: np.ndarray, inside: np.ndarray, judged: np.ndarray, thresholds: dict[Threshold, float]) -> Seen:
    """Histograms of an answer; inside, judged: bool, of the same shape."""
    number = np.clip((answer - EDGES[0]) * (len(_CENTRES) / (EDGES[-1] - EDGES[0])), 0, len(_CENTRES) - 1)
    number = number.astype(np.int16)
    counts = [np.bincount(number[judged & side], minlength=len(_CENTRES)) for side in (~inside, inside)]
    return Seen(counts[0], counts[1], thresholds)


def choose(tried: dict[Response, list[Seen]], kinds: Sequence[Threshold]) -> Chosen:
    """The response and the threshold with the highest mean Dice over the stacks; of equals the first."""
    best: Chosen | None = None
    for response, stacks in tried.items():
        for kind in kinds:
            if kind == "fitted":
                dice = np.mean([_dice(stack) for stack in stacks], axis=0)
                k = int(dice.argmax())
                thresholds, value = [float(EDGES[k])] * len(stacks), float(dice[k])
            else:
                thresholds = [stack.thresholds[kind] for stack in stacks]
                value = float(np.mean([_dice_at(s, t) for s, t in zip(stacks, thresholds, strict=True)]))
            if best is None or value > best.dice:
                fitted = thresholds[0] if kind == "fitted" else None
                best = Chosen(response, kind, fitted, _width(stacks, thresholds), value)
    assert best is not None, "options name at least one filter and threshold"
    return best


def _dice(stack: Seen) -> NDArray[np.float64]:
    """Dice of what lies above each edge but the last; 1 where there is nothing inside and nothing is called so."""
    hits = np.cumsum(stack.inside[::-1])[::-1]
    called = hits + np.cumsum(stack.outside[::-1])[::-1]
    return np.where(called + stack.inside.sum() > 0, np.nan_to_num(share(2 * hits, called + stack.inside.sum())), 1.0)


def _dice_at(stack: Seen, threshold: float) -> float:
    k = int(np.clip(np.searchsorted(EDGES, threshold, side="right"), 0, len(_CENTRES) - 1))
    return float(_dice(stack)[k])


def _width(stacks: Sequence[Seen], thresholds: Sequence[float]) -> float:
    """The width with the highest likelihood of the training voxels, the two sides of each stack weighing the same as
    they occur."""
    loss = np.zeros(len(_WIDTHS))
    for stack, threshold in zip(stacks, thresholds, strict=True):
        logits = (_CENTRES - threshold)[None] / _WIDTHS[:, None]
        loss += np.logaddexp(0, -logits) @ stack.inside + np.logaddexp(0, logits) @ stack.outside
    return float(_WIDTHS[loss.argmin()])
