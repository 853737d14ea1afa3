"""Samples of a micro-batch put together anew before they are batched, and batches with more than voxels in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_task import Toy, ToyOptions, write_shard

from weft.engine.corpus import Corpus
from weft.engine.stream import Count, EventBatches, TrainingBatches, loader
from weft.engine.task import Batch, Sample


class Paired(Toy):
    """Two of the samples, drawn at random, become one."""

    def mix(self, samples: list[Sample], rng: np.random.Generator) -> list[Sample]:
        a, b = (samples[k].arrays for k in rng.permutation(len(samples))[:2])
        return [Sample({name: np.concatenate([a[name], b[name]]) for name in a}, samples[0].event)]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    shard = {"truth": tmp_path / "a.h5"}
    write_shard(shard["truth"], 0, [5, 9, 3, 0, 7, 4, 6, 8])
    return Corpus([shard])


def test_mixing_is_a_function_of_seed_and_batch_and_rank(corpus: Corpus) -> None:
    task = Paired(ToyOptions())
    batches = TrainingBatches(task, corpus, 3, 4)
    assert all(len(batches[t]) == 1 for t in range(4))
    for workers in (0, 2):
        again = list(loader(batches, Count(2, 5), workers))
        assert all(
            torch.equal(batch.features, batches[t].features) for t, batch in zip(range(2, 5), again, strict=True)
        )
    drawn: list[Any] = []

    class Spy(Toy):
        def mix(self, samples: list[Sample], rng: np.random.Generator) -> list[Sample]:
            drawn.append(rng.random())
            return samples

    for rank in range(2):
        TrainingBatches(Spy(ToyOptions()), corpus, 3, 4, rank, 2)[0]
    assert len(set(drawn)) == 2


def test_whole_events_are_not_mixed(corpus: Corpus) -> None:
    assert len(EventBatches(Paired(ToyOptions()), corpus, 4, labels=True)[0]) == 4


@dataclass
class Wider(Batch):
    more: Tensor = None  # type: ignore[assignment]


def test_a_batch_moves_with_all_that_a_task_adds() -> None:
    batch = Wider(torch.zeros(1, 4), torch.zeros(1, 1), torch.tensor([0, 1]), [(0, 0)], more=torch.ones(2))
    moved = batch.to(torch.device("meta"))
    assert isinstance(moved, Wider)
    assert moved.more.device.type == "meta"
    assert moved.events == [(0, 0)]
