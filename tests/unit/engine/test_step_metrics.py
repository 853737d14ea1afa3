"""Accuracy, F1 and IoU of training steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from toy_task import Toy, ToyOptions

from weft.engine.step_metrics import StepMetrics
from weft.engine.task import Batch

Fit = Callable[..., Path]


def batch(true: list[int]) -> Batch:
    n = len(true)
    targets = {"semantics": torch.tensor(true)}
    return Batch(torch.zeros(n, 4, dtype=torch.int32), torch.zeros(n, 1), torch.tensor([0, n]), [(0, 0)], targets)


def test_micro_batches_are_one_step() -> None:
    """True 0 0 1 1, called 0 1 1 1, one voxel without a label: F1 of 0 is 2/3, of 1 is 4/5."""
    counted = StepMetrics(Toy(ToyOptions()))
    assert counted.values() == {}
    called = torch.eye(2)[[0, 1, 0, 1, 1]]
    counted.add(called[:3], batch([0, 0, -1]))
    counted.add(called[3:], batch([1, 1]))
    expected = {"accuracy": 3 / 4, "mean_f1": (2 / 3 + 4 / 5) / 2, "mean_iou": (1 / 2 + 2 / 3) / 2}
    assert counted.values() == pytest.approx(expected)
    counted.clear()
    counted.add(called[:1], batch([-1]))
    assert np.isnan(list(counted.values().values())).all()


def test_only_steps_that_are_logged_are_counted(run: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(StepMetrics, "add", lambda self, output, batch: asked.append(len(output)))
    log = pd.read_csv(run("a", iterations=7, log_every=3, validate_every=7) / "log.csv")
    assert log[log.split == "train"].step.tolist() == [3, 6, 7]
    assert len(asked) == 3


def test_the_board_has_the_names_of_the_literature(run: Fit) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = run("a", iterations=4, validate_every=2)
    folder = next(output.rglob("tensorboard"))
    board: Any = EventAccumulator(str(folder))
    board.Reload()
    assert {"Loss/train", "Loss/val", "Accuracy/train", "Accuracy/val", "F1/train", "IoU/train"} <= set(
        board.Tags()["scalars"]
    )
