"""Finished sweeps that nobody trained, and the rows of a table of a page."""

import json
import re
from pathlib import Path
from typing import Any

import invented
import numpy as np
import pandas as pd

from weft.config import Experiment, Layout, Run, dataset_from, plan
from weft.engine.task import Task
from weft.io.products import VOXELS, EventId
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.metrics.scores import Scores, write_scores
from weft.report.figure import Figure

EVENTS = 60
GRID = {"optimizer.lr": [1e-5, 1e-3], "model.filters": [16, 32]}
# In validation the second point is the best, on the test events the last one.
VALIDATION = {"lr=1e-05-filters=16": 0.0, "lr=1e-05-filters=32": 0.09, "lr=0.001-filters=16": 0.01}
TEST = {"lr=1e-05-filters=16": 0.90, "lr=1e-05-filters=32": 0.95, "lr=0.001-filters=16": 0.93}


class Accuracy:
    """A task as the report sees it."""

    headline = ("accuracy", "mean_iou")
    thing, claim_events = "event", 200
    event_payload, event_figures = Task.event_payload, Task.event_figures

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def metrics(self, counts):
        return invented.metrics(counts)

    def figures(self, scores, split):
        self.drawn = list(scores)
        return [Figure("rows", "Rows", "", table=pd.DataFrame({"variant": list(scores)}))]


def log_of(run: Run) -> pd.DataFrame:
    log = invented.log(run.seed)
    log["accuracy"] += VALIDATION.get(run.point, 0.05)
    return log


def write_store(path: Path, parents: dict[str, str]) -> str:
    """A store of events that there is nothing to draw of; returns its content hash."""
    with StoreWriter(path, [VOXELS], provenance={}, parents=parents) as store:
        for k in range(EVENTS):
            store.append(EventId(1, 0, k, k), {"voxels": np.zeros((1, 3), np.int32)})
    with EventStore.open(path) as written:
        return written.content_hash


def write_run(run: Run, truth: str) -> None:
    """All that a finished run leaves behind."""
    quality = 0.8 if run.is_baseline else TEST.get(run.point, 0.953)
    table = invented.event_scores(run.seed, quality, EVENTS).assign(split="test", shard="0000")
    write_scores(Path(run.score("events")).parent, [Scores(table, pd.DataFrame(), pd.DataFrame())])
    write_store(Path(run.prediction("test", "0000")), {"truth": truth})
    record = invented.provenance(None if run.is_baseline else run.seed)
    if not run.is_baseline:
        record["parameters"] = 1000 * run.stage.model["filters"]
        log_of(run).to_csv(run.log, index=False)
    Path(run.provenance).write_text(json.dumps(record))


def make(root: Path, **stage: Any):
    """A finished experiment of one stage: experiment, dataset, layout."""
    split = {"events": EVENTS, "seed": 1}
    dataset = dataset_from(
        {"name": "box", "source": "simulation", "splits": dict.fromkeys(("train", "val", "test"), split)}
    )
    net = {"task": "segmentation", "model": {"filters": 16}, "training": {"iterations": 5, "batch_size": 1}}
    experiment = Experiment.model_validate(
        {"name": "swept", "dataset": "box", "seeds": [0, 1], "stages": {"net": net | stage}}
    )
    layout = Layout(str(root))
    truth = write_store(Path(layout.data(dataset.id, "test", "0000")), {})
    for run in plan(experiment, dataset, layout):
        write_run(run, truth)
    return experiment, dataset, layout


def rows(page: str, key: str) -> list[list[str]]:
    """Cells of the table of a figure."""
    body = page[page.index(f'id="net-{key}"') :]
    body = body[: body.index("</figure>")]
    return [
        [re.sub("<[^>]*>", "", cell).replace("\u00a0", " ") for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]
