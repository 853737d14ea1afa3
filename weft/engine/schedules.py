"""The learning rate of every optimiser step.

A schedule is a function of the step and of the length of the run, so a resumed run needs no state to go on with the
very same rates; only a plateau has a state, and it is in the checkpoint. Keys and units: ``weft/config/schedule.py``.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from weft.config import schedule as kinds
from weft.config.schedule import Schedule
from weft.config.training import Training
from weft.engine.ranking import is_progress
from weft.engine.trainee import Trainee


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """Learning rate of step 0, 1, ... of a run of ``steps`` optimiser steps, as a share of the peak.

    Of a plateau it is the warm-up only: the rest depends on the validations (:class:`Plateau`).
    """
    if isinstance(schedule, kinds.OneCycleSchedule):
        return _one_cycle(schedule, step, steps)
    warmup = schedule.warmup
    rise = (step + 1) / warmup if step < warmup else 1.0
    after, left = max(0, step - warmup), max(1, steps - warmup)
    done = min(1.0, after / left)
    match schedule:
        case kinds.StepSchedule(every=None, at=at, factor=factor):
            return rise * factor ** sum(step >= when for when in at)
        case kinds.StepSchedule(every=int(every), factor=factor):
            return rise * factor ** (step // every)
        case kinds.ExponentialSchedule(factor=factor, every=every, floor=floor):
            return rise * max(floor, factor ** (after / every))
        case kinds.CosineSchedule(floor=floor):
            return rise * _between(floor, 1, _half_cosine(done))
        case kinds.CosineHoldSchedule(floor=floor, share=share):
            return rise * _between(floor, 1, _half_cosine(min(1.0, after / max(1.0, share * steps - warmup))))
        case kinds.CosineLegacySchedule(floor=floor):
            return rise * _between(floor, 1, _half_cosine(2 * done))
        case kinds.PolySchedule(floor=floor, power=power):
            return rise * _between(floor, 1, (1 - done) ** power)
        case _:
            return rise


def _one_cycle(schedule: kinds.OneCycleSchedule, step: int, steps: int) -> float:
    top, last = schedule.rise * steps - 1, steps - 1  # as torch: the last step has the lowest rate
    if step <= top:
        return _between(1, schedule.start, _half_cosine(step / top)) if top > 0 else 1.0
    return _between(schedule.floor, 1, _half_cosine(min(1.0, (step - top) / (last - top)) if last > top else 1.0))


def _half_cosine(done: float) -> float:
    """1 at 0, 0 at 1, and up again to 1 at 2."""
    return 0.5 * (1 + math.cos(math.pi * done))


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


@dataclass
class Plateau:
    """What a metric that no longer improves has taken off the learning rate (as torch's ``ReduceLROnPlateau``)."""

    reduction: float = 1.0
    """share of the scheduled rate that is left"""
    best: float | None = None
    waiting: int = 0
    cooling: int = 0

    def update(self, value: float, schedule: kinds.PlateauSchedule, training: Training) -> None:
        """Take in the monitored metric of one validation."""
        if is_progress(value, self.best, training.mode, training.min_delta):
            self.best, self.waiting = value, 0
        else:
            self.waiting += 1
        if self.cooling:
            self.cooling -= 1
            self.waiting = 0
        if self.waiting > schedule.patience:
            self.reduction = max(schedule.floor, self.reduction * schedule.factor)
            self.cooling, self.waiting = schedule.cooldown, 0


class LearningRate(Callback):
    """Sets the learning rate of each parameter group before every step: its peak times the share of the schedule.

    The peaks are those that the optimiser was built with, so a changed ``optimizer.lr`` holds after a resume too.
    A plateau resumed with ``comparable=False`` keeps its rate, but the validations before do not count.
    """

    def __init__(self, schedule: Schedule, training: Training, steps: int, comparable: bool = True) -> None:
        self.schedule, self.training, self.steps, self.comparable = schedule, training, steps, comparable
        self.plateau = Plateau()

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.plateau)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.plateau = Plateau(**state_dict)
        if not self.comparable:
            self.plateau = Plateau(self.plateau.reduction)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Before the optimiser's state is restored, which has the rates of the step of the checkpoint.
        self._peaks = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, Trainee)
        share = self.set(trainer.optimizers[0], trainer.global_step)
        pl_module.learning_rate = pl_module.stage.optimizer.lr * share

    def set(self, optimizer: Optimizer, step: int) -> float:
        """Set the rates of an optimiser step; returns them as a share of the peaks."""
        share = self.plateau.reduction * rate(self.schedule, step, self.steps)
        for group, peak in zip(optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share
        return share

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Trainee)
        if isinstance(self.schedule, kinds.PlateauSchedule):
            self.plateau.update(pl_module.last_metrics[self.training.monitor], self.schedule, self.training)
