"""Tables of all modules together, and each module's own out of them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joint_events import events, modules, write_events

from weft import tasks
from weft.engine.deploy import deploy
from weft.engine.evaluate import evaluate
from weft.engine.model_file import ModelFile, save_model
from weft.io.store import EventStore
from weft.metrics.scores import Scores, read_scores, write_scores
from weft.reco.feed import FedStore
from weft.tasks.joint.score import own_scores, together
from weft.tasks.joint.task import Joint

NAMES = ("points", "graph_spice", "shower", "candidates", "interaction")


def scores(rows: int, more: int = 0) -> Scores:
    shared = {"run": [0, 0], "subrun": [0, 0], "event": [0, 1], "uid": np.array([7, 8], np.uint64)}
    table = pd.DataFrame({**shared, "split": "test", "shard": "0", "n": [1.0 + more, 2.0]})
    table["split"], table["shard"] = table["split"].astype("str"), table["shard"].astype("str")
    table.attrs = {"columns": {"uid": "event", "n": "number"}}
    objects = pd.DataFrame({
        "uid": np.arange(rows, dtype=np.uint64), "class": np.full(rows, -1, np.int8), "copy": np.arange(rows) % 2 == 0,
        "score": np.where(np.arange(rows) == 1, np.nan, 0.5).astype(np.float32),
        "side": pd.array(["truth"] * rows, dtype="str"), "split": pd.array(["test"] * rows, dtype="str"),
    })  # fmt: skip
    return Scores(table, objects, objects[["uid", "split"]].iloc[:0])


@pytest.mark.parametrize("rows", [(3, 2), (0, 2), (0, 0)])
def test_tables_come_back_as_they_were(rows: tuple[int, int], tmp_path: Path) -> None:
    own = {"a": scores(rows[0]), "b": scores(rows[1], 5)}
    write_scores(tmp_path, [together(own), together({"a": scores(0), "b": scores(1)})])
    read = read_scores(tmp_path)
    first = Scores(*(table[: len(part)] for table, part in zip(read, together(own), strict=True)))
    for name, expected in own.items():
        for made in (together(own), first):
            found = own_scores(made, name)
            for table, other in zip(found, expected, strict=True):
                pd.testing.assert_frame_equal(table[other.columns], other, check_column_type=False)
    assert own_scores(read, "b").objects["class"].dtype == np.int8
    assert own_scores(together(own), "a").events.attrs["columns"] == {"uid": "event", "n": "number"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Joint, Path, Path]:
    """A chain as it was made, its predictions of four events, and their scores."""
    import torch

    folder = tmp_path_factory.mktemp("judged")
    task = tasks.build("joint", {"model": {"modules": modules(*NAMES)}})
    assert isinstance(task, Joint)
    torch.manual_seed(0)
    state = task.network().state_dict()
    save_model(folder / "model.ckpt", ModelFile(state, "joint", task.options.model_dump(mode="json"), {}))
    store = write_events(folder / "events.h5", events(4))
    deploy(task, folder / "model.ckpt", {"truth": store}, folder / "predicted.h5", {}, batch_size=2)
    files = {"truth": store, "prediction": folder / "predicted.h5"}
    evaluate(task, {"test": {"0": files}}, folder / "scores")
    return task, folder, store


def test_a_module_is_scored_as_the_stage_that_it_is(judged: tuple[Joint, Path, Path]) -> None:
    task, folder, store = judged
    found = read_scores(folder / "scores")
    predicted = folder / "predicted.h5"
    for module in task.wiring.modules:
        # The store of the whole serves as that of each stage: its products have their own names here.
        files = dict.fromkeys(("prediction", *module.providers.values()), predicted)
        with EventStore.open({"truth": store, **files}) as stores:
            expected = module.task.score(FedStore(stores, module.providers), "test", "0")
        own = own_scores(found, module.name)
        for table, other in zip(own, expected, strict=True):
            pd.testing.assert_frame_equal(table[other.columns], other, check_column_type=False)
        metrics = module.task.summary(expected.events)
        pooled = task.metrics(pd.DataFrame(found.events.select_dtypes("number").sum()).T).iloc[0]
        for name, value in metrics.items():
            assert pooled[f"{module.name}.{name}"] == pytest.approx(value, nan_ok=True)
    headlines = {f"{m.name}.{metric}" for m in task.wiring.modules for metric in m.task.headline}
    assert set(task.summary(found.events)) == headlines


def test_figures_are_those_of_the_modules(judged: tuple[Joint, Path, Path]) -> None:
    _, folder, _ = judged
    task = tasks.build("joint", {"model": {"modules": modules("points", "shower")}})  # two of them are enough to draw
    assert isinstance(task, Joint)
    found = {"seed0": read_scores(folder / "scores")}
    figures = task.figures(found, "test")
    assert len({figure.key for figure in figures}) == len(figures)
    for module in task.wiring.modules:
        own = [figure for figure in figures if figure.key.startswith(f"{module.name}-")]
        assert own
        assert all(figure.title.startswith(f"{module.name}: ") for figure in own)
