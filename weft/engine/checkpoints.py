"""Checkpoints to resume from, and a clean stop when asked."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO

from weft.config.training import Training
from weft.engine.best import BestWeights
from weft.engine.checkpoint_file import read_checked, write_checked
from weft.engine.distributed import any_rank, gather, rank
from weft.engine.log_file import LogFile
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
    """``last.ckpt``, all that it takes to go on, every ``save_every`` steps or else after each validation; where there
    are no validations also after the last step, with the weights then as the best ones.

    At a step that is validated it is written after the validation, by the last callback of all, so that what others do
    then is in it. On SIGINT and SIGTERM the step in progress is finished, the checkpoint written and
    :class:`Interrupted` raised. A validation may take longer than a scheduler waits, so one that is due or has begun is
    left for the training that goes on from there; only the last one of all is finished.

    The options of the optimiser are those that it was built with, also where the checkpoint was made with others.
    """

    def __init__(
        self,
        folder: Path,
        training: Training,
        record: Mapping[str, Any],
        best: BestWeights,
        stop: StopRequest,
        rows: LogFile,
    ) -> None:
        self.path, self.training, self.record = folder / LAST, training, record
        self.best, self.stop, self.rows = best, stop, rows
        self.step = 0
        """of the last checkpoint"""
        self._finished = False
        self._due = False
        """whether the weights are still to be validated"""

    def state_dict(self) -> dict[str, Any]:
        return {"validation_due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._due = state_dict["validation_due"] and self.training.validate_every is not None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        progress = self.best.ranking.state() | {"finished": self._finished}
        checkpoint[RECORD] = {**self.record, "progress": progress}
        if self._due:
            checkpoint["loops"]["fit_loop"] = self._loops

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Here the optimiser is built, and its state not yet restored. Rates are set by LearningRate.
        groups, others = trainer.optimizers[0].param_groups, ("params", "lr")
        self._options = [{key: value for key, value in group.items() if key not in others} for group in groups]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for group, options in zip(trainer.optimizers[0].param_groups, self._options, strict=True):
            group.update(options)
        self.step = trainer.global_step
        self.stop.listen()
        if any_rank(self.stop.asked is not None):  # while all was made ready; Lightning has heard it too
            self._leave(trainer)
        if self._due:  # Lightning takes a step that a checkpoint has for validated
            if rank() == 0:
                self.rows.cut(self.step, validated=False)  # by a process that was killed after it
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.listen()  # a validation after the training has Lightning's handlers again
        # What Lightning has counted, without a part of a validation.
        self._loops = deepcopy(trainer.fit_loop.state_dict())
        self._on_all_ranks = min(gather(int(trainer.num_val_batches[0])))
        self._put_off_validation(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx < self._on_all_ranks:
            self._put_off_validation(trainer, pl_module)

    def _put_off_validation(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == trainer.max_steps or not any_rank(self.stop.asked is not None):
            return
        assert isinstance(pl_module, Trainee)
        if pl_module.averaging is not None:
            pl_module.averaging.swap_out()
        self._due = True
        self._save(trainer)
        self._leave(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Trainee)
        step, every, validates = trainer.global_step, self.training.saves_every, self.training.validate_every
        if not pl_module.ends_step(batch_idx):
            return
        last = step == trainer.max_steps
        if validates is not None and (step % validates == 0 or last):
            return  # a validation comes first: a checkpoint before it would skip it
        self._finished = last
        asked = any_rank(self.stop.asked is not None)
        if asked or last or (every is not None and step % every == 0):
            if validates is None:
                self.best.keep_last(step, pl_module)
            self._save(trainer)
        if asked and not last:
            self._leave(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step, every = trainer.global_step, self.training.saves_every
        self._due = False
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
