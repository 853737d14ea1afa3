"""``log.csv``, TensorBoard, and a line or a bar on the console."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from weft.config.training import Training
from weft.engine.trainee import Trainee
from weft.io.atomic import atomic_path

LOG = "log.csv"


class Logbook(Callback):
    """``log.csv``, TensorBoard, and a line or a bar on the console.

    One row per logged training step and one per validation: step (optimiser steps done), split, loss, its terms,
    metrics, lr, and for training the seconds per step, of which waiting for data.
    """

    def __init__(self, folder: Path, training: Training, events: int) -> None:
        self.folder, self.training = folder, training
        self.epochs_per_step = training.batch_size * training.accumulate / events
        self.rows: list[dict[str, Any]] = []
        self.validated = 0
        self._bar: Any = None
        self._writer: Any = None
        self._waited = self._spent = 0.0
        self._since = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(self.folder / "tensorboard"))

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The log goes back to the restored step together with the weights.
        self.rows = state_dict["rows"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write()
        self._ready = time.perf_counter()
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
            )
            self._bar.start()
            self._job = self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._begun = time.perf_counter()
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]
        self._waited += self._begun - self._ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Trainee)
        self._ready = time.perf_counter()
        self._spent += self._ready - self._begun
        if not pl_module.ends_step(batch_idx):
            return
        self._since += 1
        step = trainer.global_step
        if step % self.training.log_every == 0 or step == trainer.max_steps:
            terms = pl_module.step_terms()
            seconds, waited = self._spent + self._waited, self._waited
            self._row(
                step,
                "train",
                {"loss": sum(terms.values())}
                | terms
                | {
                    "lr": self._lr,
                    "seconds_per_step": round(seconds / self._since, 4),
                    "seconds_waiting": round(waited / self._since, 4),
                },
            )
            self._spent = self._waited = 0.0
            self._since = 0
        if self._bar:
            self._bar.update(self._job, completed=step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Trainee)
        self.validated = trainer.global_step
        self._row(trainer.global_step, "val", pl_module.last_metrics)
        self._ready = time.perf_counter()

    def _row(self, step: int, split: str, values: Mapping[str, float]) -> None:
        row = {"step": step, "epoch": round(step * self.epochs_per_step, 4), "split": split, **values}
        self.rows.append(row)
        self._write()
        for name, value in values.items():
            self._writer.add_scalar(f"{name}/{split}", value, step)
        text = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self._bar:
            self._bar.update(self._job, description=text if split == "val" else f"loss {values['loss']:.4g}")
        else:
            print(f"{split} step {step}: {text}", flush=True)

    def _write(self) -> None:
        write_rows(self.folder / LOG, self.rows)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
        if self._writer:
            self._writer.close()


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows of unlike keys as one CSV, atomically."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["step", "epoch", "split", "loss"]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
