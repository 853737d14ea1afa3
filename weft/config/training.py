"""How a stage is trained: optimiser, schedule, length, cadence."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict


class Optimizer(Strict):
    """An optimiser of ``torch.optim``; its other arguments go under ``options``."""

    name: str = Field("AdamW", description="class of torch.optim")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0)
    options: dict[str, Any] = Field({}, description="further arguments of that class")


class Schedule(Strict):
    """Linear warm-up, then a constant rate or a half cosine down to ``floor`` times the peak."""

    name: Literal["constant", "cosine"] = "cosine"
    warmup: int = Field(0, ge=0, description="optimiser steps of linear warm-up")
    floor: float = Field(0.0, ge=0, lt=1, description="final learning rate as a share of the peak")


class Training(Strict):
    """Length, batches and cadence of a training."""

    iterations: int | None = Field(None, ge=1, description="optimiser steps")
    epochs: float | None = Field(None, gt=0, description="passes over the training events, instead of iterations")
    batch_size: int = Field(ge=1, description="samples of a micro-batch, over all processes")
    accumulate: int = Field(1, ge=1, description="micro-batches of an optimiser step; the loss is that of all together")
    workers: int = Field(1, ge=0, description="loader processes; does not change the result")
    validate_every: int = Field(100, ge=1, description="optimiser steps between validations and checkpoints")
    validation_events: int | None = Field(None, ge=1, description="validate on the first so many events; default: all")
    log_every: int = Field(10, ge=1, description="optimiser steps between rows of the log")
    clip_norm: float | None = Field(None, gt=0, description="clip the gradient's norm to this")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="as Lightning names it")
    monitor: str = Field("loss", description="validation metric that chooses the best weights")
    mode: Literal["min", "max"] = "min"
    patience: int | None = Field(None, ge=1, description="stop after so many validations without improvement")

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.iterations is None) == (self.epochs is None):
            raise ValueError("give either iterations or epochs")
        return self
