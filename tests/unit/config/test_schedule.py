from pathlib import Path
from typing import Any

import pytest

from weft.config.experiment import Stage, load_experiment
from weft.config.loading import DEFAULT_KINDS, ConfigError, merge, validate
from weft.config.schedule import SCHEDULES, CosineSchedule, PolySchedule, StepSchedule

MINIMAL: dict[str, Any] = {"task": "toy", "training": {"iterations": 1, "batch_size": 1}}


def stage(**blocks: Any) -> Stage:
    return validate(Stage, MINIMAL | blocks, "e.yaml")


def test_the_name_says_which_keys_there_are() -> None:
    assert stage(schedule={"name": "poly", "power": 2}).schedule == PolySchedule(power=2)
    assert stage(schedule={"warmup": 3}).schedule == CosineSchedule(warmup=3)
    assert len(SCHEDULES) == 9


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"name": "cosin"}, r"schedule: no schedule 'cosin' \(did you mean 'cosine'\?\); there are: constant, step"),
        (
            {"name": "poly", "powr": 2},
            r"'schedule\.powr' \(did you mean 'power'\?\); known here: floor, name, power, w",
        ),
        ({"name": "constant", "floor": 0.1}, r"unknown key 'schedule\.floor'; known here: name, warmup"),
        ({"name": "exponential"}, r"schedule\.factor: field required"),
        ({"floor": 2}, r"schedule\.floor: input should be less than 1, got 2"),
        ({"name": "step"}, "schedule: give either every or at"),
        ({"name": "step", "every": 3, "at": [4]}, "schedule: give either every or at"),
        ({"name": "step", "at": [4, 3]}, r"at: steps in rising order, each once, got \[4, 3\]"),
    ],
)
def test_mistakes_name_the_key_as_it_is_written(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stage(schedule=schedule)


def test_another_name_replaces_the_schedule_and_the_options_of_the_optimiser() -> None:
    base = {
        "schedule": {"warmup": 20, "floor": 0.1},
        "optimizer": {"lr": 0.1, "options": {"betas": [0.9, 0.99]}},
        "other": {"name": "a", "key": 1},
    }
    over = {"schedule": {"name": "constant"}, "optimizer": {"name": "SGD"}, "other": {"name": "b"}}
    assert merge(base, over) == {
        "schedule": {"name": "constant"},
        "optimizer": {"name": "SGD", "lr": 0.1},
        "other": {"name": "b", "key": 1},
    }
    same = {"schedule": {"name": "cosine", "warmup": 5}, "optimizer": {"name": "AdamW"}}
    assert merge(base, same)["schedule"] == {"name": "cosine", "warmup": 5, "floor": 0.1}
    assert merge(base, same)["optimizer"]["options"] == {"betas": [0.9, 0.99]}


def test_the_kinds_taken_for_granted_are_the_defaults() -> None:
    assert {key: getattr(stage(), key).name for key in DEFAULT_KINDS} == DEFAULT_KINDS


@pytest.mark.parametrize("order", [1, -1])
def test_overrides_of_a_schedule_in_any_order(tmp_path: Path, order: int) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(
        "name: e\ndataset: d\nstages: {a: {task: toy, schedule: {warmup: 9, floor: 0.5}, "
        "training: {iterations: 5, batch_size: 1}}}\nscales: {big: {stages: {a: {schedule: {floor: 0.2}}}}}\n"
    )
    given = ["stages.a.schedule.name=step", "stages.a.schedule.every=3", "stages.a.schedule.warmup=2"][::order]
    experiment = load_experiment(file, "big", given)
    assert experiment.stages["a"].schedule == StepSchedule(every=3, warmup=2)
    assert load_experiment(file, "big").stages["a"].schedule == CosineSchedule(warmup=9, floor=0.2)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"optimizer": {"head_multiplier": 10}}, "optimizer: head_multiplier needs layer_decay"),
        ({"training": MINIMAL["training"] | {"clip_norm": 1, "clip_value": 1}}, "at most one of clip_norm and clip_va"),
        ({"training": MINIMAL["training"] | {"ema": {"decai": 1}}}, r"'training\.ema\.decai' \(did you mean 'decay'"),
        ({"training": MINIMAL["training"] | {"ema": {"decay": 1}}}, r"training\.ema\.decay: .*less than 1"),
    ],
)
def test_options_that_exclude_each_other(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stage(**blocks)
