"""Training that is killed, at any moment and again and again, ends with the bits of one that was not."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from weft.config.experiment import Stage
from weft.engine.checkpoint_file import read_checked
from weft.engine.fit import fit
from weft.engine.model_file import read_model
from weft.engine.resume import LAST, PREVIOUS, RECORD

Shards = list[dict[str, Path]]

SETTINGS = {
    "accumulate": {"accumulate": 3, "iterations": 10},
    "save_every": {"save_every": 3, "keep_best": 2, "ema": None},
    "plateau": {"iterations": 14, "patience": 3, "monitor": "accuracy", "mode": "max"},
}
OTHERS = {
    "early": {"iterations": 40, "patience": 1, "min_delta": 10.0},
    "long": {"iterations": 60, "accumulate": 3},
}
SCHEDULES = {"plateau": {"name": "plateau", "patience": 0, "factor": 0.5}}


def stage(case: str) -> Stage:
    training = {"iterations": 13, "batch_size": 3, "validate_every": 4, "log_every": 1, "workers": 2, "ema": {}}
    return Stage.model_validate(
        {
            "task": "toy",
            "training": training | (SETTINGS | OTHERS)[case],
            "optimizer": {"lr": 0.05, "weight_decay": 0.1},
            "schedule": SCHEDULES.get(case, {"name": "cosine", "warmup": 3}),
        }
    )


class Doom:
    """Kills its process at the n-th of the things that it is told of."""

    def __init__(self, countdown: int) -> None:
        self.countdown = countdown

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def doomed(*arguments: Any, **named: Any) -> Any:
            self.countdown -= 1
            if self.countdown == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return doomed


def life(toy: Any, case: str, shards: Shards, output: Path, countdown: int, files: bool = True) -> None:
    """One process, that dies when it has counted down batches, and with ``files`` what happens to its files."""
    os.setsid()
    sys.stdout = sys.stderr = open(output.with_suffix(".txt"), "a", buffering=1)  # noqa: SIM115
    doom = Doom(countdown)
    toy.loss, toy.validate = doom(toy.loss), doom(toy.validate)
    if files:
        os.fsync, os.replace = doom(os.fsync), doom(os.replace)
    train(toy, case, shards, output)


def train(toy: Any, case: str, shards: Shards, output: Path) -> None:
    fit(toy, stage(case), 0, shards, shards[1:], output, output / "work", {"case": case}, threads=1)


def live(toy: Any, case: str, shards: Shards, output: Path, *arguments: Any, seconds: float | None = None) -> int:
    """Exit code of a process that is killed some seconds after there is a checkpoint, if it has not died before."""
    process = multiprocessing.get_context("fork").Process(target=life, args=(toy, case, shards, output, *arguments))
    process.start()
    while seconds is not None and process.is_alive() and not any(output.glob(f"work/*/{LAST}")):
        time.sleep(0.002)
    process.join(seconds)
    process.kill()
    process.join()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # loader processes left behind
    assert process.exitcode is not None
    return process.exitcode


def results(output: Path) -> tuple[pd.DataFrame, Any, Any]:
    """The log without times and memory, the model, and all that is in the last checkpoint."""
    log = pd.read_csv(output / "log.csv")
    log = log.drop(columns=[name for name in log if name.startswith(("seconds", "memory"))])
    last = read_checked(next(output.glob(f"work/*/{LAST}")))
    last[RECORD] = last[RECORD]["progress"]  # the rest says when and how
    return log, read_model(output / "model.ckpt").state, last


def assert_same(a: Any, b: Any, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def assert_the_same(toy: Any, case: str, shards: Shards, parts: Path) -> None:
    """That ``parts`` is what an uninterrupted training gives."""
    train(toy, case, shards, parts.with_name("whole"))
    (log, model, last), (log_, model_, last_) = results(parts.with_name("whole")), results(parts)
    pd.testing.assert_frame_equal(log, log_, check_exact=True)
    assert_same(model, model_)
    assert_same(last, last_)


@pytest.mark.parametrize("case", SETTINGS)
def test_killed_between_any_two_things_it_does(toy: Any, shards: Shards, tmp_path: Path, case: str) -> None:
    """In a step, inside an accumulation, in a validation, before and after a file is on the disk or gets its name."""
    moments = random.Random(case)
    lives, code = 0, -signal.SIGKILL
    while code != 0:
        lives += 1
        code = live(toy, case, shards, tmp_path / "parts", moments.randint(8, 40))
        assert code in (0, -signal.SIGKILL), (tmp_path / "parts.txt").read_text()
        assert lives < 30, (tmp_path / "parts.txt").read_text()
    assert lives > 2
    assert "resuming at step" in (tmp_path / "parts.txt").read_text()
    assert_the_same(toy, case, shards, tmp_path / "parts")


def test_killed_at_any_time(toy: Any, shards: Shards, tmp_path: Path) -> None:
    times = random.Random(0)
    parts, told = tmp_path / "parts", tmp_path / "parts.txt"
    assert live(toy, "long", shards, parts, -1, seconds=times.uniform(0, 0.05)) == -signal.SIGKILL
    lives = 1
    while lives < 4 or "resuming at step" not in told.read_text():
        lives += 1
        live(toy, "long", shards, parts, -1, seconds=times.uniform(0.1, 0.2 * lives))
    assert live(toy, "long", shards, parts, -1) == 0
    assert 0 < int(told.read_text().split("resuming at step ")[1].split()[0]) < 60
    assert_the_same(toy, "long", shards, parts)


def test_killed_and_the_last_checkpoint_damaged(
    toy: Any, shards: Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Saved after steps 3, 6 and 9, and dies in step 10; the validations after 4 and 8 count twice, having a loss too.
    assert live(toy, "save_every", shards, tmp_path / "parts", 4 + 2 + 4 + 2 + 2, False) == -signal.SIGKILL
    (folder,) = (tmp_path / "parts" / "work").iterdir()
    data = bytearray((folder / LAST).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / LAST).write_bytes(data)
    train(toy, "save_every", shards, tmp_path / "parts")
    said = capsys.readouterr()
    assert f"warning: {folder / LAST}: damaged" in said.err
    assert f"resuming at step 6 from {folder / PREVIOUS}" in said.out
    assert_the_same(toy, "save_every", shards, tmp_path / "parts")


def test_stopped_early_and_killed_before_the_model_is_written_trains_no_further(
    toy: Any, shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("weft.engine.fit._finish", killed)
        with pytest.raises(Killed):
            train(toy, "early", shards, tmp_path / "parts")
    toy.loss = killed
    train(toy, "early", shards, tmp_path / "parts")
    del toy.loss
    log = pd.read_csv(tmp_path / "parts" / "log.csv")
    assert log.step.max() < 40
    assert_the_same(toy, "early", shards, tmp_path / "parts")
