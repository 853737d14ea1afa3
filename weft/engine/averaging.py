"""An exponential moving average of the weights, for validation and for deploy.

Polyak & Juditsky 1992; the warm-up of the decay is that of TensorFlow's ``ExponentialMovingAverage``. In multi-tensor
operations: a step costs one pass over the weights.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from weft.config.training import Ema


def decay_at(settings: Ema, step: int) -> float:
    """Share of the old average that the update after optimiser step 1, 2, ... keeps."""
    return min(settings.decay, (1 + step) / (10 + step)) if settings.warmup else settings.decay


class Averaging(Callback):
    """Averages of all trainable parameters and of the floating-point buffers, such as statistics of batch norms.

    The network holds them during a validation, also while one raises, and gets its own weights back afterwards, bit by
    bit. Frozen parameters and integer buffers are those of the network. This callback stands before all that save.
    """

    def __init__(self, network: nn.Module, settings: Ema) -> None:
        self.network, self.settings = network, settings
        self.averages: dict[str, Tensor] = {}
        self.step = 0
        self._own: dict[str, Tensor] = {}

    def deployed_state(self) -> dict[str, Tensor]:
        """The state of the network as it is validated and deployed."""
        return self.network.state_dict() | self.averages

    def state_dict(self) -> dict[str, Any]:
        return {"averages": self.averages, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.averages, self.step = state_dict["averages"], state_dict["step"]

    def _live(self) -> dict[str, Tensor]:
        """What is averaged, as it is in the network now: a move to another device makes new buffers."""
        return {
            name: tensor.data
            for name, tensor in self.network.state_dict(keep_vars=True).items()
            if tensor.is_floating_point() and (tensor.requires_grad or not isinstance(tensor, nn.Parameter))
        }

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Here the network is on its device, and has its weights: fresh ones, or those of a checkpoint with averages.
        live = self._live()
        averages = self.averages or live
        self.averages = {name: averages[name].to(tensor, copy=True) for name, tensor in live.items()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step > self.step:  # not after each micro-batch of a step
            self.step = trainer.global_step
            self.update()

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the network as it is after optimiser step ``step``."""
        live = list(self._live().values())
        torch._foreach_lerp_(list(self.averages.values()), live, 1 - decay_at(self.settings, self.step))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap_in()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap_out()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.swap_out()

    @torch.no_grad()
    def swap_in(self) -> None:
        """Put the averages into the network."""
        live = self._live()
        # Complete before the first weight is overwritten, so that an interrupt at any moment can be undone.
        self._own = {name: tensor.clone() for name, tensor in live.items()}
        torch._foreach_copy_(list(live.values()), [self.averages[name] for name in live])

    @torch.no_grad()
    def swap_out(self) -> None:
        """Give the network its own weights back, if it has the averages."""
        if self._own:
            live = self._live()
            torch._foreach_copy_([live[name] for name in self._own], list(self._own.values()))
            self._own = {}
