"""Checkpoints to resume from, and a clean stop when asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO

from weft.config.training import Training
from weft.engine.best import BestWeights
from weft.engine.checkpoint_file import read_checked, write_checked
from weft.engine.distributed import any_rank
from weft.engine.logs import Interrupted
from weft.engine.resume import LAST, PREVIOUS, RECORD
from weft.engine.stopping import StopRequest
from weft.engine.trainee import Trainee


class CheckedFiles(CheckpointIO):
    """How Lightning writes and reads checkpoints: with a checksum, and keeping the one before as ``previous.ckpt``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_checked(Path(path), checkpoint, keep_as=PREVIOUS)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        content: dict[str, Any] = read_checked(Path(path), map_location)
        return content

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class Checkpoints(Callback):
    """``last.ckpt``, all that it takes to go on, every ``save_every`` steps or else after each validation.

    At a step that is validated it is written after the validation, by the last callback of all, so that what others do
    then is in it. On SIGINT and SIGTERM the step in progress is finished, with the validation if one is due, the
    checkpoint written and :class:`Interrupted` raised.

    The options of the optimiser are those that it was built with, also where the checkpoint was made with others.
    """

    def __init__(
        self, folder: Path, training: Training, record: Mapping[str, Any], best: BestWeights, stop: StopRequest
    ) -> None:
        self.path, self.training, self.record = folder / LAST, training, record
        self.best, self.stop = best, stop
        self.step = 0
        """of the last checkpoint"""
        self._finished = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        progress = self.best.ranking.state() | {"finished": self._finished}
        checkpoint[RECORD] = {**self.record, "progress": progress}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Here the optimiser is built, and its state not yet restored.
        groups = trainer.optimizers[0].param_groups
        self._options = [{key: value for key, value in group.items() if key != "params"} for group in groups]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for group, options in zip(trainer.optimizers[0].param_groups, self._options, strict=True):
            group.update(options)
        self.step = trainer.global_step
        self.stop.listen()
        if any_rank(self.stop.asked is not None):  # while all was made ready; Lightning has heard it too
            self._leave(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.listen()  # a validation after the training has Lightning's handlers again

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Trainee)
        step, every = trainer.global_step, self.training.save_every
        if not pl_module.ends_step(batch_idx) or step % self.training.validate_every == 0 or step == trainer.max_steps:
            return  # in the middle of a step, or a validation comes first: a checkpoint before it would skip it
        asked = any_rank(self.stop.asked is not None)
        if asked or (every is not None and step % every == 0):
            self._save(trainer)
        if asked:
            self._leave(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step, every = trainer.global_step, self.training.save_every
        self._finished = step >= trainer.max_steps or self.best.exhausted
        asked = any_rank(self.stop.asked is not None)
        if asked or self._finished or every is None or step % every == 0:
            self._save(trainer)
        if asked and not self._finished:
            self._leave(trainer)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.step = trainer.global_step
        self.best.saved()

    def _leave(self, trainer: Trainer) -> None:
        done = f"stopped after step {trainer.global_step} of {trainer.max_steps}"
        raise Interrupted(
            f"{self.stop.asked or 'signal to another rank'}: {done}, everything saved; run again to go on"
        )
