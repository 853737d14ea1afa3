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
from weft.engine.memory import PredictedEvents
from weft.engine.randomness import torch_seed
from weft.engine.task import Batch, LossTerms, Products, Task
from weft.errors import WeftError
from weft.metrics.scores import concat


class Trainee(LightningModule):
    """Loss, optimiser and validation of one network. ``last_terms`` and ``last_metrics`` are for the logs."""

    def __init__(
        self, task: Task[Any], network: nn.Module, stage: Stage, seed: int, steps: int, validation: Corpus
    ) -> None:
        super().__init__()
        self.task, self.network, self.stage = task, network, stage
        self.seed, self.steps, self.validation = seed, steps, validation
        self.last_terms: dict[str, Tensor] = {}
        self.last_metrics: dict[str, float] = {}
        self.validation_counts: Tensor | None = None
        self._validated: dict[int, list[Products]] = {}
        self._validation_terms: dict[str, list[float]] = {}

    # --- training -----------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(torch_seed(self.seed, self.trainer.global_step, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        counts = self.task.counts(batch)
        if counts is not None and _distributed():
            torch.distributed.all_reduce(counts)
        terms = self.task.loss(self.network(batch), batch, counts)
        means = {name: self._mean(total, weight) for name, (total, weight) in terms.items()}
        loss = torch.stack(list(means.values())).sum()
        if not torch.isfinite(loss):
            named = ", ".join(f"{name} {float(mean.detach())}" for name, mean in means.items())
            raise WeftError(
                f"the loss is not finite at step {self.trainer.global_step + 1}: {named}; events (file, index) "
                f"{batch.events}; a lower optimizer.lr or training.clip_norm may help"
            )
        self.last_terms = {name: mean.detach() for name, mean in means.items()}
        return loss

    def _mean(self, total: Tensor, weight: Tensor | float) -> Tensor:
        """``total / weight`` with the weight of all ranks, times the ranks over which gradients are averaged."""
        weight = torch.as_tensor(weight, dtype=total.dtype, device=total.device).detach().clone()
        ranks = 1
        if _distributed():
            torch.distributed.all_reduce(weight)
            ranks = torch.distributed.get_world_size()
        # A batch without a single label has weight 0 and sum 0: it teaches nothing, and must not make NaNs.
        return total * ranks / weight.clamp(min=torch.finfo(total.dtype).tiny)

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


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
