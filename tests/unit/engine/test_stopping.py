import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from test_kill import assert_same, results

from weft.engine import stopping
from weft.engine.checkpoint_file import read_checked
from weft.engine.fit import fit
from weft.engine.logs import Interrupted
from weft.engine.model_file import read_model
from weft.engine.resume import LAST
from weft.engine.stopping import StopAtOnce, StopRequest

Shards = list[dict[str, Path]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_at_once_and_loses_only_what_is_not_saved(
    toy: Any, shards: Shards, make_stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def train(output: Path) -> dict[str, torch.Tensor]:
        fit(toy, make_stage(), 0, shards, shards[1:], output, output / "work", {})
        return read_model(output / "model.ckpt").state

    steps = []

    def loss(*arguments: Any) -> Any:
        steps.append(None)
        if len(steps) == 4 + 1 + 3:  # four steps, a validation, and in the third step after it
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        return type(toy).loss(toy, *arguments)

    monkeypatch.setattr(stopping, "_ONE_REQUEST", -1.0)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(toy, "loss", loss)
        with pytest.raises(Interrupted, match="again: left at once after step 6; the last checkpoint is of step 4"):
            train(tmp_path / "parts")
    assert signal.getsignal(number) is before
    (folder,) = (tmp_path / "parts" / "work").iterdir()
    assert read_checked(folder / LAST)["global_step"] == 4
    parts, whole = train(tmp_path / "parts"), train(tmp_path / "whole")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_step_is_told_like_any_other(
    toy: Any, shards: Shards, make_stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Also while Lightning, which would end with the exit code 0, has handlers of its own."""

    def validate(*arguments: Any) -> Any:  # at the start, for the names of the metrics
        os.kill(os.getpid(), number)
        return type(toy).validate(toy, *arguments)

    monkeypatch.setattr(toy, "validate", validate)
    stage = make_stage(monitor="accuracy", mode="max", accumulate=2, batch_size=2)
    with pytest.raises(Interrupted, match="stopped after step 0 of 12"):
        fit(toy, stage, 0, shards, shards[1:], tmp_path / "a", tmp_path / "a" / "work", {})


@pytest.mark.parametrize(
    ("moments", "patience"),
    [
        ([("loss", 8)], None),
        ([("validate", 3), ("validate", 1)], None),
        ([("validate", 4)], None),
        ([("validate", 3)], 1),
    ],
)
def test_a_validation_is_put_off_and_made_up(
    toy: Any,
    shards: Shards,
    make_stage: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moments: Any,
    patience: Any,
) -> None:
    """Told in the step before it, in its first batch, in the one that makes it up, in its last; where it ends all."""
    stage = make_stage(accumulate=2, batch_size=2, ema={}, keep_best=3, iterations=14, patience=patience, min_delta=9.0)
    stage = stage.model_copy(update={"evaluation": stage.evaluation.model_copy(update={"batch_size": 2})})

    def train(output: Path) -> None:
        fit(toy, stage, 0, shards, shards[1:], output, output / "work", {})

    def told(moment: str, countdown: int) -> Any:
        left = [countdown]

        def called(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return getattr(type(toy), moment)(toy, *arguments)

        return called

    train(tmp_path / "whole")
    assert pd.read_csv(tmp_path / "whole" / "log.csv").step.max() == (8 if patience else 14)
    parts = tmp_path / "parts"
    for moment, countdown in moments:
        with monkeypatch.context() as patch:
            patch.setattr(toy, moment, told(moment, countdown))
            with pytest.raises(Interrupted, match=r"stopped after step (4|8) of 14, everything saved"):
                train(parts)
    (folder,) = (parts / "work").iterdir()
    step = read_checked(folder / LAST)["global_step"]
    log = pd.read_csv(folder / "log.csv")
    assert log[log.split == "train"].step.max() == step
    assert step not in set(log[log.split == "val"].step)
    with open(folder / "log.csv", "a") as stream:  # as if killed when it was made up, but not yet saved
        stream.write(f"{step},0.0,val,1e9\n")
    train(parts)
    (log, model, last), (log_, model_, last_) = results(tmp_path / "whole"), results(parts)
    pd.testing.assert_frame_equal(log, log_, check_exact=True)
    assert_same(model, model_)
    assert_same(last, last_)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["Corpus.content_hashes", "_total_counts", "_finish"])
def test_a_signal_outside_the_training_has_nothing_to_save(
    toy: Any, shards: Shards, make_stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, moment: str
) -> None:
    def train() -> None:
        fit(toy, make_stage(iterations=2), 0, shards, shards[1:], tmp_path / "a", tmp_path / "a" / "work", {})

    def told(*arguments: Any) -> None:
        os.kill(os.getpid(), number)
        raise AssertionError("went on")

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(f"weft.engine.fit.{moment}", told)
        with pytest.raises(
            Interrupted, match=f"{signal.Signals(number).name}: left at once, there was nothing to save"
        ):
            train()
    assert signal.getsignal(number) is before
    train()
    assert read_model(tmp_path / "a" / "model.ckpt").provenance["best_step"] == 2


def test_in_a_slurm_job_lightning_neither_saves_nor_requeues(
    toy: Any, shards: Shards, make_stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"JOB_ID": "7", "JOB_NAME": "train", "NTASKS": "1", "PROCID": "0", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    handlers = []

    def loss(*arguments: Any) -> Any:
        handlers.append(signal.getsignal(signal.SIGUSR1))
        return type(toy).loss(toy, *arguments)

    before = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr(toy, "loss", loss)
    fit(toy, make_stage(iterations=2), 0, shards, shards[1:], tmp_path / "a", tmp_path / "a" / "work", {})
    assert set(handlers) == {before}


def test_signals_close_to_each_other_are_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with StopRequest() as stop:
        stop.listen()
        assert stop.asked is None
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked == "SIGTERM"
        monkeypatch.setattr(stopping, "_ONE_REQUEST", -1.0)
        with pytest.raises(StopAtOnce):
            os.kill(os.getpid(), signal.SIGTERM)
