import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

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
