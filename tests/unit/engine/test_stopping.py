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
