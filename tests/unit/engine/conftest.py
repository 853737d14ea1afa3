"""The toy task, shards of random events for it, and stages to train it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_task import Toy, ToyOptions, write_shard

from weft.config.experiment import Stage
from weft.engine.fit import fit


@pytest.fixture
def toy() -> Toy:
    return Toy(ToyOptions())


@pytest.fixture
def shards(tmp_path: Path) -> list[dict[str, Path]]:
    """Two shards, five and four events, one of them empty."""
    return [
        {"truth": write_shard(tmp_path / "data" / "0.h5", 1, [30, 0, 40, 50, 20])},
        {"truth": write_shard(tmp_path / "data" / "1.h5", 2, [10, 60, 30, 35])},
    ]


@pytest.fixture
def make_stage() -> Callable[..., Stage]:
    def make(**training: Any) -> Stage:
        settings = {"iterations": 12, "batch_size": 4, "validate_every": 4, "log_every": 1, "workers": 0} | training
        return Stage.model_validate({"task": "toy", "training": settings, "optimizer": {"lr": 0.05}})

    return make


@pytest.fixture
def run(toy: Any, shards: list[dict[str, Path]], make_stage: Any, tmp_path: Path) -> Callable[..., Path]:
    """Train the toy; the folder of the model, whose work is in its ``work``."""

    def run(name: str, seed: int = 0, task: Any = toy, **training: Any) -> Path:
        output = tmp_path / name
        stage = make_stage(**training)
        fit(task, stage, seed, shards, shards[1:], output, output / "work", {"n": training.get("iterations", 12)})
        return output

    return run
