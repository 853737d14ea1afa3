"""Learning-rate schedulers of torch, which several tools name in their configurations, as schedules of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Noted, Several, Unfit

#: The schedulers with a counterpart, with their arguments and torch's defaults (None: must be given).
_SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": None, "gamma": 0.1},
    "MultiStepLR": {"milestones": None, "gamma": 0.1},
    "ExponentialLR": {"gamma": None},
    "CosineAnnealingLR": {"T_max": None, "eta_min": 0.0},
    "ReduceLROnPlateau": {"mode": "min", "factor": 0.1, "patience": 10, "cooldown": 0},
}


def schedule(name: str, given: Mapping[str, Any], iterations: int | None, lr: float) -> Several:
    """The schedule of ours that does what torch's scheduler does when it is stepped with every optimiser step.

    iterations: length of the training in steps, None where not known; lr: the peak rate. Raises Unfit.
    """
    if name not in _SCHEDULERS:
        raise Unfit(f"no schedule here does what {name} does; nearest that work: {', '.join(_SCHEDULERS)}")
    defaults = _SCHEDULERS[name]
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise Unfit(f"{name}: '{unknown[0]}' is not carried over; arguments that are: {', '.join(defaults)}")
    missing = [key for key, value in defaults.items() if value is None and key not in given]
    if missing:
        raise Unfit(f"{name}: {missing[0]} is missing")
    options = {**defaults, **given}
    if name == "StepLR":
        block = {"name": "step", "every": options["step_size"], "factor": options["gamma"]}
    elif name == "MultiStepLR":
        block = {"name": "step", "at": list(options["milestones"]), "factor": options["gamma"]}
    elif name == "ExponentialLR":
        block = {"name": "exponential", "factor": options["gamma"], "every": 1}
    elif name == "ReduceLROnPlateau":
        block = {"name": "plateau", **{key: options[key] for key in ("factor", "patience", "cooldown")}}
    else:
        block = _cosine(options["T_max"], options["eta_min"], iterations, lr)
    return Several({f"schedule.{key}": value for key, value in block.items()})


def _cosine(period: int, lowest: float, iterations: int | None, lr: float) -> dict[str, Any]:
    if iterations is None or period not in (iterations, iterations / 2):
        length = "the length of the training in steps" if iterations is None else f"{iterations} or {iterations / 2:g}"
        raise Unfit(f"CosineAnnealingLR with T_max {period} rises and falls again; nearest that works: T_max {length}")
    if period == iterations:
        return {"name": "cosine", "floor": lowest / lr}
    return {"name": Noted("cosine_legacy", "T_max is half of the training: the rate rises again"), "floor": lowest / lr}
