"""Checkpoints, and a clean stop when asked."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from weft.config.training import Training
from weft.engine.logs import Interrupted
from weft.engine.trainee import Trainee
from weft.errors import WeftError
from weft.io.atomic import atomic_path

LAST, BEST = "last.ckpt", "best.ckpt"
_PATIENCE = 5.0
"""s; signals this close are one request: a terminal, Slurm and Snakemake each pass it on"""


class Checkpoints(Callback):
    """``last.ckpt`` to resume from and ``best.ckpt``, the weights that deploy will use, after every validation.

    On SIGINT and SIGTERM the step in progress is finished, with the validation if one is due, ``last.ckpt`` is written
    and :class:`Interrupted` raised. A second signal some seconds later does not wait for the step.
    """

    def __init__(self, folder: Path, training: Training) -> None:
        self.folder, self.monitor, self.patience = folder, training.monitor, training.patience
        self.validate_every = training.validate_every
        self._asked = 0.0
        self.sign = 1.0 if training.mode == "max" else -1.0
        self.best: float | None = None
        self.best_step = 0
        self.waiting = 0
        self.interrupted: str | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step, "waiting": self.waiting}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]
        self.waiting = state_dict["waiting"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted and time.monotonic() - self._asked > _PATIENCE:  # asked again: do not wait for the step
            raise KeyboardInterrupt
        if not self.interrupted:
            self.interrupted, self._asked = signal.Signals(number).name, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Trainee)
        if not pl_module.ends_step(batch_idx):
            return
        # A validation that is due, at the interval or at the end, comes first: a checkpoint before it would skip it.
        if self.interrupted and trainer.global_step % self.validate_every and trainer.global_step < trainer.max_steps:
            self._save(trainer)
            self._leave(trainer)

    def _leave(self, trainer: Trainer) -> None:
        if trainer.global_step < trainer.max_steps:
            done = f"stopped after step {trainer.global_step} of {trainer.max_steps}"
            raise Interrupted(f"{self.interrupted}: {done}, everything saved; run again to go on")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Trainee)
        metrics = pl_module.last_metrics
        if self.monitor not in metrics:
            raise WeftError(f"training.monitor: no metric '{self.monitor}'; there are: {', '.join(metrics)}")
        value = metrics[self.monitor]
        if self.best is None or self.sign * value > self.sign * self.best:
            self.best, self.best_step, self.waiting = value, trainer.global_step, 0
            with atomic_path(self.folder / BEST) as temporary:
                torch.save({"step": trainer.global_step, "state": pl_module.network.state_dict()}, temporary)
        else:
            self.waiting += 1
        if self.patience is not None and self.waiting >= self.patience:
            print(f"stopping: {self.monitor} did not improve in {self.waiting} validations", flush=True)
            trainer.should_stop = True
        self._save(trainer)
        if self.interrupted:
            self._leave(trainer)

    def _save(self, trainer: Trainer) -> None:
        with atomic_path(self.folder / LAST) as temporary:
            trainer.save_checkpoint(temporary)
