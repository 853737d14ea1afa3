"""A prediction that is the mean over views of each event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from weft import tasks
from weft.config import ConfigError, load_experiment
from weft.engine.deploy import deploy
from weft.engine.model_file import ModelFile, save_model
from weft.engine.task import Task
from weft.io.products import CHARGE, VOXELS, EventId
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.tasks.segmentation.network import Logits, classify, mean

MODEL = {"filters": 4, "depth": 3, "reps": 1}


@pytest.fixture(scope="module")
def task() -> Task[Any]:
    return tasks.build("segmentation", {"model": MODEL})


@pytest.fixture(scope="module")
def model(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("views") / "model.ckpt"
    save_model(path, ModelFile(task.network().state_dict(), task.name, task.options.model_dump(mode="json"), {}))
    return path


def events(path: Path, numbers: Sequence[int]) -> Path:
    with StoreWriter(path, [VOXELS, CHARGE], provenance={}) as writer:
        for number in numbers:
            rng = np.random.default_rng(number)
            voxels = np.unique(rng.integers(0, 24, (60 * number, 3), np.int32), axis=0)
            charge = rng.uniform(0.1, 3, (len(voxels), 1)).astype(np.float32)
            writer.append(EventId(1, 0, number, number), {"voxels": voxels, "charge": charge})
    return path


def scores(task: Task[Any], model: Path, truth: Path, **options: Any) -> dict[int, np.ndarray]:
    output = truth.with_name(f"{truth.stem}-{'-'.join(map(str, options.values()))}.h5")
    deploy(task, model, {"truth": truth}, output, {}, **options)
    store = EventStore.open(output)
    return {int(event["event"]): store["semantic_scores"][i] for i, event in enumerate(store.events)}


def test_the_mean_of_logits_has_the_mean_probabilities() -> None:
    torch.manual_seed(1)
    outputs = [Logits(3 * torch.randn(7, 5), 3 * torch.randn(7, 2)) for _ in range(3)]
    found = mean(outputs)
    for logits, parts in ((found.semantic, [o.semantic for o in outputs]), (found.ghost, [o.ghost for o in outputs])):
        torch.testing.assert_close(logits.softmax(1), torch.stack([part.softmax(1) for part in parts]).mean(0))
    alone = classify(mean([outputs[0]]))
    for one, other in zip(alone, classify(outputs[0]), strict=True):
        torch.testing.assert_close(one, other)


def test_views_are_of_the_event_wherever_it_is_and_in_whatever_batch(
    task: Task[Any], model: Path, tmp_path: Path
) -> None:
    few = scores(task, model, events(tmp_path / "few.h5", [2, 5]), views=4, batch_size=1)
    many = scores(task, model, events(tmp_path / "many.h5", [5, 1, 3, 2]), views=4, batch_size=3)
    for number, values in few.items():
        np.testing.assert_allclose(values, many[number], atol=1e-6)
    np.testing.assert_allclose(few[5].sum(1), 1, atol=1e-5)


def test_more_views_agree_better_with_each_other_than_one_does(task: Task[Any], model: Path, tmp_path: Path) -> None:
    """The answer to an event and to its mirror image differ by chance; the means over views of both do so less."""
    truth = events(tmp_path / "a.h5", [4])
    mirrored = tmp_path / "b.h5"
    store = EventStore.open(truth)
    with StoreWriter(mirrored, [VOXELS, CHARGE], provenance={}) as writer:
        writer.append(EventId(1, 0, 9, 9), {"voxels": 23 - store["voxels"][0], "charge": store["charge"][0]})

    def apart(views: int) -> float:
        one, other = (scores(task, model, path, views=views) for path in (truth, mirrored))
        return float(np.abs(one[4] - other[9]).mean())

    assert apart(24) < 0.5 * apart(1)


def test_tasks_without_a_mean_refuse_views() -> None:
    made = load_experiment("full_chain", "tiny", ["stages.shower.evaluation.views=2"])
    with pytest.raises(ConfigError, match=r"evaluation.views: task 'grappa' has no mean over views of an event"):
        tasks.resolve(made)
    made = load_experiment("full_chain", "tiny", ["stages.uresnet.evaluation.views=2"])
    assert tasks.resolve(made).stages["uresnet"].evaluation.views == 2
