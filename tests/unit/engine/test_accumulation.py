"""Micro-batches of one step against one batch of the same events."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from toy_task import Toy, ToyOptions, write_shard

from weft.config.experiment import Optimizer
from weft.config.schedule import ConstantSchedule
from weft.engine.accumulation import Steps, totals
from weft.engine.corpus import Corpus
from weft.engine.fit import fit
from weft.engine.logs import Interrupted
from weft.engine.model_file import read_model
from weft.engine.stream import Count, TrainingBatches, loader
from weft.engine.task import Batch, LossTerms, Sample, Task
from weft.errors import WeftError
from weft.tasks.segmentation.loss import SegmentationLoss

SIZES = [30, 0, 7, 50, 2, 10, 60, 31, 35]  # ragged, one empty


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2))

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.layers(batch.features)
        return logits


class Balanced(Toy):
    """Classes weigh the same, whatever their numbers; layer norm; nothing random."""

    criterion = SegmentationLoss(2, balance=1.0)

    def network(self) -> nn.Module:
        return Normed()

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return sample

    def counts(self, batch: Batch) -> Tensor:
        return self.criterion.counts(batch.targets["semantics"])

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        return self.criterion.weights(batch.targets["semantics"], counts=counts)

    def loss(self, output: Tensor, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        return self.criterion(output, batch.targets["semantics"], counts=counts)


def train(
    task: Task[Any], make_stage: Any, shards: list[dict[str, Path]], output: Path, **training: Any
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    plain = {"optimizer": Optimizer(name="SGD", lr=0.1), "schedule": ConstantSchedule()}
    stage = make_stage(iterations=6, validate_every=3, **training).model_copy(update=plain)
    fit(task, stage, 0, shards, shards, output, output / "work", training)
    return pd.read_csv(output / "log.csv"), read_model(output / "model.ckpt").state


@pytest.fixture
def ragged(tmp_path: Path) -> list[dict[str, Path]]:
    return [{"truth": write_shard(tmp_path / "ragged.h5", 5, SIZES)}]


@pytest.mark.parametrize(("accumulate", "batch_size"), [(2, 4), (8, 1)])
def test_a_step_of_micro_batches_is_a_step_of_their_union(
    make_stage: Any, ragged: Any, tmp_path: Path, accumulate: int, batch_size: int
) -> None:
    task = Balanced(ToyOptions())
    log, state = train(
        task, make_stage, ragged, tmp_path / "parts", batch_size=batch_size, accumulate=accumulate, workers=1
    )
    expected, union = train(task, make_stage, ragged, tmp_path / "union", batch_size=8)
    for name in union:
        torch.testing.assert_close(state[name], union[name], atol=1e-6, rtol=0)
    columns = ["step", "epoch", "split", "loss", "semantic", "accuracy"]
    pd.testing.assert_frame_equal(log[columns], expected[columns], atol=1e-6, rtol=0)


def test_the_mean_of_means_would_not_do(ragged: Any) -> None:
    task = Balanced(ToyOptions())
    batches = [TrainingBatches(task, Corpus(ragged), 0, 4)[t] for t in range(2)]
    counts, weights = totals(task, batches)
    union = TrainingBatches(task, Corpus(ragged), 0, 8)[0]
    assert counts is not None
    assert torch.equal(counts, task.counts(union))
    assert float(weights["semantic"]) == pytest.approx(float(counts[:2].sum()))
    network = task.network()
    terms = [task.loss(network(batch), batch, counts)["semantic"] for batch in batches]
    whole, weight = task.loss(network(union), union)["semantic"]
    exact = sum(total for total, _ in terms) / weights["semantic"]
    torch.testing.assert_close(exact.float(), whole / weight, atol=1e-6, rtol=0)
    means = [task.loss(network(batch), batch)["semantic"] for batch in batches]
    assert abs(sum(total / weight for total, weight in means) / 2 - whole / weight) > 1e-3


def test_micro_batches_come_in_order_and_end_where_the_loader_does(ragged: Any) -> None:
    task = Balanced(ToyOptions())
    feed = Steps(loader(TrainingBatches(task, Corpus(ragged), 0, 2), Count(4, 10), 1), task, 2)
    assert len(feed) == 10
    given = list(feed)
    assert [batch.events for batch in given] == [
        TrainingBatches(task, Corpus(ragged), 0, 2)[t].events for t in range(4, 10)
    ]
    for first, second in zip(given[::2], given[1::2], strict=True):
        assert torch.equal(first.counts, second.counts)
        assert torch.equal(first.counts, task.counts(first) + task.counts(second))


class Interrupting(Balanced):
    def __init__(self, micro_batch: int) -> None:
        super().__init__(ToyOptions())
        self.left = micro_batch

    def loss(self, output: Tensor, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(output, batch, counts)


@pytest.mark.parametrize("micro_batch", [4, 5, 6])
def test_a_signal_waits_for_the_end_of_the_step(make_stage: Any, ragged: Any, tmp_path: Path, micro_batch: int) -> None:
    settings: dict[str, Any] = {"batch_size": 2, "accumulate": 3}
    whole = train(Balanced(ToyOptions()), make_stage, ragged, tmp_path / "whole", **settings)
    with pytest.raises(Interrupted, match="stopped after step 2 of 6"):
        train(Interrupting(micro_batch), make_stage, ragged, tmp_path / "parts", **settings)
    parts = train(Balanced(ToyOptions()), make_stage, ragged, tmp_path / "parts", **settings)
    assert all(torch.equal(parts[1][name], whole[1][name]) for name in whole[1])
    columns = ["step", "split", "loss", "accuracy"]
    pd.testing.assert_frame_equal(parts[0][columns], whole[0][columns], check_exact=True)


def test_every_micro_batch_has_random_numbers_of_its_own(
    toy: Toy, make_stage: Any, ragged: Any, tmp_path: Path
) -> None:
    drawn = []

    class Drawing(Toy):
        def loss(self, output: Tensor, batch: Batch, counts: Tensor | None = None) -> LossTerms:
            if torch.is_grad_enabled():
                drawn.append(float(torch.rand(())))
            return super().loss(output, batch, counts)

    train(Drawing(toy.options), make_stage, ragged, tmp_path / "a", batch_size=2, accumulate=2)
    assert len(drawn) == len(set(drawn)) == 12


def test_epochs_count_events_not_micro_batches(toy: Toy, make_stage: Any, ragged: Any, tmp_path: Path) -> None:
    stage = make_stage(iterations=None, epochs=4, batch_size=2, accumulate=3, validate_every=100)
    fit(toy, stage, 0, ragged, ragged, tmp_path / "a", tmp_path / "a" / "work", {})
    log = pd.read_csv(tmp_path / "a" / "log.csv")
    assert log["step"].max() == 6  # 4 · 9 events in steps of 6


def test_a_task_that_cannot_say_its_weights_is_refused(make_stage: Any, ragged: Any, tmp_path: Path) -> None:
    class Late(Toy):
        weights = Task.weights

    with pytest.raises(WeftError, match=r"training\.accumulate: task 'toy' cannot say the weights"):
        train(Late(ToyOptions()), make_stage, ragged, tmp_path / "a", batch_size=2, accumulate=2)


@pytest.mark.parametrize("ghosts", [False, True])
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_weights_of_the_segmentation_are_those_of_its_loss(ghosts: bool, balance: float) -> None:
    rng = np.random.default_rng(3)
    loss = SegmentationLoss(3, ghosts, balance, upweight_points=True)
    parts: Sequence[tuple[Tensor, Tensor]] = [
        (torch.from_numpy(rng.integers(-1, 3 + ghosts, size)), torch.from_numpy(rng.random(size) < 0.2))
        for size in (40, 0, 3)
    ]
    counts = sum(loss.counts(labels, near) for labels, near in parts)
    for labels, near in parts:
        logits = torch.randn(len(labels), 3), torch.randn(len(labels), 2) if ghosts else None
        terms = loss(logits[0], labels, logits[1], near, counts)  # type: ignore[arg-type]
        assert loss.weights(labels, near, counts) == {name: weight for name, (_, weight) in terms.items()}  # type: ignore[arg-type]
