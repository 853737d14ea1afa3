import json
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from weft.config.experiment import Optimizer, Resources
from weft.config.schedule import ConstantSchedule
from weft.engine.corpus import Corpus
from weft.engine.deploy import deploy
from weft.engine.evaluate import evaluate
from weft.engine.fit import fit, fit_baseline
from weft.engine.logs import Interrupted
from weft.engine.model_file import read_model
from weft.engine.randomness import initial_seed
from weft.errors import WeftError
from weft.io.store import EventStore
from weft.metrics.scores import read_scores

Shards = list[dict[str, Path]]
Fit = Callable[..., Path]


def state(output: Path) -> dict[str, torch.Tensor]:
    return read_model(output / "model.ckpt").state


def identical(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_learns_and_leaves_its_files(run: Fit) -> None:
    output = run("a", iterations=60, validate_every=20)
    log = pd.read_csv(output / "log.csv")
    train, val = log[log.split == "train"], log[log.split == "val"]
    assert len(train) == 60
    assert val.step.tolist() == [20, 40, 60]
    assert train.loss.tail(10).mean() < 0.5 * train.loss.head(3).mean()
    assert val.accuracy.iloc[-1] > 0.9
    assert train.accuracy.head(3).mean() < train.accuracy.tail(10).mean()
    assert train.accuracy.tail(10).mean() > 0.8
    record = json.loads((output / "model.json").read_text())
    assert record["seeds"] == {"run": 0}
    assert record["best_step"] in (20, 40, 60)
    assert record["parameters"] == 2 * 8 + 2 * 8 + 2 * 8 + 2


def test_same_seed_same_weights_whatever_the_workers(run: Fit) -> None:
    assert identical(state(run("a")), state(run("b", workers=2)))
    assert not identical(state(run("a2")), state(run("c", seed=1)))


class Interrupting:
    """The toy task, sending its own process a signal while it computes the loss of one step."""

    def __init__(self, toy: Any, step: int, number: int) -> None:
        self.toy, self.step, self.number, self.steps = toy, step, number, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def loss(self, *arguments: Any) -> Any:
        self.steps += 1
        if self.steps == self.step:
            os.kill(os.getpid(), self.number)
        return self.toy.loss(*arguments)


@pytest.mark.parametrize("step", [1, 3, 4, 7])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_is_bit_identical(run: Fit, toy: Any, step: int, number: int) -> None:
    whole = run("whole", workers=1)
    with pytest.raises(Interrupted, match=f"stopped after step {step} of 12"):
        run("parts", task=Interrupting(toy, step, number), workers=1)
    parts = run("parts", workers=1)
    assert identical(state(whole), state(parts))
    columns = ["step", "split", "loss", "lr", "accuracy"]
    ours, theirs = pd.read_csv(parts / "log.csv")[columns], pd.read_csv(whole / "log.csv")[columns]
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


class ManySignals(Interrupting):
    """As at Slurm's time limit: every process of the job is told to end, and the training is told twice."""

    def loss(self, *arguments: Any) -> Any:
        if self.steps + 1 == self.step:
            for child in multiprocessing.active_children():
                subprocess.run(["kill", f"-{int(self.number)}", str(child.pid)], check=True)
            os.kill(os.getpid(), self.number)
        return super().loss(*arguments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_every_process_and_passed_on_twice_is_one(run: Fit, toy: Any, number: int) -> None:
    whole = run("whole", workers=1)
    with pytest.raises(Interrupted, match="stopped after step 3 of 12"):
        run("parts", task=ManySignals(toy, 3, number), workers=1)
    assert identical(state(whole), state(run("parts", workers=1)))


@pytest.mark.parametrize(("interval", "validated"), [(1000, [5]), (3, [3, 5]), (5, [5])])
def test_the_last_step_is_validated_whatever_the_interval(run: Fit, interval: int, validated: list[int]) -> None:
    output = run("a", iterations=5, validate_every=interval)
    log = pd.read_csv(output / "log.csv")
    assert log[log["split"] == "val"]["step"].tolist() == validated
    assert json.loads((output / "model.json").read_text())["best_step"] in validated


def test_signals_are_handled_as_before_afterwards(run: Fit, toy: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run("a", iterations=2)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(Interrupted):
        run("b", task=Interrupting(toy, 2, signal.SIGTERM))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_work_of_another_config_is_not_resumed(run: Fit, tmp_path: Path) -> None:
    run("a", iterations=8)
    run("a", iterations=12)
    assert len(list((tmp_path / "a" / "work").iterdir())) == 2


def test_early_stopping_and_best_weights(run: Fit) -> None:
    output = run("a", iterations=400, validate_every=4, patience=2, monitor="accuracy", mode="max")
    log = pd.read_csv(output / "log.csv")
    val = log[log.split == "val"]
    best = json.loads((output / "model.json").read_text())["best_step"]
    assert val.step.iloc[-1] < 400
    assert val.step.iloc[-1] == best + 2 * 4
    assert val.set_index("step").accuracy[best] == val.accuracy.max()


def test_unknown_metric_and_optimiser_are_named(
    run: Fit, toy: Any, make_stage: Any, shards: Shards, tmp_path: Path
) -> None:
    with pytest.raises(WeftError, match=r"no metric 'acuracy' \(did you mean 'accuracy'\?\)"):
        run("a", monitor="acuracy")
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").rglob("*.ckpt"))  # known before the first step
    stage = make_stage()
    bad = stage.model_copy(update={"optimizer": stage.optimizer.model_copy(update={"name": "Adamm"})})
    with pytest.raises(WeftError, match="no optimiser 'Adamm'"):
        fit(toy, bad, 0, shards, shards, tmp_path / "b", tmp_path / "b", {})


def test_deploy_evaluate(run: Fit, toy: Any, shards: Shards, tmp_path: Path) -> None:
    model = run("a", iterations=60, validate_every=20) / "model.ckpt"
    prediction = tmp_path / "prediction.h5"
    hashes = set()
    for batch_size in (1, 3, 9):
        deploy(toy, model, shards[0], prediction, {}, batch_size=batch_size)
        with EventStore.open(prediction) as store:
            hashes.add(store.content_hash)
            assert store["semantics"].counts.tolist() == [30, 0, 40, 50, 20]
    assert len(hashes) == 1
    evaluate(toy, {"test": {"0": {"truth": shards[0]["truth"], "prediction": prediction}}}, tmp_path / "scores")
    assert toy.summary(read_scores(tmp_path / "scores").events)["accuracy"] > 0.9


def test_baseline_through_the_same_stores(toy: Any, shards: Shards, tmp_path: Path) -> None:
    fit_baseline(toy, shards, tmp_path / "b", {}, 0)
    files = {str(k): {"truth": shard["truth"], "prediction": tmp_path / f"{k}.h5"} for k, shard in enumerate(shards)}
    for k, shard in enumerate(shards):
        deploy(toy, tmp_path / "b" / "model.ckpt", shard, files[str(k)]["prediction"], {}, baseline=True)
    evaluate(toy, {"test": files}, tmp_path / "s")
    events = read_scores(tmp_path / "s").events
    assert events.shard.tolist() == ["0"] * 5 + ["1"] * 4
    opened = [EventStore.open(shard) for shard in shards]
    expected = np.concatenate([store["charge"][i] for store in opened for i in range(len(store))])
    threshold = toy.load_baseline(tmp_path / "b" / "model.ckpt").threshold
    assert events.right.sum() == ((expected > 1) == (expected > threshold)).sum()


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_text("hello")
    with pytest.raises(WeftError, match="not a model file of weft"):
        read_model(tmp_path / "model.ckpt")
    with pytest.raises(WeftError, match="train the stage first"):
        read_model(tmp_path / "none.ckpt")


def test_clipping_bounds_the_first_step(run: Fit, toy: Any, make_stage: Any, shards: Shards, tmp_path: Path) -> None:
    torch.manual_seed(initial_seed(0))
    first = toy.network().state_dict()
    moved = {}
    for clip in (None, 1e-3):
        out = tmp_path / str(clip)
        stage = make_stage(iterations=1, validate_every=1, clip_norm=clip)
        plain = {
            "optimizer": Optimizer(name="SGD", lr=1.0, options={"momentum": 0.0}),
            "schedule": ConstantSchedule(),
        }
        fit(toy, stage.model_copy(update=plain), 0, shards, shards, out, out, {})
        weights = [name for name, _ in toy.network().named_parameters()]
        moved[clip] = float(sum(((state(out)[name] - first[name]) ** 2).sum() for name in weights)) ** 0.5
    assert moved[None] > 2e-3
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_validation_on_the_first_events_only(run: Fit, toy: Any) -> None:
    counted = []

    class Counting(Interrupting):
        def score(self, store: Any, *names: Any) -> Any:
            counted.append(len(store))
            return self.toy.score(store, *names)

    run("a", task=Counting(toy, -1, 0), validation_events=3, iterations=4)
    assert counted == [3]


def test_unknown_options_of_an_optimiser(toy: Any, make_stage: Any, shards: Shards, tmp_path: Path) -> None:
    stage = make_stage().model_copy(update={"optimizer": Optimizer(name="SGD", options={"momentun": 0.9})})
    with pytest.raises(WeftError, match=r"optimizer\.options: SGD: .*momentun"):
        fit(toy, stage, 0, shards, shards, tmp_path, tmp_path, {})


def test_a_loss_that_is_not_finite_is_named(run: Fit, toy: Any) -> None:
    class Diverging(Interrupting):
        def loss(self, *arguments: Any) -> Any:
            (total, weight) = super().loss(*arguments)["semantic"]
            return {"semantic": (total * (float("nan") if self.steps == 3 else 1), weight)}

    with pytest.raises(WeftError, match=r"^step 3, micro-batch 2: the loss is not finite \(semantic nan\); events of "):
        run("a", task=Diverging(toy, -1, 0))


def test_devices_and_precisions_that_are_not_there(
    run: Fit, toy: Any, make_stage: Any, shards: Shards, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(WeftError, match="16-mixed needs a GPU"):
        run("a", precision="16-mixed")
    stage = make_stage().model_copy(update={"resources": Resources(gpu=1)})
    with pytest.raises(WeftError, match=r"resources\.gpu: 1 asked for, 0 found"):
        fit(toy, stage, 0, shards, shards, tmp_path, tmp_path, {})
    model = run("b") / "model.ckpt"
    with pytest.raises(WeftError, match=r"resources\.gpu: 1 asked for, 0 found"):
        deploy(toy, model, shards[0], tmp_path / "p.h5", {}, gpu=True)
    assert not (tmp_path / "p.h5").exists()
    assert pd.read_csv(run("c", precision="bf16-mixed") / "log.csv").loss.notna().all()


def test_killed_before_the_last_validation_is_not_taken_for_done(run: Fit, toy: Any) -> None:
    class Killed(Exception):
        pass

    class DyingInTheLastValidation(Interrupting):
        def validate(self, model: Any, batch: Any, counts: Any = None) -> Any:
            raise Killed

    whole = run("whole", iterations=5, validate_every=100)
    with pytest.raises(Killed):
        run("parts", task=DyingInTheLastValidation(toy, 5, signal.SIGTERM), iterations=5, validate_every=100)
    assert identical(state(whole), state(run("parts", iterations=5, validate_every=100)))


def test_labels_come_from_the_truth_whatever_the_needs(toy: Any, shards: Shards, tmp_path: Path) -> None:
    event = Corpus(shards, {"semantics": "first", "charge": "truth"})[0]
    assert len(event["truth/semantics"]) == 30
    assert "semantics" not in event
    assert "charge" in event
