import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from weft.engine.fit import fit
from weft.engine.model_file import read_model
from weft.engine.profiling import PHASES, Stopwatch

Shards = list[dict[str, Path]]
COLUMNS = [f"seconds_{phase}" for phase in PHASES]


class Clock:
    """Time that passes when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(clock: Clock) -> tuple[Stopwatch, Any]:
    stopwatch, trainer = Stopwatch(torch.device("cpu")), SimpleNamespace(global_step=0)
    stopwatch._now = clock
    stopwatch.on_train_start(trainer, None)  # type: ignore[arg-type]
    return stopwatch, trainer


def micro_batch(
    stopwatch: Stopwatch,
    trainer: Any,
    clock: Clock,
    times: tuple[float, float, float, float],
    saving: float,
    ends: bool,
) -> None:
    """One micro-batch as the loop has it: four phases, then what other callbacks do."""
    hooks: tuple[Callable[[], None], ...] = (
        lambda: stopwatch.on_train_batch_start(trainer, None, None, 0),
        lambda: stopwatch.on_before_backward(trainer, None, None),
        lambda: stopwatch.on_after_backward(trainer, None),
        lambda: stopwatch.on_train_batch_end(trainer, None, None, None, 0),
    )
    trainer.global_step += ends
    for seconds, hook in zip(times, hooks, strict=True):
        clock.now += seconds
        hook()
    clock.now += saving
    stopwatch.rest.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]


def test_seconds_per_step_by_phase_over_micro_batches_without_saving_and_validation() -> None:
    clock = Clock()
    stopwatch, trainer = watched(clock)
    for ends in (False, True, False, True):  # two steps of two micro-batches
        micro_batch(stopwatch, trainer, clock, (1.0, 2.0, 4.0, 0.5 if ends else 0.0), saving=100.0, ends=ends)
    clock.now += 1000.0
    stopwatch.rest.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert stopwatch.row() == {
        "seconds_per_step": 14.5,
        "seconds_data": 2.0,
        "seconds_forward": 4.0,
        "seconds_backward": 8.0,
        "seconds_optimizer": 0.5,
    }
    # A row is about the steps since the last one.
    micro_batch(stopwatch, trainer, clock, (3.0, 1.0, 1.0, 0.0), saving=0.0, ends=False)
    micro_batch(stopwatch, trainer, clock, (1.0, 1.0, 1.0, 1.0), saving=0.0, ends=True)
    row = stopwatch.row()
    assert (row["seconds_per_step"], row["seconds_data"]) == (9.0, 4.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_times_of_a_gpu_are_its_own() -> None:
    stopwatch, trainer = Stopwatch(torch.device("cuda")), SimpleNamespace(global_step=0)
    a = torch.randn(4096, 4096, device="cuda")
    stopwatch.on_train_start(trainer, None)  # type: ignore[arg-type]
    stopwatch.on_train_batch_start(trainer, None, None, 0)  # type: ignore[arg-type]
    for _ in range(50):
        a = a @ a / 4096
    stopwatch.on_before_backward(trainer, None, None)  # type: ignore[arg-type]
    stopwatch.on_after_backward(trainer, None)  # type: ignore[arg-type]
    trainer.global_step = 1
    stopwatch.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    row = stopwatch.row()
    assert row["seconds_forward"] > 0.9 * row["seconds_per_step"] > 0


# --- in a training ----------------------------------------------------------------------------------------


@pytest.fixture
def train(toy: Any, make_stage: Any, shards: Shards, tmp_path: Path) -> Callable[..., Path]:
    def train(name: str, profile: bool = False, **training: Any) -> Path:
        output = tmp_path / name
        fit(toy, make_stage(**training), 0, shards, shards[1:], output, output / "work", {}, profile=profile)
        return output

    return train


def test_the_log_has_the_parts_of_a_step(train: Callable[..., Path]) -> None:
    log = pd.read_csv(train("a", log_every=3, accumulate=1) / "log.csv")
    rows = log[log.split == "train"]
    assert rows.step.tolist() == [3, 6, 9, 12]
    assert (rows[COLUMNS] > 0).all().all()
    assert rows[COLUMNS].sum(axis=1).to_numpy() == pytest.approx(rows.seconds_per_step.to_numpy(), abs=3e-6)
    assert log[log.split == "val"][COLUMNS].isna().all().all()


def test_a_profile_changes_nothing_and_shows_a_few_steps(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, profiled = train("plain"), train("profiled", profile=True)
    a, b = (read_model(output / "model.ckpt").state for output in (plain, profiled))
    assert all(torch.equal(a[name], b[name]) for name in a)
    losses = [pd.read_csv(output / "log.csv").loss.tolist() for output in (plain, profiled)]
    assert losses[0] == losses[1]
    (work,) = (profiled / "work").iterdir()
    names = [event.get("name") for event in json.loads((work / "trace.json").read_text())["traceEvents"]]
    for phase in ("forward", "backward", "optimizer"):
        assert names.count(f"weft {phase}") == 5
    printed = capsys.readouterr().out
    assert f"profile: {work / 'trace.json'}" in printed
    assert "Self CPU" in printed
    # Profiling is no other work: what is finished is not trained again.
    train("profiled", profile=True)
    assert "nothing is left to train" in capsys.readouterr().out
    assert len(list((profiled / "work").iterdir())) == 1


def test_a_training_shorter_than_the_profile(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    short = train("short", profile=True, iterations=5)
    (work,) = (short / "work").iterdir()
    names = [event.get("name") for event in json.loads((work / "trace.json").read_text())["traceEvents"]]
    assert names.count("weft forward") == 2
    train("shorter", profile=True, iterations=3, validate_every=3)
    assert "profile: no trace, the training was over within the 3 steps before it" in capsys.readouterr().out
