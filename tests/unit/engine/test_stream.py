import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from weft.engine.corpus import Corpus, InTurn, in_turn
from weft.engine.stream import Count, EventBatches, TrainingBatches, loader
from weft.engine.task import Batch
from weft.errors import WeftError

Shards = list[dict[str, Path]]


def same(a: Batch, b: Batch) -> bool:
    tensors = [(a.coords, b.coords), (a.features, b.features), (a.offsets, b.offsets)]
    tensors += [(a.targets[name], b.targets[name]) for name in a.targets]
    return a.events == b.events and all(torch.equal(x, y) for x, y in tensors)


def test_corpus_numbers_events_across_shards(shards: Shards) -> None:
    corpus = Corpus(shards)
    assert len(corpus) == 9
    assert [corpus.locate(i) for i in (0, 4, 5, 8)] == [(0, 0), (0, 4), (1, 0), (1, 3)]
    assert [len(event["voxels"]) for event in corpus] == [30, 0, 40, 50, 20, 10, 60, 30, 35]
    with pytest.raises(IndexError):
        corpus.locate(9)


def test_corpus_keeps_few_files_open_and_pickles(shards: Shards) -> None:
    corpus = Corpus(shards, max_open=1)
    for index in (0, 8, 1, 7):
        assert len(corpus[index]["charge"]) == len(Corpus(shards)[index]["charge"])
    assert len(corpus._open) == 1
    copy = pickle.loads(pickle.dumps(corpus))
    assert len(copy[6]["voxels"]) == 60


def test_corpus_names_a_missing_product(shards: Shards) -> None:
    with pytest.raises(WeftError, match=r"0\.h5: no product 'clusters'; it has: .*charge"):
        Corpus(shards).require(["voxels", "clusters"])


def test_events_fed_differently_take_turns(shards: Shards, toy: Any) -> None:
    """Of event i the numbers 2 i and 2 i + 1, in files that are numbered through."""
    as_given, by_hand = Corpus(shards), Corpus(shards, {"semantics": "first"})
    both = in_turn([as_given, by_hand])
    assert isinstance(both, InTurn)
    assert len(both) == 18
    assert [both.locate(i) for i in (0, 1, 9, 10, 17)] == [(0, 0), (2, 0), (2, 4), (1, 0), (3, 3)]
    assert [len(event["voxels"]) for event in both][:6] == [30, 30, 0, 0, 40, 40]
    assert ["semantics" in event for event in both] == [True, False] * 9
    assert both.content_hashes() == as_given.content_hashes()
    assert [shard["truth"] for shard in both.shards] == [shard["truth"] for shard in shards * 2]
    for index in (-1, 18):
        with pytest.raises(IndexError):
            both.locate(index)
    with pytest.raises(WeftError, match="no product 'clusters'"):
        both.require(["clusters"])
    assert in_turn([as_given]) is as_given
    events = {
        event for t in range(5) for event in TrainingBatches(toy, in_turn([as_given, Corpus(shards)]), 3, 4)[t].events
    }
    assert {file for file, _ in events} == {0, 1, 2, 3}


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_do_not_depend_on_workers_or_on_where_one_starts(shards: Shards, toy: Any, workers: int) -> None:
    expected = [TrainingBatches(toy, Corpus(shards), 3, 4)[t] for t in range(7)]
    batches = TrainingBatches(toy, Corpus(shards), 3, 4)
    for start in (0, 5):
        loaded = list(loader(batches, Count(start, 7), workers))
        assert len(loaded) == 7 - start
        assert all(same(a, b) for a, b in zip(loaded, expected[start:], strict=True))


def test_ranks_share_a_global_batch(shards: Shards, toy: Any) -> None:
    whole = TrainingBatches(toy, Corpus(shards), 3, 4)[2]
    parts = [TrainingBatches(toy, Corpus(shards), 3, 4, rank, 2)[2] for rank in range(2)]
    assert parts[0].events == whole.events[0::2]
    assert parts[1].events == whole.events[1::2]
    assert torch.equal(parts[0].features[: parts[0].offsets[1]], whole.features[: whole.offsets[1]])


def test_event_batches_keep_order_and_empty_events(shards: Shards, toy: Any) -> None:
    batches = EventBatches(toy, Corpus(shards), 4, labels=True)
    assert len(batches) == 3
    assert [event for k in range(3) for event in batches[k].events] == [(0, i) for i in range(5)] + [
        (1, i) for i in range(4)
    ]
    assert batches[0].offsets.tolist() == [0, 30, 30, 70, 120]
    assert len(EventBatches(toy, Corpus(shards), 4, labels=True, events=5)) == 2


def test_batch_moves_and_counts(shards: Shards, toy: Any) -> None:
    batch = EventBatches(toy, Corpus(shards), 4, labels=True)[0]
    moved = batch.to(torch.device("meta"))
    assert moved.coords.device.type == moved.targets["semantics"].device.type == "meta"
    assert len(moved) == 4


def test_loader_processes_end(shards: Shards, toy: Any) -> None:
    list(loader(TrainingBatches(toy, Corpus(shards), 3, 4), Count(0, 3), 2))
    assert not [p for p in multiprocessing.active_children() if "DataLoader" in p.name]
