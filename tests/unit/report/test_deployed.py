"""Every file is in the table, whatever became of it."""

import csv

import numpy as np
import pytest

from weft.config import Layout
from weft.config.dataset import dataset_from
from weft.config.experiment import Experiment
from weft.io.larmatch_products import triplet_scores
from weft.io.products import EventId, Filtered
from weft.io.wire_products import TRIPLETS
from weft.io.writer import StoreWriter
from weft.report.deployed import deployed, deployed_rows, summary, write_deployed

NAMES = ("good", "half", "broken", "failed", "later", "unforeseen", "unconverted")


def store(path, events, triplets=0, kept=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = triplet_scores()
    with StoreWriter(path, [TRIPLETS, scores]) as writer:
        for k in range(events):
            rows = Filtered(np.zeros(kept, scores.dtype), np.arange(kept))
            writer.append(EventId(1, 1, k, k), {"triplets": np.zeros(triplets, TRIPLETS.dtype), "triplet_scores": rows})


@pytest.fixture
def plan(tmp_path):
    files = [str(tmp_path / f"{name}.root") for name in NAMES]
    for file in files:
        open(file, "w").close()
    dataset = dataset_from({"name": "mine", "source": "files", "splits": {"files": {"files": files}}})
    needs = {"triplets": {"predictions": ["pixels", "triplets"]}}
    experiment = Experiment.model_validate(
        {
            "name": "real", "dataset": "mine", "truth": False,
            "stages": {
                "triplets": {"task": "triplets", "evaluation": {"splits": ["files"]}},
                "net": {"task": "larmatch", "needs": needs, "evaluation": {"splits": ["files"]}},
            },
        }
    )  # fmt: skip
    layout = Layout(str(tmp_path / "results"))
    for name in NAMES[:-1]:
        store(tmp_path / f"results/data/mine/files/{name}.h5", 2)
    out = tmp_path / "results/real/chain/seed0/predictions/truth/files"
    store(out / "good.h5", 2, triplets=7, kept=3)
    store(out / "half.h5", 1, triplets=5, kept=1)
    (out / "broken.h5").write_bytes(b"\x89HDF")
    logs = tmp_path / "results/logs"
    for rule, name, text in (
        ("deploy_chain/real/seed0/files", "good", "error: of the first try\n"),
        ("deploy_chain/real/seed0/files", "failed", "a warning\nerror: a.h5, event 3: no such wire: 5000\n\n"),
        ("deploy_chain/real/seed0/files", "later", "something that is said\n"),
        ("deploy_chain/real/seed0/files", "unforeseen", "Traceback (most recent call last):\n  …\nKeyError: 3\n"),
        ("convert_events/mine/files", "unconverted", "error: truncated\n"),
        ("convert_events/mine/files", "failed", "error: of another day\n"),
    ):
        (logs / rule).mkdir(parents=True, exist_ok=True)
        (logs / rule / f"{name}.log").write_text(text)
    return experiment, dataset, layout


def test_states_and_numbers(plan, tmp_path):
    rows = {row["file"].rpartition("/")[2].removesuffix(".root"): row for row in deployed_rows(deployed(*plan))}
    assert list(rows) == list(NAMES)
    assert [rows[name]["state"] for name in NAMES] == [
        "done", "incomplete", "unreadable", "failed", "missing", "failed", "failed",
    ]  # fmt: skip
    assert rows["good"] == {
        "variant": "seed0", "split": "files", "file": str(tmp_path / "good.root"), "events in": 2, "events out": 2,
        "triplets": 14, "kept triplets": 6, "state": "done", "said": "",
    }  # fmt: skip
    assert rows["half"]["said"] == "1 events of 2"
    assert "broken.h5" in rows["broken"]["said"]
    assert rows["failed"]["said"] == "a.h5, event 3: no such wire: 5000"
    assert rows["later"]["said"] == ""
    assert rows["unforeseen"]["said"] == "KeyError: 3"
    assert rows["unconverted"]["said"] == "truncated"
    assert rows["unconverted"]["events in"] is None
    assert rows["failed"]["events in"] == 2
    assert rows["failed"]["triplets"] is None


def test_what_is_not_done_is_named(plan, tmp_path):
    lines = summary(deployed(*plan))
    assert lines[0] == "1 of 7 files done, 1 incomplete, 1 unreadable, 3 failed, 1 missing"
    assert len(lines) == 7
    assert f"failed: {tmp_path}/unconverted.root (seed0): truncated" in lines
    assert f"missing: {tmp_path}/later.root (seed0)" in lines


def test_the_table_on_disk(plan, tmp_path):
    found = deployed(*plan)
    write_deployed(found, tmp_path / "sub/a.tsv")
    with open(tmp_path / "sub/a.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["state"] for row in rows] == [one.state for one in found]
    assert [row["kept triplets"] for row in rows] == ["6", "1", "", "", "", "", ""]
