import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from weft.config.schedule import (
    SCHEDULES,
    ConstantSchedule,
    CosineHoldSchedule,
    CosineLegacySchedule,
    CosineSchedule,
    ExponentialSchedule,
    OneCycleSchedule,
    PlateauSchedule,
    PolySchedule,
    StepSchedule,
)
from weft.config.training import Training
from weft.engine.fit import fit
from weft.engine.logs import Interrupted
from weft.engine.schedules import LearningRate, Plateau, rate

STEPS = 100


def rates(schedule: Any, steps: int = STEPS) -> list[float]:
    return [rate(schedule, step, steps) for step in range(steps)]


def torch_rates(make: Callable[[torch.optim.Optimizer], Any], steps: int = STEPS) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    taken = []
    for _ in range(steps):
        taken.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return taken


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ConstantSchedule(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        (StepSchedule(every=30, factor=0.5), lambda o: lr_scheduler.StepLR(o, 30, 0.5)),
        (StepSchedule(at=(20, 70)), lambda o: lr_scheduler.MultiStepLR(o, [20, 70])),
        (ExponentialSchedule(factor=0.97), lambda o: lr_scheduler.ExponentialLR(o, 0.97)),
        (CosineSchedule(floor=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1)),
        (CosineLegacySchedule(floor=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS // 2, eta_min=0.1)),
        (PolySchedule(power=0.9), lambda o: lr_scheduler.PolynomialLR(o, STEPS, 0.9)),
        (OneCycleSchedule(), lambda o: lr_scheduler.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False)),
        (
            OneCycleSchedule(rise=0.05, start=0.5, floor=0.01),
            lambda o: lr_scheduler.OneCycleLR(
                o, 1.0, STEPS, pct_start=0.05, div_factor=2, final_div_factor=50, cycle_momentum=False
            ),
        ),
        (
            CosineSchedule(warmup=10),
            lambda o: lr_scheduler.SequentialLR(
                o,
                [lr_scheduler.LinearLR(o, 0.1, 1.0, 9), lr_scheduler.CosineAnnealingLR(o, STEPS - 10)],
                [10],
            ),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_rates_are_those_of_torch(ours: Any, theirs: Any) -> None:
    assert rates(ours) == pytest.approx(torch_rates(theirs), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (ConstantSchedule(warmup=4), {0: 0.25, 1: 0.5, 3: 1, 4: 1, 99: 1}),
        (StepSchedule(warmup=4, every=2, factor=0.5), {0: 0.25, 1: 0.5, 2: 0.375, 3: 0.5, 4: 0.25}),
        (StepSchedule(at=(3, 5), factor=0.5), {2: 1, 3: 0.5, 4: 0.5, 5: 0.25}),
        (ExponentialSchedule(warmup=10, factor=0.5, every=20, floor=0.2), {0: 0.1, 10: 1, 30: 0.5, 50: 0.25, 60: 0.2}),
        (CosineSchedule(warmup=20, floor=0.2), {0: 0.05, 20: 1, 60: 0.6, 100: 0.2, 200: 0.2}),
        (CosineHoldSchedule(warmup=10, floor=0.1, share=0.5), {9: 1, 10: 1, 30: 0.55, 50: 0.1, 80: 0.1, 99: 0.1}),
        (CosineLegacySchedule(floor=0.2), {0: 1, 25: 0.6, 50: 0.2, 75: 0.6, 100: 1}),
        (PolySchedule(power=2, floor=0.5), {0: 1, 50: 0.625, 100: 0.5}),
        (OneCycleSchedule(rise=0.5, start=0.2, floor=0.1), {0: 0.2, 49: 1, 99: 0.1}),
        (PlateauSchedule(warmup=2), {0: 0.5, 1: 1, 50: 1}),
    ],
)
def test_values_by_hand(schedule: Any, values: dict[int, float]) -> None:
    assert {step: rate(schedule, step, STEPS) for step in values} == pytest.approx(values)


BLOCKS: dict[str, dict[str, Any]] = {"step": {"every": 3}, "exponential": {"factor": 0.5, "every": 7}}


@settings(deadline=None)
@given(st.sampled_from(sorted(SCHEDULES)), st.integers(0, 30), st.integers(1, 60))
def test_rates_lie_between_nothing_and_the_peak_whatever_the_lengths(name: str, warmup: int, steps: int) -> None:
    warm = {} if name == "one_cycle" else {"warmup": warmup}
    schedule = SCHEDULES[name](**BLOCKS.get(name, {}), **warm)
    assert all(0 <= share <= 1 for share in rates(schedule, steps))


@settings(deadline=None)
@given(st.sampled_from(sorted(SCHEDULES.keys() - {"constant", "step"})), st.integers(1, 60))
def test_no_rate_is_below_the_floor(name: str, steps: int) -> None:
    schedule = SCHEDULES[name](**BLOCKS.get(name, {}), floor=0.25, **({"start": 0.3} if name == "one_cycle" else {}))
    assert all(share >= 0.25 - 1e-12 for share in rates(schedule, steps))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.0, 0.1]))
def test_plateau_is_that_of_torch(metrics: list[float], patience: int, cooldown: int, delta: float) -> None:
    schedule = PlateauSchedule(factor=0.5, patience=patience, cooldown=cooldown, floor=0.05)
    for mode in ("min", "max"):
        training = Training(iterations=1, batch_size=1, mode=mode, min_delta=delta)  # type: ignore[arg-type]
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        reference = lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, patience, delta, "abs", cooldown, min_lr=0.05, eps=0
        )
        plateau = Plateau()
        for metric in metrics:
            reference.step(metric)
            plateau.update(metric, schedule, training)
            assert plateau.reduction == pytest.approx(optimizer.param_groups[0]["lr"])


def test_plateau_by_hand() -> None:
    plateau, schedule = Plateau(), PlateauSchedule(factor=0.1, patience=1, cooldown=1, floor=0.05)
    training = Training(iterations=1, batch_size=1, mode="max")
    taken = []
    for metric in (0.5, 0.6, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5):  # to maximise: best at the second
        plateau.update(metric, schedule, training)
        taken.append(plateau.reduction)
    # Two without improvement, one more than the patience; then one that is not counted, and two more.
    assert taken == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.05, 0.05])


def test_a_first_metric_that_is_no_number_is_not_the_best_for_ever() -> None:
    plateau, schedule = Plateau(), PlateauSchedule(patience=1)
    training = Training(iterations=1, batch_size=1)
    for metric in (math.nan, math.nan, 3.0, 2.0, 1.0):
        plateau.update(metric, schedule, training)
    assert (plateau.best, plateau.waiting, plateau.reduction) == (1.0, 0, 1.0)


def test_a_plateau_of_another_metric_keeps_its_rate_only() -> None:
    state = {"reduction": 0.1, "best": 5.0, "waiting": 2, "cooling": 1}
    for comparable, expected in ((True, Plateau(**state)), (False, Plateau(0.1))):  # type: ignore[arg-type]
        rates = LearningRate(PlateauSchedule(), Training(iterations=1, batch_size=1), 1, comparable)
        rates.load_state_dict(state)
        assert rates.plateau == expected


def test_every_group_follows_from_its_own_peak() -> None:
    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.4, 0.1)], lr=1.0
    )
    trainer: Any = SimpleNamespace(optimizers=[optimizer], global_step=0)
    callback = LearningRate(CosineSchedule(), Training(iterations=10, batch_size=1), 10)
    callback.on_fit_start(trainer, None)  # type: ignore[arg-type]
    optimizer.param_groups[0]["lr"] = 123.0  # what a checkpoint brings back
    for step, share in ((5, 0.5), (0, 1.0), (10, 0.0)):
        callback.set(optimizer, step)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4 * share, 0.1 * share])


class SignalAt:
    """The toy task, telling its own process to stop at one training step."""

    def __init__(self, toy: Any, step: int) -> None:
        self.toy, self.left = toy, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def loss(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.toy.loss(*arguments)


def test_a_plateau_goes_on_after_a_resume(toy: Any, make_stage: Any, shards: Any, tmp_path: Path) -> None:
    stage = make_stage(min_delta=100.0).model_copy(update={"schedule": PlateauSchedule(patience=0)})

    def train(task: Any) -> None:
        fit(task, stage, 0, shards, shards[1:], tmp_path, tmp_path / "work", {})

    with pytest.raises(Interrupted, match="after step 10 of 12"):
        train(SignalAt(toy, 10))
    train(toy)
    log = pd.read_csv(tmp_path / "log.csv")
    taken = log[log.split == "train"].set_index("step").lr
    # Nothing is an improvement of 100: the second validation, after step 8, is one too many.
    assert taken.to_dict() == pytest.approx({step: 0.05 if step <= 8 else 0.005 for step in range(1, 13)})
