"""Several micro-batches as one step, with the loss of one batch.

The loss of a step is Σ sum / Σ weight over all its micro-batches and ranks, term by term, and weights that depend on
counts (class balance) depend on those of the whole step. So both are added up before the first forward pass, from the
targets alone. Averaging the means of micro-batches instead would weigh a voxel of a small one more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from weft.engine.distributed import sum_over_ranks
from weft.engine.task import Batch, Task
from weft.errors import WeftError


class Steps:
    """A loader's micro-batches, ``accumulate`` at a time with the totals of their step, given one by one.

    Raises WeftError for a task that cannot tell weights before the forward pass (:meth:`Task.not_accumulated`).
    """

    def __init__(self, loader: Iterable[Batch], task: Task[Any], accumulate: int) -> None:
        reason = task.not_accumulated()
        if reason is not None:
            raise WeftError(f"training.accumulate: {reason}")
        self.loader, self.task, self.accumulate = loader, task, accumulate

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.loader)
        while step := list(islice(batches, self.accumulate)):
            counts, weights = totals(self.task, step)
            for batch in step:
                yield replace(batch, counts=counts, weights=weights)


def totals(task: Task[Any], batches: Sequence[Batch]) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Counts, and weights by term, of the micro-batches of a step over all ranks; two small sums over ranks."""
    own = [task.counts(batch) for batch in batches]
    counts = None if own[0] is None else sum_over_ranks(torch.stack(own).sum(0))  # type: ignore[arg-type]
    each = [task.weights(batch, counts) for batch in batches]
    table = torch.tensor([[float(weight) for weight in weights.values()] for weights in each], dtype=torch.float64)
    return counts, dict(zip(each[0], sum_over_ranks(table.sum(0)), strict=True))
