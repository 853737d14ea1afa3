"""What ``weft status`` makes of the files that runs have left."""

import json
import os
from pathlib import Path

import invented
import pandas as pd
import pytest

from weft.config import Experiment, Layout, Run, dataset_from, plan
from weft.io.provenance import config_hash
from weft.metrics.scores import Scores, write_scores
from weft.report.status import status_lines, status_of


class Accuracy:
    headline = ("mean_iou",)

    def metrics(self, counts):
        return invented.metrics(counts)


@pytest.fixture
def run(tmp_path) -> Run:
    split = {"events": 4, "seed": 1}
    dataset = dataset_from(
        {"name": "box", "source": "simulation", "splits": dict.fromkeys(("train", "val", "test"), split)}
    )
    stage = {"task": "segmentation", "training": {"iterations": 50, "batch_size": 1}, "sweep": {"optimizer.lr": [0.1]}}
    experiment = Experiment.model_validate({"name": "e", "dataset": "box", "stages": {"net": stage}})
    return plan(experiment, dataset, Layout(str(tmp_path)))[0]


def touch(path: str, text: str = "") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def train(run: Run) -> None:
    touch(run.provenance, json.dumps({"config_hash": config_hash(run.training_options())}))
    touch(run.model)


def seen(run: Run) -> tuple[str, str]:
    status = status_of(run, Accuracy())
    return status.state, status.detail


def test_from_planned_to_scored(run):
    assert seen(run) == ("planned", "")
    log = Path(run.work, "abc", "log.csv")
    touch(str(log), "step,split,loss\n10,train,1.5\n20,val,1.4\n")
    os.utime(log, (log.stat().st_mtime - 7300,) * 2)
    assert seen(run) == ("training", "step 20 of 50, 2 h ago")
    touch(f"{run.work}/def/log.csv", "step,split,loss\n")
    assert seen(run)[1].startswith("step 0 of 50, ")
    train(run)
    assert seen(run) == ("trained", "")
    touch(run.prediction("test", "0000"))
    assert seen(run) == ("deployed", "")
    table = invented.event_scores(0, 0.9, 20)
    both = pd.concat([table.assign(split="test"), table.assign(split="noisy", right=0.0)])
    write_scores(Path(run.score("events")).parent, [Scores(both, pd.DataFrame(), pd.DataFrame())])
    status = status_of(run, Accuracy())
    share = table["right"].sum() / table["n"].sum()
    assert (status.state, status.metric) == ("scored", "mean IoU")
    assert status.value == pytest.approx(share / (2 - share))


def test_what_will_be_made_again_is_said(run):
    train(run)
    touch(run.prediction("test", "0000"))
    for name in ("events", "objects", "curves"):
        touch(run.score(name))
        os.utime(run.score(name), (1, 1))
    assert seen(run) == ("trained", "the scores are older")
    touch(run.provenance, json.dumps({"config_hash": config_hash(run.training_options() | {"seed": 7})}))
    assert seen(run) == ("trained", "with other options")


def test_a_line_for_each_run_with_the_file_to_ask_for(run):
    head, line = status_lines([status_of(run, Accuracy())])
    assert head.split() == ["stage", "variant", "state", "target"]
    assert line.split() == ["net", "seed0-lr=0.1", "planned", run.score("events")]
    assert head.index("target") == line.index(run.score("events"))
