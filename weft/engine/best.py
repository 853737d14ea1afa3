"""The best weights so far, as files that deploy can use, and the end of a training that no longer gets better."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from weft.config.training import Training
from weft.engine.distributed import rank
from weft.engine.model_file import ModelFile, save_model
from weft.engine.ranking import Kept, Ranking
from weft.engine.resume import PREVIOUS, named_by, warn
from weft.engine.trainee import Trainee
from weft.errors import WeftError
from weft.metrics.scores import HELD_OUT

BEST = "best.ckpt"


class BestWeights(Callback):
    """Model files ``step_<n>-<metric>_<value>.ckpt`` of the ``keep_best`` best validations; ``best.ckpt`` links to one.

    Without validations there is one, ``step_<n>.ckpt``, of the last checkpoint.

    A file is deleted when neither this training nor one that goes on from either of the two checkpoints needs it.
    """

    def __init__(self, folder: Path, training: Training, record: Mapping[str, Any]) -> None:
        self.folder, self.training, self.record = folder, training, record
        self.ranking = Ranking(training.mode, training.keep_best, training.min_delta)
        self._in_last: set[str] = set()
        self._in_previous: set[str] = set()

    @property
    def path(self) -> Path:
        """The file with the best weights."""
        if not self.ranking.kept:
            raise WeftError(f"{self.folder}: the best weights are gone; --resume none trains again")
        return self.folder / self.ranking.kept[0].file

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` is at its end."""
        return self.training.patience is not None and self.ranking.waiting >= self.training.patience

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what a checkpoint says; files that are gone are forgotten, with a warning."""
        there = [kept for kept in state["kept"] if (self.folder / kept["file"]).is_file()]
        gone = [kept["file"] for kept in state["kept"] if kept not in there]
        if gone and rank() == 0:
            warn(f"{self.folder}: {', '.join(gone)}: gone, and no longer among the best")
        self.ranking.restore({**state, "kept": there})
        self._in_last, self._in_previous = self._needed(), named_by(self.folder / PREVIOUS)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Trainee)
        step, name = trainer.global_step, self.training.monitor
        value = pl_module.last_metrics[name]
        entry = Kept(step, value, f"step_{step:06d}-{name}_{value:.4f}.ckpt")
        if self.ranking.enter(entry) and rank() == 0:
            self._write(entry, pl_module)
            self.prune()
        if self.exhausted:
            if rank() == 0:
                print(f"stopping: {name} did not improve in {self.ranking.waiting} validations", flush=True)
            trainer.should_stop = True

    def keep_last(self, step: int, trainee: Trainee) -> None:
        """Of a training without validations: the weights of this step in place of those before."""
        entry = Kept(step, math.nan, f"step_{step:06d}.ckpt")
        self.ranking.kept = [entry]
        if rank() == 0:
            self._write(entry, trainee)

    def _write(self, entry: Kept, trainee: Trainee) -> None:
        task, metrics = trainee.task, {"best_step": entry.step, "metrics": trainee.last_metrics}
        if self.training.hold_out is not None:
            metrics[HELD_OUT] = trainee.last_events
        options = task.options.model_dump(mode="json")
        model = ModelFile(trainee.deployed_state(), task.name, options, {**self.record, **metrics})
        save_model(self.folder / entry.file, model)
        link = self.folder / f".{BEST}.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.ranking.kept[0].file)
        os.replace(link, self.folder / BEST)

    def saved(self) -> None:
        """A checkpoint with the present ranking is on the disk, and the one before it."""
        self._in_previous, self._in_last = self._in_last, self._needed()
        if rank() == 0:
            self.prune()

    def prune(self) -> None:
        """Delete files that are needed no longer."""
        needed = self._needed() | self._in_last | self._in_previous
        for path in self.folder.glob("step_*.ckpt"):
            if path.name not in needed:
                path.unlink()

    def _needed(self) -> set[str]:
        return {kept.file for kept in self.ranking.kept}
