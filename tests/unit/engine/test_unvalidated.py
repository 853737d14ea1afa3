"""A training whose validations are turned off keeps its last weights, and needs no events to validate on."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from weft.config import Experiment, Layout, dataset_from, plan
from weft.config.experiment import Stage
from weft.config.loading import ConfigError
from weft.engine.best import BEST
from weft.engine.checkpoint_file import read_checked
from weft.engine.fit import fit
from weft.engine.logs import Interrupted
from weft.engine.model_file import read_model
from weft.engine.resume import LAST, RECORD

Shards = list[dict[str, Path]]
Fit = Callable[..., Path]


@pytest.fixture
def run(toy: Any, shards: Shards, make_stage: Any, tmp_path: Path) -> Fit:
    """Train, by default without validations and without a file to validate on; gives the folder of results."""

    def run(name: str, task: Any = toy, resume: Any = "auto", allow: bool = False, **training: Any) -> Path:
        output = tmp_path / name
        stage = make_stage(**{"validate_every": None} | training)
        validated = shards[1:] if stage.require_training().reads_val else []
        options = stage.model_dump(mode="json", include={"training"})
        work = output / "work"
        fit(task, stage, 0, shards, validated, output, work, options, resume=resume, allow_changes=allow)
        return output

    return run


def state(output: Path) -> dict[str, torch.Tensor]:
    return read_model(output / "model.ckpt").state


def identical(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def work(output: Path) -> Path:
    (folder,) = (output / "work").iterdir()
    return folder


def test_the_last_weights_are_kept(run: Fit) -> None:
    output = run("off")
    folder = work(output)
    log = pd.read_csv(output / "log.csv")
    assert log["split"].tolist() == ["train"] * 12
    assert json.loads((output / "model.json").read_text())["best_step"] == 12
    assert (folder / BEST).resolve().name == "step_000012.ckpt"
    assert identical(read_model(folder / BEST).state, state(output))
    last = read_checked(folder / LAST)
    weights = {name.removeprefix("network."): value for name, value in last["state_dict"].items()}
    assert identical(weights, state(output))
    assert last[RECORD]["progress"]["finished"]
    # Validations do not change a training: one with them ends with the same weights, and chooses among others.
    on = run("on", validate_every=4)
    last_on = read_checked(work(on) / LAST)["state_dict"]
    assert identical({name.removeprefix("network."): value for name, value in last_on.items()}, state(output))


def test_a_finished_training_is_not_trained_again(run: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(run("off"))
    (run("off") / "model.ckpt").unlink()
    capsys.readouterr()
    assert identical(state(run("off")), before)
    assert "resuming at step 12" in capsys.readouterr().out


def test_averages_are_what_is_kept(run: Fit) -> None:
    averaged = state(run("averaged", ema={"decay": 0.9}))
    assert not identical(averaged, state(run("plain")))
    last = read_checked(work(run("averaged", ema={"decay": 0.9})) / LAST)
    averages = next(part["averages"] for name, part in last["callbacks"].items() if "Averaging" in name)
    assert all(torch.equal(averaged[name], averages[name]) for name in averages)


class Interrupting:
    """The toy task, sending its own process a signal while it computes the loss of one step."""

    def __init__(self, toy: Any, step: int) -> None:
        self.toy, self.step, self.steps = toy, step, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def loss(self, *arguments: Any) -> Any:
        self.steps += 1
        if self.steps == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.toy.loss(*arguments)


@pytest.mark.parametrize("step", [3, 4, 12])
def test_interrupted_and_resumed_is_bit_identical(run: Fit, toy: Any, step: int) -> None:
    whole = run("whole", save_every=4)
    if step < 12:
        with pytest.raises(Interrupted, match=f"stopped after step {step} of 12"):
            run("parts", task=Interrupting(toy, step), save_every=4)
        assert not (whole.parent / "parts" / "model.ckpt").exists()
    else:  # the last step: there is nothing left to go on with
        run("parts", task=Interrupting(toy, step), save_every=4)
    parts = run("parts", save_every=4)
    assert identical(state(whole), state(parts))
    columns = ["step", "split", "loss", "lr"]
    ours, theirs = pd.read_csv(parts / "log.csv")[columns], pd.read_csv(whole / "log.csv")[columns]
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_weights_of_the_last_two_checkpoints_stay(run: Fit) -> None:
    folder = work(run("off", save_every=5))
    assert sorted(path.name for path in folder.glob("step_*.ckpt")) == ["step_000010.ckpt", "step_000012.ckpt"]


def test_validations_may_be_turned_on_and_off_on_the_way(run: Fit, tmp_path: Path) -> None:
    first = work(run("a"))
    second = run("b", resume=first / LAST, allow=True, validate_every=8, iterations=16)
    log = pd.read_csv(second / "log.csv")
    assert log[log["split"] == "val"]["step"].tolist() == [16]
    assert json.loads((second / "model.json").read_text())["best_step"] == 16
    third = run("c", resume=work(second) / LAST, allow=True, iterations=20)
    assert json.loads((third / "model.json").read_text())["best_step"] == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 2}, "patience needs validations"),
        ({"keep_best": 2}, "keep_best needs validations"),
        ({"hold_out": {"fraction": 0.5}}, "hold_out needs validations"),
        ({"validation_events": 2}, "validation_events needs validations"),
    ],
)
def test_what_needs_validations_is_refused(make_stage: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_stage(validate_every=None, **options)


def test_a_plateau_needs_validations() -> None:
    training = {"iterations": 4, "batch_size": 1, "validate_every": None}
    with pytest.raises(ValidationError, match="plateau follows the validations"):
        Stage.model_validate({"task": "toy", "training": training, "schedule": {"name": "plateau"}})


def test_no_split_to_validate_on_is_needed() -> None:
    splits = {name: {"events": 2, "seed": k} for k, name in enumerate(("train", "test"))}
    dataset = dataset_from({"name": "box", "source": "simulation", "splits": splits})

    def runs(**training: Any) -> Any:
        stage = {"task": "segmentation", "training": {"iterations": 4, "batch_size": 1} | training}
        experiment = Experiment.model_validate({"name": "e", "dataset": "box", "stages": {"net": stage}})
        return plan(experiment, dataset, Layout())

    with pytest.raises(ConfigError, match="no split 'val'"):
        runs()
    for without in ({"validate_every": None}, {"hold_out": {"fold": 0}}):
        model = next(run for run in runs(**without) if not run.is_baseline)
        assert model.training_inputs("train")
        assert model.training_inputs("val") == {}
