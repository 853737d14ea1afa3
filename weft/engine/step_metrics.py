"""How a classifier answers while it learns: accuracy, F1 and IoU of the batches of the steps that are logged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from weft.engine.distributed import sum_over_ranks
from weft.engine.task import Batch, Task
from weft.metrics import segmentation as metrics


class StepMetrics:
    """Counts of true and called classes of one step, over its micro-batches and ranks.

    These are answers of the network as it learns, with dropout and with the statistics of its batch, to samples as they
    are drawn; those of validation are of whole events.
    """

    def __init__(self, task: Task[Any]) -> None:
        self.task = task
        self._counts: Tensor | None = None

    def clear(self) -> None:
        """Begin another step."""
        self._counts = None

    def add(self, output: Any, batch: Batch) -> None:
        """What the network makes of a micro-batch; nothing for a task that does not sort into classes."""
        with torch.no_grad():
            answers = self.task.answers(output, batch)
            if answers is None:
                return
            scores, true = answers
            k = scores.shape[1]
            labelled = true >= 0
            flat = true[labelled].long() * k + scores[labelled].argmax(1)
            counts = torch.bincount(flat, minlength=k * k).reshape(k, k)
            self._counts = counts if self._counts is None else self._counts + counts

    def values(self) -> dict[str, float]:
        """``accuracy``, ``mean_f1`` and ``mean_iou``, NaN without a label; empty where nothing was added.

        All ranks call it.
        """
        if self._counts is None:
            return {}
        counts = sum_over_ranks(self._counts).cpu().numpy()
        made = {
            "accuracy": metrics.accuracy(counts),
            "mean_f1": metrics.macro_f1(counts),
            "mean_iou": metrics.mean_iou(counts),
        }
        return {name: float(value) for name, value in made.items()}
