"""``log.csv``, TensorBoard, and a line or a bar on the console."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning import Callback, LightningModule, Trainer

from weft.config.training import Training
from weft.engine.distributed import rank
from weft.engine.log_file import LOG, LogFile
from weft.engine.trainee import Trainee
from weft.io.provenance import peak_memory_mb

_MEASURES = {
    "accuracy": "Accuracy", "f1": "F1", "iou": "IoU", "dice": "Dice", "recall": "Recall", "precision": "Precision",
    "purity": "Purity", "efficiency": "Efficiency", "loss": "Loss", "nll": "NLL", "ari": "ARI",
}  # fmt: skip

_OVER_CLASSES = {"mean_f1": "F1", "macro_f1": "F1", "mean_iou": "IoU", "mean_dice": "Dice"}
"""means over classes, which are what is meant by the measure alone"""

_OF_STEPS = {"lr": "Learning_rate/all", "grad_norm": "Gradient/norm", "memory_mb": "Memory/peak_mb"}


class Gauge(Protocol):
    """Measures something between two rows of the log."""

    def row(self) -> Mapping[str, float]:
        """Columns to add to the row, of all steps since the last one."""
        ...


_IN_FILE_ONLY = {"seconds_forward", "seconds_backward", "seconds_optimizer", "memory_mb"}
"""columns of the log without which a line on the console is easier to read"""


class Logbook(Callback):
    """``log.csv``, TensorBoard, and a line or a bar on the console.

    One row per logged training step and one per validation: step (optimiser steps done), split, loss, its terms,
    metrics; for training the learning rate, the gradient's L2 norm before clipping, the columns of the gauges, and the
    peak memory of the process, or on a GPU of its tensors, in MB. A training that goes on from a checkpoint drops the
    rows after it.
    """

    def __init__(self, folder: Path, training: Training, events: int, gauges: tuple[Gauge, ...] = ()) -> None:
        self.folder, self.training, self.gauges = folder, training, gauges
        self.epochs_per_step = training.batch_size * training.accumulate / events
        self.file = LogFile(folder / LOG)
        self.validated = 0
        self._bar: Any = None
        self._board: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file.cut(trainer.global_step)
            self._open_board(trainer.global_step)
            if sys.stdout.isatty():
                self._open_bar(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.file.sync()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Trainee)
        if not pl_module.ends_step(batch_idx):
            return
        if pl_module.logs_step(batch_idx):
            self._log_step(trainer, pl_module)
        if self._bar:
            self._bar.update(self._job, completed=trainer.global_step)

    def _log_step(self, trainer: Trainer, trainee: Trainee) -> None:
        terms = trainee.step_terms()
        values = {"loss": sum(terms.values())} | terms | trainee.step_metrics()
        values |= {"lr": trainee.learning_rate, "grad_norm": float(trainee.gradient_norm)}
        for gauge in self.gauges:
            values |= gauge.row()
        values["memory_mb"] = round(_peak_memory(trainee.device), 1)
        self._row(trainer.global_step, "train", values)
        if self._board:
            for number, group in enumerate(trainer.optimizers[0].param_groups):
                self._board.add_scalar(f"Learning_rate/{group.get('name', number)}", group["lr"], trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Trainee)
        self.validated = trainer.global_step
        self._row(trainer.global_step, "val", pl_module.last_metrics)

    def _row(self, step: int, split: str, values: Mapping[str, float]) -> None:
        if rank() != 0:
            return
        row = {"step": step, "epoch": round(step * self.epochs_per_step, 4), "split": split, **values}
        self.file.append(row)
        if self._board is None:  # the validation after a training that ended between two of them
            self._open_board(step)
        for name, value in values.items():
            self._board.add_scalar(board_tag(name, split), value, step)
        text = " ".join(f"{name} {value:.4g}" for name, value in values.items() if name not in _IN_FILE_ONLY)
        if self._bar:
            self._bar.update(self._job, description=text if split == "val" else f"loss {values['loss']:.4g}")
        else:
            print(f"{split} step {step}: {text}", flush=True)

    def _open_board(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    def _open_bar(self, trainer: Trainer) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Progress(TextColumn("training"), *columns)
        self._bar.start()
        self._job = self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
        if self._board:
            self._board.close()
            self._board = None
        self.file.close()


def board_tag(name: str, split: str) -> str:
    """TensorBoard's name of a column: ``Loss/val``, ``F1/train``, ``Recall/track``, ``Time/seconds_per_step``.

    A metric is put with the others that measure the same; what else its name says comes after.
    """
    if name.startswith("seconds"):
        return f"Time/{name}"
    if name in _OF_STEPS:
        return _OF_STEPS[name]
    if name in _OVER_CLASSES:
        return f"{_OVER_CLASSES[name]}/{split}"
    words = name.split("_")
    measure = next((word for word in words if word in _MEASURES), None)
    if measure is None:
        return f"{name.capitalize()}/{split}"
    words.remove(measure)
    return f"{_MEASURES[measure]}/{'_'.join(words) or split}"


def _peak_memory(device: torch.device) -> float:
    """MB: of the tensors on a GPU, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return peak_memory_mb()
