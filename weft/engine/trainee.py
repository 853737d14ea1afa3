"""A task and its network as Lightning sees them."""

from __future__ import annotations

from collections import defaultdict
from inspect import signature
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from weft.config.experiment import Stage
from weft.engine.corpus import Corpus
from weft.engine.distributed import sum_over_ranks, world_size
from weft.engine.memory import PredictedEvents
from weft.engine.randomness import torch_seed
from weft.engine.task import Batch, LossTerms, Products, Task
from weft.errors import WeftError
from weft.metrics.scores import concat


class Trainee(LightningModule):
    """Loss, optimiser and validation of one network. ``step_terms`` and ``last_metrics`` are for the logs."""

    def __init__(
        self, task: Task[Any], network: nn.Module, stage: Stage, seed: int, steps: int, validation: Corpus
    ) -> None:
        super().__init__()
        self.task, self.network, self.stage = task, network, stage
        self.seed, self.steps, self.validation = seed, steps, validation
        self._terms: dict[str, Tensor] = {}
        self.last_metrics: dict[str, float] = {}
        self.validation_counts: Tensor | None = None
        self._validated: dict[int, list[Products]] = {}
        self._validation_terms: dict[str, list[float]] = {}

    # --- training -----------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(torch_seed(self.seed, batch_idx, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """What the micro-batch of this rank adds to the loss of its step."""
        accumulate = self.stage.training.accumulate
        counts = batch.counts
        if accumulate == 1 and (counts := self.task.counts(batch)) is not None:
            counts = sum_over_ranks(counts)
        terms = self.task.loss(self.network(batch), batch, counts)
        weights = batch.weights if accumulate > 1 else _weights_over_ranks(terms)
        means = {name: total / _positive(weights[name], total) for name, (total, _) in terms.items()}
        loss = torch.stack(list(means.values())).sum()
        if not torch.isfinite(loss):
            named = ", ".join(f"{name} {float(mean.detach())}" for name, mean in means.items())
            raise WeftError(
                f"the loss is not finite at step {self.trainer.global_step + 1}: {named}; events (file, index) "
                f"{batch.events}; a lower optimizer.lr or training.clip_norm may help"
            )
        if batch_idx % accumulate == 0:
            self._terms = {}
        for name, mean in means.items():
            self._terms[name] = self._terms.get(name, 0.0) + mean.detach()
        # The loop divides by the micro-batches of a step, gradients are averaged over ranks: both are undone here.
        parts = accumulate * world_size()
        return loss if parts == 1 else loss * parts

    def ends_step(self, batch_idx: int) -> bool:
        """Whether micro-batch ``batch_idx`` of the run is the last of its step."""
        return (batch_idx + 1) % self.stage.training.accumulate == 0

    def step_terms(self) -> dict[str, float]:
        """Terms of the loss of the last step, over all its micro-batches and ranks. All ranks call it."""
        values = sum_over_ranks(torch.stack([term.double() for term in self._terms.values()]))
        return dict(zip(self._terms, values.tolist(), strict=True))

    def configure_optimizers(self) -> Any:
        chosen = self.stage.optimizer
        kinds = {name: kind for name, kind in vars(torch.optim).items() if isinstance(kind, type)}
        kinds.pop("Optimizer")
        if chosen.name not in kinds:
            raise WeftError(f"optimizer.name: torch.optim has no optimiser '{chosen.name}'; it has: {', '.join(kinds)}")
        kind = kinds[chosen.name]
        fused = {}
        if "fused" in signature(kind).parameters and self.stage.training.precision != "16-mixed":
            fused = {"fused": True}  # one pass over all weights, a third of the time; not with a gradient scaler
        try:
            optimizer: torch.optim.Optimizer = kind(
                [parameter for parameter in self.network.parameters() if parameter.requires_grad],
                lr=chosen.lr,
                weight_decay=chosen.weight_decay,
                **(fused | chosen.options),
            )
        except TypeError as error:
            raise WeftError(f"optimizer.options: {chosen.name}: {error}") from None
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Learning rate of an optimiser step as a share of the peak."""
        schedule = self.stage.schedule
        if step < schedule.warmup:
            return (step + 1) / schedule.warmup
        if schedule.name == "constant":
            return 1.0
        done = min(1.0, (step - schedule.warmup) / max(1, self.steps - schedule.warmup))
        half_cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * done, dtype=torch.float64)).item())
        return schedule.floor + (1 - schedule.floor) * half_cosine

    # --- validation ---------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self._validated = defaultdict(list)
        self._validation_terms = defaultdict(lambda: [0.0, 0.0])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        terms, predictions = self.task.validate(self.network, batch, self.validation_counts)
        self._add(terms)
        for (file, _), products in zip(batch.events, predictions, strict=True):
            self._validated[file].append(products)

    def _add(self, terms: LossTerms) -> None:
        for name, (total, weight) in terms.items():
            pooled = self._validation_terms[name]
            pooled[0] += float(total)
            pooled[1] += float(weight)

    def on_validation_epoch_end(self) -> None:
        scores = [
            self.task.score(PredictedEvents(self.validation.store(file), predictions), "val", str(file))
            for file, predictions in sorted(self._validated.items())
        ]
        losses = {name: total / weight if weight else 0.0 for name, (total, weight) in self._validation_terms.items()}
        metrics = self.task.summary(concat(scores).events)
        self.last_metrics = {"loss": sum(losses.values())} | losses | metrics
        self._validated = {}


def _weights_over_ranks(terms: LossTerms) -> dict[str, Tensor]:
    """The weight of each term, summed over ranks."""
    first = next(iter(terms.values()))[0]
    weights = [torch.as_tensor(weight, dtype=first.dtype, device=first.device) for _, weight in terms.values()]
    return dict(zip(terms, sum_over_ranks(torch.stack(weights).detach()), strict=True))


def _positive(weight: Tensor, total: Tensor) -> Tensor:
    # A step without a single label has weight 0 and sum 0: it teaches nothing, and must not make NaNs.
    return weight.to(total).clamp(min=torch.finfo(total.dtype).tiny)
