from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from weft.engine.best import BEST, BestWeights
from weft.engine.checkpoint_file import DiskFull, read_checked
from weft.engine.fit import fit
from weft.engine.model_file import read_model
from weft.engine.resume import LAST, PREVIOUS, RECORD
from weft.errors import WeftError

Shards = list[dict[str, Path]]
Train = Callable[..., Path]


@pytest.fixture
def train(toy: Any, shards: Shards, make_stage: Any, tmp_path: Path) -> Train:
    """Train with options like those of the rule, and give the folder of work."""

    def train(
        name: str, resume: Any = "auto", allow: bool = False, lr: float = 0.05, optimizer: Any = None, **training: Any
    ) -> Path:
        stage = make_stage(**training)
        changed = {"lr": lr} | (optimizer or {})
        stage = stage.model_copy(update={"optimizer": stage.optimizer.model_copy(update=changed)})
        options = stage.model_dump(mode="json", include={"optimizer", "schedule", "training"})
        output = tmp_path / name
        known = set(output.glob("work/*"))
        fit(toy, stage, 0, shards, shards[1:], output, output / "work", options, resume=resume, allow_changes=allow)
        new = set(output.glob("work/*")) - known
        return new.pop() if new else max(known, key=lambda folder: (folder / LAST).stat().st_mtime_ns)

    return train


def progress(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_checked(path)[RECORD]["progress"]
    return found


def test_a_changed_config_is_named_and_refused_unless_allowed(train: Train, tmp_path: Path) -> None:
    first = train("a", iterations=8)
    with pytest.raises(WeftError) as caught:
        train("b", first / LAST, lr=0.003, iterations=16, clip_norm=1)
    assert str(caught.value).startswith(f"--resume {first / LAST}: config or inputs differ")
    for change in (
        "optimizer.lr: 0.05 -> 0.003",
        "training.iterations: 8 -> 16",
        "training.clip_norm: null -> 1.0",
        "--allow-changes",
    ):
        assert change in str(caught.value)
    assert "validate_every" not in str(caught.value)
    assert not (tmp_path / "b" / "model.ckpt").exists()

    second = train("b", first / LAST, allow=True, lr=0.003, iterations=16, clip_norm=1)
    log = pd.read_csv(tmp_path / "b" / "log.csv")
    assert log[log.split == "train"].step.tolist() == list(range(1, 17))
    old = pd.read_csv(tmp_path / "a" / "log.csv")
    assert log[log.step <= 8].loss.tolist() == old.loss.tolist()
    rates = log[log.split == "train"].set_index("step").lr
    assert rates[8] > 0.0015  # of 0.05, near the end of its cosine
    assert 0.001 < rates[9] <= 0.003  # of the new peak, half way
    assert read_checked(second / LAST)["global_step"] == 16


def test_some_keys_cannot_change_even_so(train: Train) -> None:
    first = train("a", iterations=4)
    with pytest.raises(WeftError, match=r"cannot be resumed with another training\.accumulate: 1 -> 2; .* 'init'"):
        train("b", first / LAST, allow=True, iterations=4, accumulate=2)
    # Adam has no largest square so far, which it would miss in the first step.
    with pytest.raises(
        WeftError, match=r"cannot be resumed with another optimizer\.options\.amsgrad: not there -> true;"
    ):
        train("b", first / LAST, allow=True, iterations=8, optimizer={"options": {"amsgrad": True}})


def test_a_weight_decay_where_there_was_none_is_taken(train: Train) -> None:
    first = train("a", iterations=4)
    folder = train("b", first / LAST, allow=True, iterations=8, optimizer={"weight_decay": 0.1})
    (state,) = read_checked(folder / LAST)["optimizer_states"]
    assert [group["weight_decay"] for group in state["param_groups"]] == [0.1, 0.0]


def test_another_metric_has_another_best(train: Train, tmp_path: Path) -> None:
    first = train("a", iterations=4)
    folder = train("b", first / LAST, allow=True, iterations=8, monitor="accuracy", mode="max", keep_best=5)
    log = pd.read_csv(tmp_path / "b" / "log.csv").set_index(["split", "step"])
    (kept,) = progress(folder / LAST)["kept"]
    assert (kept["step"], kept["value"]) == (8, log.accuracy["val", 8])


def test_a_path_of_the_same_config_goes_back_to_its_step(train: Train, tmp_path: Path) -> None:
    folder = train("whole")
    whole = read_model(tmp_path / "whole" / "model.ckpt").state
    aside = tmp_path / "kept.ckpt"
    aside.write_bytes((folder / PREVIOUS).read_bytes())
    train("other", aside)
    again = read_model(tmp_path / "other" / "model.ckpt").state
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    log = pd.read_csv(tmp_path / "other" / "log.csv")
    assert log.step.min() == read_checked(aside)["global_step"] + 1  # no log beside it to take along


def test_what_a_named_checkpoint_replaces_is_no_way_back(train: Train, tmp_path: Path) -> None:
    """Back to the checkpoint before the last, then the new last one is damaged: the log has no gap."""
    folder = train("a", iterations=12)
    whole = read_model(tmp_path / "a" / "model.ckpt").state
    (folder / f"replaced-{LAST}").write_text("of another time")
    train("a", folder / PREVIOUS, iterations=12)
    assert (folder / f"replaced-{LAST}").read_text() == "of another time"
    assert read_checked(folder / f"replaced-1-{LAST}")["global_step"] == 12
    assert read_checked(folder / PREVIOUS)["global_step"] == 8
    (folder / LAST).write_bytes((folder / LAST).read_bytes()[:-1])
    train("a", iterations=12)
    log = pd.read_csv(tmp_path / "a" / "log.csv")
    assert log[log.split == "train"].step.tolist() == list(range(1, 13))
    again = read_model(tmp_path / "a" / "model.ckpt").state
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_resumed_training_deletes_no_weights_that_the_previous_checkpoint_needs(
    train: Train, make_stage: Any
) -> None:
    folder = train("a", iterations=12)
    (kept,), (before,) = (progress(folder / name)["kept"] for name in (LAST, PREVIOUS))
    assert kept != before
    best = BestWeights(folder, make_stage().training, {})
    best.restore(progress(folder / LAST))
    best.prune()
    assert (folder / kept["file"]).is_file()
    assert (folder / before["file"]).is_file()


def test_other_events_are_another_input(
    train: Train, toy: Any, make_stage: Any, shards: Shards, tmp_path: Path
) -> None:
    folder = train("a")
    stage = make_stage()
    options = stage.model_dump(mode="json", include={"optimizer", "schedule", "training"})
    with pytest.raises(WeftError, match="inputs: 0 files are new or changed, 1 no longer there"):
        fit(toy, stage, 0, shards[1:], shards[1:], tmp_path, tmp_path, options, resume=folder / LAST)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_path_that_cannot_be_read_is_an_error(train: Train, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeftError, match=r"x\.ckpt: (no such file|cut short)"):
        train("a", path)


def test_a_model_file_is_no_checkpoint(train: Train, tmp_path: Path) -> None:
    train("a", iterations=4)
    with pytest.raises(WeftError, match=r"model\.ckpt: not a checkpoint of a training; .* 'init'"):
        train("a", tmp_path / "a" / "model.ckpt", iterations=4)


def test_without_a_whole_checkpoint_the_training_begins_again(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train("a", iterations=8)
    whole = read_model(tmp_path / "a" / "model.ckpt").state
    for name in (LAST, PREVIOUS):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    capsys.readouterr()
    train("a", iterations=8)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all(line.startswith("warning: ") for line in said)
    assert said[2].endswith("no whole checkpoint, the training begins again")
    assert all((folder / f"damaged-{name}").is_file() for name in (LAST, PREVIOUS))
    again = read_model(tmp_path / "a" / "model.ckpt").state
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_none_begins_again(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train("a", iterations=4)
    (folder / "mark").write_text("")
    train("a", iterations=4)
    assert (folder / "mark").exists()
    assert "resuming at step 4" in capsys.readouterr().out
    train("a", "none", iterations=4)
    assert not (folder / "mark").exists()
    assert "resuming" not in capsys.readouterr().out


def test_the_best_are_kept_as_models_with_names_that_say_why(train: Train, tmp_path: Path) -> None:
    folder = train("a", iterations=12, validate_every=2, keep_best=3, monitor="accuracy", mode="max")
    log = pd.read_csv(tmp_path / "a" / "log.csv")
    val = log[log.split == "val"].set_index("step").accuracy.sort_values(ascending=False, kind="stable")
    expected = [f"step_{step:06d}-accuracy_{value:.4f}.ckpt" for step, value in val.head(3).items()]
    assert [kept["file"] for kept in progress(folder / LAST)["kept"]] == expected
    needed = {kept["file"] for name in (LAST, PREVIOUS) for kept in progress(folder / name)["kept"]}
    assert {path.name for path in folder.glob("step_*.ckpt")} == needed
    best, model = read_model(folder / BEST), read_model(tmp_path / "a" / "model.ckpt")
    assert (folder / BEST).resolve().name == expected[0]
    assert best.provenance["best_step"] == model.provenance["best_step"] == val.index[0]
    assert all(torch.equal(best.state[name], model.state[name]) for name in best.state)


def test_checkpoints_are_written_as_often_as_asked(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def note(path: Path, content: Any, keep_as: str | None = None) -> None:
        steps.append(content["global_step"])
        write(path, content, keep_as)

    from weft.engine import checkpoints

    write = checkpoints.write_checked
    monkeypatch.setattr(checkpoints, "write_checked", note)
    train("a", validate_every=4, iterations=14)
    assert steps == [4, 8, 12, 14]
    steps.clear()
    train("b", validate_every=4, iterations=14, save_every=3)
    assert steps == [3, 6, 9, 12, 14]


def test_a_full_disk_leaves_the_last_checkpoint(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    whole = train("whole")
    sync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").rpartition("/")[2].startswith(f".{LAST}"):
            calls.append(descriptor)
            if len(calls) > 2:  # each file is synced when it is written and when it gets its name
                raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match=r"last\.ckpt: no space left"):
            train("parts")
    (folder,) = (tmp_path / "parts" / "work").iterdir()
    assert read_checked(folder / LAST)["global_step"] == 4
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    train("parts")
    for one, other in ((whole, folder), (tmp_path / "whole", tmp_path / "parts")):
        name = LAST if one == whole else "model.ckpt"
        a, b = read_checked(one / name), read_checked(other / name)
        a, b = (a["state_dict"], b["state_dict"]) if one == whole else (a["state"], b["state"])
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_looking_for_the_monitored_metric_at_the_start_changes_nothing(train: Train) -> None:
    states = [
        read_checked(train(name, iterations=6, monitor=name, mode="max") / LAST)["state_dict"]
        for name in ("loss", "accuracy")
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
