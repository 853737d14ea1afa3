"""Learning-rate schedules: how the rate goes with the steps of a run. The curves are in ``weft/engine/schedules.py``.

A rate is a share of ``optimizer.lr``, the peak. Lengths are optimiser steps unless a key says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from weft.config.loading import DEFAULT_KINDS, closest
from weft.config.strict import Strict


class WarmedUp(Strict):
    """The rate rises linearly from 1/warmup of its value at step 0 to all of it after ``warmup`` steps."""

    warmup: int = Field(0, ge=0, description="optimiser steps of linear warm-up")


class _Falling(WarmedUp):
    floor: float = Field(0.0, ge=0, lt=1, description="lowest learning rate as a share of the peak")


class ConstantSchedule(WarmedUp):
    """The peak rate after the warm-up."""

    name: Literal["constant"] = "constant"


class StepSchedule(WarmedUp):
    """The rate is multiplied by ``factor`` at intervals, or at given steps."""

    name: Literal["step"] = "step"
    every: int | None = Field(None, ge=1, description="multiply each time so many optimiser steps of the run are done")
    at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="multiply when so many optimiser steps of the run are done; instead of every"
    )
    factor: float = Field(0.1, gt=0, lt=1, description="what the rate is multiplied by")

    @model_validator(mode="after")
    def _one_of(self) -> StepSchedule:
        if (self.every is None) == (not self.at):
            raise ValueError("give either every or at")
        if list(self.at) != sorted(set(self.at)):
            raise ValueError(f"at: steps in rising order, each once, got {list(self.at)}")
        return self


class ExponentialSchedule(_Falling):
    """After the warm-up the rate falls smoothly, by ``factor`` in ``every`` steps."""

    name: Literal["exponential"] = "exponential"
    factor: float = Field(gt=0, lt=1, description="what the rate falls to in so many steps as every says")
    every: int = Field(1, ge=1, description="optimiser steps")


class CosineSchedule(_Falling):
    """After the warm-up half a cosine, from the peak down to ``floor`` at the last step (Loshchilov & Hutter 2017)."""

    name: Literal["cosine"] = "cosine"


class CosineHoldSchedule(_Falling):
    """Half a cosine down to ``floor`` in the first part of the run, then that rate to the end."""

    name: Literal["cosine_hold"] = "cosine_hold"
    floor: float = Field(0.01, gt=0, lt=1, description="the rate that it holds, as a share of the peak")
    share: float = Field(0.5, gt=0, le=1, description="share of the run, warm-up included, after which it holds")


class CosineLegacySchedule(_Falling):
    """A whole cosine: down to ``floor`` at half of the run and up again to the peak at its end.

    What torch's ``CosineAnnealingLR`` makes of a ``T_max`` of half of the run; for reproducing such trainings.
    """

    name: Literal["cosine_legacy"] = "cosine_legacy"


class PolySchedule(_Falling):
    """After the warm-up the rate falls as (1 - share of the run done) to the ``power``."""

    name: Literal["poly"] = "poly"
    power: float = Field(0.9, gt=0, description="1: a straight line")


class OneCycleSchedule(Strict):
    """From ``start`` up to the peak and down to ``floor`` in one run (Smith & Topin 2018); its rise is the warm-up."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(0.3, gt=0, lt=1, description="share of the run in which the rate rises")
    start: float = Field(0.04, gt=0, le=1, description="first learning rate as a share of the peak")
    floor: float = Field(4e-6, ge=0, lt=1, description="last learning rate as a share of the peak")


class PlateauSchedule(_Falling):
    """The rate is multiplied by ``factor`` whenever ``training.monitor`` has stopped improving by ``min_delta``."""

    name: Literal["plateau"] = "plateau"
    factor: float = Field(0.1, gt=0, lt=1, description="what the rate is multiplied by")
    patience: int = Field(10, ge=0, description="validations without improvement that are waited for")
    cooldown: int = Field(0, ge=0, description="validations after a change that are not counted")


_Kinds = (
    ConstantSchedule
    | StepSchedule
    | ExponentialSchedule
    | CosineSchedule
    | CosineHoldSchedule
    | CosineLegacySchedule
    | PolySchedule
    | OneCycleSchedule
    | PlateauSchedule
)
SCHEDULES: dict[str, type[Strict]] = {kind.model_fields["name"].default: kind for kind in _Kinds.__args__}
"""The schedules by name."""


def _named(block: Any) -> Any:
    """A block without a name is of the default kind; a name that is not known is named with the closest one."""
    if not isinstance(block, dict):
        return block
    block = {"name": DEFAULT_KINDS["schedule"]} | block
    if str(block["name"]) not in SCHEDULES:
        near = closest(str(block["name"]), list(SCHEDULES))
        raise ValueError(f"no schedule '{block['name']}'{near}; there are: {', '.join(SCHEDULES)}")
    return block


Schedule = Annotated[_Kinds, Field(discriminator="name"), BeforeValidator(_named)]
