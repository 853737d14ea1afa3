"""Whether the metric that chooses the best weights exists, before hours are spent until the first validation."""

from __future__ import annotations

import torch
from lightning import Callback, LightningModule, Trainer

from weft.config.loading import closest
from weft.engine.stream import EventBatches
from weft.engine.trainee import Trainee
from weft.errors import WeftError


class MonitorExists(Callback):
    """Validates one batch at the start, for the names of the metrics: only the loss has a known one."""

    def __init__(self, monitor: str, batches: EventBatches) -> None:
        self.monitor, self.batches = monitor, batches

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor == "loss":
            return
        assert isinstance(pl_module, Trainee)
        modes = {module: module.training for module in pl_module.modules()}
        pl_module.eval()
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            pl_module.on_validation_epoch_start()
            pl_module.validation_step(self.batches[0].to(pl_module.device), 0)
            pl_module.on_validation_epoch_end()
        for module, mode in modes.items():
            module.training = mode
        names = list(pl_module.last_metrics)
        if self.monitor not in names:
            raise WeftError(
                f"training.monitor: no metric '{self.monitor}'{closest(self.monitor, names)}; "
                f"there are: {', '.join(names)}"
            )
