"""LArMatch at the tiny scale, and its deploy on files of a detector, with a table of what became of each."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weft import tasks
from weft.config import Layout, chain_of, load_dataset, load_experiment, plan
from weft.io.store import EventStore
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings


@pytest.fixture(scope="module")
def tiny(snakemake, tmp_path_factory):
    """A finished run of the experiment."""
    results = tmp_path_factory.mktemp("larmatch")
    settings = ("--config", "scale=tiny", f"results={results}", "experiments=[larmatch]")
    snakemake("--cores", "2", *settings, "--", "larmatch", "deploy_larmatch", timeout=1800)
    experiment = tasks.resolve(load_experiment("larmatch", "tiny"))
    return experiment, load_dataset("wires", "tiny"), Layout(str(results)), settings


def table(layout, experiment):
    with open(layout.deployed(experiment), newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_stage_is_scored_and_in_the_report(tiny):
    experiment, dataset, layout, _ = tiny
    page = Path(layout.report(experiment.id)).read_text()
    for run in plan(experiment, dataset, layout):
        assert len(pd.read_parquet(run.score("events"))) == dataset.split("test").events
        assert f'<section id="{run.stage_name}"' in page


def test_the_deploy_ends_with_a_table(tiny):
    experiment, dataset, layout, _ = tiny
    (row,) = table(layout, experiment.id)
    assert row["state"] == "done"
    assert int(row["events in"]) == int(row["events out"]) == dataset.split("test").events
    assert 0 < int(row["kept triplets"]) <= int(row["triplets"])


def test_a_second_run_does_nothing(snakemake, tiny):
    done = snakemake("-n", *tiny[3], "--", "larmatch", "deploy_larmatch")
    assert "Nothing to be done" in done.stdout


def test_the_chain_of_the_baselines(tiny, weft):
    experiment, dataset, layout, _ = tiny
    weft("deploy", "larmatch", "--scale", "tiny", "--results", layout.root, "--stage", "chain", "--variant", "baseline")
    runs = {run.stage_name: run for run in plan(experiment, dataset, layout) if run.is_baseline}
    made = chain_of(experiment, dataset, layout, "baseline").prediction("test", "0000")
    with (
        EventStore.open(made) as chain,
        EventStore.open(runs["larmatch"].prediction("test", "0000")) as stage,
    ):
        assert set(chain.files["0"].provenance["models"]) == {"triplets", "larmatch", "space_points"}
        for i in range(len(chain)):
            np.testing.assert_array_equal(chain["triplet_scores"][i], stage["triplet_scores"][i])
        assert chain["space_points"].counts.sum() > 0


@pytest.fixture(scope="module")
def real(tiny, root, tmp_path_factory):
    """Two good files of the toy detector, one that is none, and settings that deploy the model on them."""
    folder = tmp_path_factory.mktemp("real")
    settings = SimulationSettings.parse({"box": {"voxels": 64}, "wires": {"detector": "toy"}})
    for number, name in enumerate(("a", "b")):
        simulate_file(settings, 50 + number, 0, 2, folder / f"{name}.root")
    (folder / "broken.root").write_bytes(b"root, but not much of it")
    text = (root / "config/experiments/larmatch_microboone.yaml").read_text()
    dataset = (root / "config/datasets/microboone_files.yaml").read_text().replace("kind: larcv", "kind: weft")
    (folder / "files.yaml").write_text(dataset)
    text = text.replace("detector: microboone", "detector: toy").replace("microboone_files", str(folder / "files.yaml"))
    (folder / "real.yaml").write_text(text)
    _, _, layout, _ = tiny
    (folder / "list.txt").write_text("\n".join(str(folder / f"{name}.root") for name in ("a", "b", "broken")))
    model = layout.model("larmatch-tiny", "larmatch", "seed0")
    given = ("--config", f"results={folder}/results", f"experiments=[{folder}/real.yaml]", f"model={model}")
    return folder, Layout(f"{folder}/results"), (*given, f"files=@{folder}/list.txt")


def test_files_of_a_detector(snakemake, weft, real):
    folder, layout, settings = real
    failed = snakemake("--cores", "2", *settings, "--", "deploy_larmatch", check=False, timeout=900)
    assert failed.returncode
    rows = {Path(row["file"]).stem: row for row in table(layout, "larmatch_microboone")}
    assert [rows[name]["state"] for name in ("a", "b", "broken")] == ["done", "done", "failed"]
    assert "broken.root" in rows["broken"]["said"]
    assert "2 of 3 files done, 1 failed" in failed.stdout
    assert f"failed: {folder}/broken.root" in failed.stdout
    with EventStore.open(f"{layout.root}/larmatch_microboone/chain/seed0/predictions/truth/files/a.h5") as store:
        assert store["triplet_scores"].counts.sum() == int(rows["a"]["kept triplets"])
        scores = np.concatenate([store["triplet_scores"][i]["larmatch"] for i in range(len(store))])
        assert (scores >= 0.2).all()
        record = json.loads(Path(layout.provenance("larmatch_microboone", "larmatch", "seed0")).read_text())
        assert record["trained"]["task"] == "larmatch"

    # Who asks later need not give model and files again.
    said = weft("status", f"{folder}/real.yaml", "--results", layout.root)
    assert said.splitlines()[0] == "2 of 3 files done, 1 failed"

    # The broken file is replaced: that alone is made.
    (folder / "broken.root").write_bytes((folder / "a.root").read_bytes())
    again = snakemake("--cores", "2", *settings, "--", "deploy_larmatch", timeout=900)
    assert again.stdout.count("rule convert_events:") == 1
    assert again.stdout.count("rule deploy_chain:") == 1
    assert {row["state"] for row in table(layout, "larmatch_microboone")} == {"done"}
    assert "3 of 3 files done" in again.stdout
    assert "Nothing to be done" in snakemake("-n", *settings, "--", "deploy_larmatch").stdout

    # An option of this call: what it does not touch stays.
    more = snakemake("-n", *settings, "set=stages.larmatch.data.min_score=0.3", "--", "deploy_larmatch")
    assert more.stdout.count("rule deploy_chain:") == 3
    assert "rule convert_events:" not in more.stdout


def test_on_a_cluster_each_file_is_a_job_of_its_own(plan_of, real):
    _, _, settings = real
    jobs = plan_of(*settings, "--forcerun", "deploy_chain", "--", "deploy_larmatch_microboone")
    assert sorted(job.wildcards["shard"] for job in jobs if job.rule == "deploy_chain") == ["a", "b", "broken"]
    assert [job.rule for job in jobs if job.rule == "list_deployed"] == ["list_deployed"]


def test_a_model_that_is_not_there_is_said_before_anything_runs(snakemake, real):
    _, _, settings = real
    without = [item for item in settings if not item.startswith("model=")]
    done = snakemake("-n", *without, "model=no/model.ckpt", "--", "deploy_larmatch", check=False)
    assert done.returncode
    assert "checkpoint: no/model.ckpt: no such file; train that model" in done.stdout
