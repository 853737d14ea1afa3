import os
import random
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from weft.engine.corpus import Corpus
from weft.engine.determinism import deterministic, seed_generators
from weft.engine.fit import fit
from weft.engine.stream import Count, TrainingBatches, loader
from weft.engine.task import Batch, Sample
from weft.errors import WeftError

Shards = list[dict[str, Path]]


def settings() -> tuple[Any, ...]:
    """All that the switch may change."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


class Watching:
    """The toy task; notes the settings whenever a loss is computed, and fails after ``steps`` of them if told to."""

    def __init__(self, toy: Any, failure: Exception | None = None) -> None:
        self.toy, self.failure, self.seen = toy, failure, set[Any]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def loss(self, *arguments: Any) -> Any:
        self.seen.add(settings())
        if self.failure:
            raise self.failure
        return self.toy.loss(*arguments)


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("failure", [None, ValueError("broken")])
def test_set_during_training_and_validation_and_put_back_after(
    on: bool,
    failure: Exception | None,
    toy: Any,
    shards: Shards,
    make_stage: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)  # a library in the same process may have set it
    before, task = settings(), Watching(toy, failure)
    stage = make_stage(iterations=2, validate_every=2, deterministic=on)
    expected = pytest.raises(ValueError, match="broken") if failure else nullcontext()
    with expected:
        fit(task, stage, 0, shards, shards[1:], tmp_path, tmp_path / "work", {})
    assert task.seen == {(on, False, on, not on, False, ":4096:8" if on else None)}
    assert settings() == before


def test_another_setting_of_the_caller_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = settings()
        with deterministic(False):
            assert not torch.are_deterministic_algorithms_enabled()
        assert settings() == before
        with deterministic(True):
            assert settings()[:2] == (True, False)
            assert settings()[-1] == ":16:8"
        assert settings() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_operation_without_a_deterministic_algorithm_is_named() -> None:
    def put() -> torch.Tensor:
        return torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))

    with deterministic(False):
        assert put()[0] == 1
    message = r"training\.deterministic: put_ has no deterministic algorithm"
    with pytest.raises(WeftError, match=message), deterministic(True):
        put()
    with pytest.raises(RuntimeError, match="something else"), deterministic(True):
        raise RuntimeError("something else")


def test_seeds_of_all_generators() -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(()).item(), float(np.random.rand()), random.random()  # noqa: NPY002

    seed_generators(5)
    first, second = draw(), draw()
    assert first != second
    seed_generators(5)
    assert draw() == first
    seed_generators(6)
    assert all(a != b for a, b in zip(draw(), first, strict=True))
    seed_generators(5 + (1 << 40))  # torch's generator of the CPU looks at 32 bits only
    assert all(a != b for a, b in zip(draw()[1:], first[1:], strict=True))


class Careless:
    """The toy task with an augmentation that draws from the global generators, as many libraries do."""

    def __init__(self, toy: Any) -> None:
        self.toy = toy

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        noise = random.random() + np.random.rand() + torch.rand(()).item()  # noqa: NPY002
        return sample.with_arrays(charge=np.float32(noise) * sample.arrays["charge"])

    def collate(self, samples: Sequence[Sample]) -> Batch:
        batch: Batch = self.toy.collate(samples)
        return batch


def test_global_generators_are_a_function_of_the_batch_number(shards: Shards, toy: Any) -> None:
    batches = TrainingBatches(Careless(toy), Corpus(shards), 3, 4)  # type: ignore[arg-type]
    expected = [batches[t].features for t in range(6)]
    assert not torch.equal(expected[0].mean(), expected[1].mean())
    for start, workers in ((0, 0), (0, 2), (4, 1)):
        loaded = loader(batches, Count(start, 6), workers)
        assert all(torch.equal(a.features, b) for a, b in zip(loaded, expected[start:], strict=True))


def test_seeding_is_that_of_torch_without_its_cost() -> None:
    seed_generators(2**62 + 5)
    ours = torch.rand(4)
    torch.manual_seed(2**62 + 5)
    assert torch.equal(ours, torch.rand(4))
