"""A task and its network as Lightning sees them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from lightning import LightningModule
from torch import Tensor, nn

from weft.config.experiment import Stage
from weft.engine.averaging import Averaging
from weft.engine.corpus import TrainingCorpus
from weft.engine.determinism import seed_generators
from weft.engine.distributed import gather, sum_over_ranks, world_size
from weft.engine.memory import PredictedEvents
from weft.engine.optimizers import build_optimizer
from weft.engine.precision import loss_terms
from weft.engine.randomness import torch_seed
from weft.engine.starting import keep_frozen
from weft.engine.step_metrics import StepMetrics
from weft.engine.task import Batch, LossTerms, Products, Task
from weft.metrics.scores import concat


class Trainee(LightningModule):
    """Loss, optimiser and validation of one network.

    ``step_terms``, ``learning_rate``, ``gradient_norm`` (L2, of the last step, before clipping), ``last_metrics`` and
    ``last_events`` (counts of the held-out events of a training with ``hold_out``, by column) are for the logs;
    ``batch_terms`` are what the last micro-batch of this rank added to the terms of the loss.
    """

    def __init__(
        self,
        task: Task[Any],
        network: nn.Module,
        stage: Stage,
        seed: int,
        steps: int,
        validation: TrainingCorpus | None,
        frozen: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.frozen = tuple(frozen)
        self.task, self.network, self.stage = task, network, stage
        self.settings = stage.require_training()
        self.seed, self.steps, self.validation = seed, steps, validation
        self._terms: dict[str, Tensor] = {}
        self._answers = StepMetrics(task)
        self.batch_terms: dict[str, Tensor] = {}
        self.gradient_norm = torch.tensor(0.0)
        self.last_metrics: dict[str, float] = {}
        self.last_events: dict[str, list[Any]] = {}
        self.validation_counts: Tensor | None = None
        ema = self.settings.ema
        self.averaging = None if ema is None else Averaging(network, ema)
        self.learning_rate = 0.0
        self._validated: dict[int, tuple[list[int], list[Products]]] = {}
        """by file: events, and what is predicted of each"""
        self._validation_terms: dict[str, list[float]] = {}

    # --- training -----------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Trainee:
        super().train(mode)
        keep_frozen(self.frozen)
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        seed_generators(torch_seed(self.seed, batch_idx, self.global_rank))
        if batch_idx % self.settings.accumulate == 0:
            self.trainer.optimizers[0].zero_grad()

    def optimizer_zero_grad(self, *_: Any) -> None:
        """Done before the forward pass, which then has the memory; Lightning would do it after. Saves 2 % of a step."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """What the micro-batch of this rank adds to the loss of its step."""
        accumulate = self.settings.accumulate
        counts = batch.counts
        if accumulate == 1 and (counts := self.task.counts(batch)) is not None:
            counts = sum_over_ranks(counts)
        output = self.network(batch)
        terms = loss_terms(self.task, output, batch, counts)
        weights = batch.weights if accumulate > 1 else _weights_over_ranks(terms)
        means = {name: total / _positive(weights[name], total) for name, (total, _) in terms.items()}
        loss = torch.stack(list(means.values())).sum()
        self.batch_terms = {name: mean.detach() for name, mean in means.items()}
        if batch_idx % accumulate == 0:
            self._terms = {}
            self._answers.clear()
        if self.logs_step(batch_idx):
            self._answers.add(output, batch)
        for name, mean in self.batch_terms.items():
            self._terms[name] = self._terms.get(name, 0.0) + mean
        # The loop divides by the micro-batches of a step, gradients are averaged over ranks: both are undone here.
        parts = accumulate * world_size()
        return loss if parts == 1 else loss * parts

    def ends_step(self, batch_idx: int) -> bool:
        """Whether micro-batch ``batch_idx`` of the run is the last of its step."""
        return (batch_idx + 1) % self.settings.accumulate == 0

    def logs_step(self, batch_idx: int) -> bool:
        """Whether the step of micro-batch ``batch_idx`` of the run is one of those that are logged."""
        step = batch_idx // self.settings.accumulate + 1
        return step % self.settings.log_every == 0 or step == self.steps

    def step_metrics(self) -> dict[str, float]:
        """How the last step answered, if it is logged and the task sorts into classes. All ranks call it."""
        return self._answers.values()

    def step_terms(self) -> dict[str, float]:
        """Terms of the loss of the last step, over all its micro-batches and ranks. All ranks call it."""
        values = sum_over_ranks(torch.stack([term.double() for term in self._terms.values()]))
        return dict(zip(self._terms, values.tolist(), strict=True))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # A gradient scaler cannot be used with the one-pass optimisers. Rates are set by LearningRate.
        fused = self.trainer.precision != "16-mixed"
        return build_optimizer(self.task, self.network, self.stage.optimizer, fused)

    def deployed_state(self) -> dict[str, Tensor]:
        """The state of the network that is validated and that deploy will use: with ``training.ema``, the averages."""
        return self.network.state_dict() if self.averaging is None else self.averaging.deployed_state()

    # --- validation ---------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self._validated = {}
        self._validation_terms = defaultdict(lambda: [0.0, 0.0])
        if self.validation_counts is not None:
            self.validation_counts = self.validation_counts.to(self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        terms, predictions = self.task.validate(self.network, batch, self.validation_counts)
        self._add(terms)
        for (file, index), products in zip(batch.events, predictions, strict=True):
            rows, predicted = self._validated.setdefault(file, ([], []))
            rows.append(index)
            predicted.append(products)

    def _add(self, terms: LossTerms) -> None:
        for name, (total, weight) in terms.items():
            pooled = self._validation_terms[name]
            pooled[0] += float(total)
            pooled[1] += float(weight)

    def on_validation_epoch_end(self) -> None:
        """Score what this rank has validated, and pool it with what the others have, in order."""
        assert self.validation is not None
        corpus = self.validation
        scores = [
            self.task.score(PredictedEvents(corpus.fed(file), predictions, rows=rows), "val", str(file))
            for file, (rows, predictions) in sorted(self._validated.items())
        ]
        parts = gather((dict(self._validation_terms), concat(scores).events))
        losses = {}
        for name in parts[0][0]:
            total, weight = (math.fsum(terms[name][k] for terms, _ in parts) for k in (0, 1))
            losses[name] = total / weight if weight else 0.0
        events = pd.concat([events for _, events in parts], ignore_index=True)
        metrics = self.task.summary(events)
        if self.settings.hold_out is not None:
            self.last_events = {str(name): column.tolist() for name, column in events.items()}
        self.last_metrics = {"loss": sum(losses.values())} | losses | metrics
        self._validated = {}


def _weights_over_ranks(terms: LossTerms) -> dict[str, Tensor]:
    """The weight of each term, summed over ranks."""
    first = next(iter(terms.values()))[0]
    weights = [torch.as_tensor(weight, dtype=first.dtype, device=first.device) for _, weight in terms.values()]
    return dict(zip(terms, sum_over_ranks(torch.stack(weights).detach()), strict=True))


def _positive(weight: Tensor, total: Tensor) -> Tensor:
    # A step without a single label has weight 0 and sum 0: it teaches nothing, and must not make NaNs. By 1, and not by
    # a very small number: the gradient of several terms at what they share would overflow before it meets their 0.
    weight = weight.to(total)
    return weight.where(weight > 0, 1.0)
