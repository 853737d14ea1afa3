"""How a stage is trained: optimiser, averaging, length, cadence. Schedules are in ``weft/config/schedule.py``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict

_UNVALIDATED = 100
"""optimiser steps between checkpoints where neither ``save_every`` nor a validation says when"""


class Optimizer(Strict):
    """An optimiser of ``torch.optim``; its other arguments go under ``options``.

    With ``layer_decay: d`` the layers 0 ... L-1 that the task names below its head learn at ``lr / d^(L-1-i)``, what it
    does not name at ``lr / d^L``, the head at ``lr * head_multiplier``.
    """

    name: str = Field("AdamW", description="class of torch.optim")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="of the weight matrices; see decay_all")
    decay_all: bool = Field(False, description="let biases, norms, embeddings and tokens decay like weight matrices")
    layer_decay: float | None = Field(
        None, ge=1, description="each layer below the head learns slower than the next by this factor"
    )
    head_multiplier: float = Field(
        1.0, gt=0, description="learning rate of the head over optimizer.lr; needs layer_decay"
    )
    options: dict[str, Any] = Field({}, description="further arguments of that class")

    @model_validator(mode="after")
    def _head_needs_layers(self) -> Optimizer:
        if self.head_multiplier != 1 and self.layer_decay is None:
            raise ValueError("head_multiplier needs layer_decay (1: all other layers learn alike)")
        return self


class Ema(Strict):
    """Exponential moving average of the weights: what is validated, and saved for deploy."""

    decay: float = Field(0.9999, gt=0, lt=1, description="share of the old average that an optimiser step keeps")
    warmup: bool = Field(True, description="keep no more than (1 + t) / (10 + t) at optimiser step t")


class HoldOut(Strict):
    """Events of the split `train` that are validated on, and not learned from, in place of the split `val`.

    For few events: a sweep over ``training.hold_out.fold`` is a k-fold cross-validation.
    """

    events: tuple[int, ...] = Field((), description="their numbers, in the order of the split")
    fraction: float | None = Field(
        None, gt=0, lt=1, description="a random share, the same for every seed; at least one"
    )
    fold: int | None = Field(None, ge=0, description="one of so many parts as folds says, the same for every seed")
    folds: int = Field(5, ge=2, description="parts of the same size, to one event")

    @model_validator(mode="after")
    def _one_way(self) -> HoldOut:
        if bool(self.events) + (self.fraction is not None) + (self.fold is not None) != 1:
            raise ValueError("give one of events, fraction and fold")
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: folds are counted from 0")
        if len(set(self.events)) < len(self.events) or any(event < 0 for event in self.events):
            raise ValueError("events: each once, counted from 0")
        return self


class Training(Strict):
    """Length, batches and cadence of a training."""

    iterations: int | None = Field(None, ge=1, description="optimiser steps")
    epochs: float | None = Field(None, gt=0, description="passes over the training events, instead of iterations")
    batch_size: int = Field(ge=1, description="samples of a micro-batch, over all processes")
    accumulate: int = Field(1, ge=1, description="micro-batches of an optimiser step; the loss is that of all together")
    workers: int = Field(1, ge=0, description="loader processes; does not change the result")
    validate_every: int | None = Field(
        100, ge=1, description="optimiser steps between validations; null: never, and the last weights are kept"
    )
    save_every: int | None = Field(
        None,
        ge=1,
        description="optimiser steps between checkpoints; default: one after each validation, without any every 100",
    )
    hold_out: HoldOut | None = Field(None, description="validate on events of the split train instead of the split val")
    validation_events: int | None = Field(
        None,
        ge=1,
        description="validate on the first so many events (train_on: both: half as many, on each input); default: all",
    )
    log_every: int = Field(10, ge=1, description="optimiser steps between rows of the log")
    clip_norm: float | None = Field(None, gt=0, description="scale the gradient down to this L2 norm")
    clip_value: float | None = Field(None, gt=0, description="clip each element of the gradient to ± this")
    ema: Ema | None = Field(None, description="average the weights for validation and deploy; {} takes the defaults")
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto-mixed"] = Field(
        "32-true", description="auto-mixed: bf16 or else fp16 on a GPU, float32 on a CPU; the loss is always float32"
    )
    deterministic: bool = Field(True, description="the same bits in every run; false: the fastest algorithms of a GPU")
    monitor: str = Field("loss", description="validation metric that chooses the best weights")
    mode: Literal["min", "max"] = Field("min", description="whether less or more of the monitored metric is better")
    keep_best: int = Field(1, ge=1, description="keep the weights of so many of the best validations")
    patience: int | None = Field(None, ge=1, description="stop after so many validations without improvement")
    min_delta: float = Field(0.0, ge=0, description="what the monitored metric must change by to count as improvement")

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.iterations is None) == (self.epochs is None):
            raise ValueError("give either iterations or epochs")
        return self

    @model_validator(mode="after")
    def _nothing_to_validate(self) -> Training:
        asked = {
            "hold_out": self.hold_out is not None,
            "validation_events": self.validation_events is not None,
            "patience": self.patience is not None,
            "keep_best": self.keep_best > 1,
        }
        for name, is_asked in asked.items():
            if self.validate_every is None and is_asked:
                raise ValueError(f"{name} needs validations, and validate_every: null turns them off")
        return self

    @property
    def reads_val(self) -> bool:
        """Whether it is validated on the split `val`."""
        return self.validate_every is not None and self.hold_out is None

    @property
    def saves_every(self) -> int | None:
        """Optimiser steps between checkpoints beside those of validations; None: these are enough."""
        return _UNVALIDATED if self.save_every is None and self.validate_every is None else self.save_every

    @model_validator(mode="after")
    def _one_clipping(self) -> Training:
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("give at most one of clip_norm and clip_value")
        return self
