"""SPICE beside DBSCAN: the experiment at the tiny scale, and what the study waits for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from weft import tasks
from weft.config import Layout, load_dataset, load_experiment, plan
from weft.io.store import EventStore
from weft.reco.voxel_graph import radius_edges


@pytest.fixture(scope="module")
def tiny(snakemake, tmp_path_factory):
    """The runs of the tiny scale, which is done, by variant, and its report."""
    results = tmp_path_factory.mktemp("spice")
    settings = ("--config", "scale=tiny", f"results={results}", "experiments=[spice]")
    snakemake("--cores", "2", *settings, "--", "spice", timeout=900)
    experiment, layout = tasks.resolve(load_experiment("spice", "tiny")), Layout(str(results))
    runs = plan(experiment, load_dataset("lartpc", "tiny"), layout)
    return {run.variant: run for run in runs}, Path(layout.report(experiment.id)).read_text()


def test_network_and_baseline_are_judged_on_the_same_events(tiny):
    runs, report = tiny
    assert set(runs) == {"seed0", "baseline"}
    scores = {variant: pd.read_parquet(run.score("events")) for variant, run in runs.items()}
    events = {variant: list(table["event"]) for variant, table in scores.items()}
    assert events["seed0"] == events["baseline"]
    assert len(events["seed0"]) == load_dataset("lartpc", "tiny").split("test").events
    assert '<section id="spice"' in report


def test_a_fragment_is_what_touches(tiny):
    runs, _ = tiny
    run = runs["seed0"]
    (predicted,) = Path(run.score("events")).parents[2].glob("predictions/*/test/0000.h5")
    (truth,) = (Path(run.score("events")).parents[5] / "data/lartpc-tiny/test").glob("0000.h5")
    pieces = 0
    with EventStore.open(predicted) as made, EventStore.open(truth) as given:
        for i in range(len(made)):
            voxels, fragments = given["voxels"][i], made["fragment_voxels"][i]
            for first, last in zip(fragments.offsets[:-1], fragments.offsets[1:], strict=True):
                rows = fragments.values[first:last]
                edges = radius_edges(voxels[rows], 1.9)
                graph = coo_array((np.ones(len(edges)), edges.T), shape=(len(rows), len(rows)))
                assert connected_components(graph, directed=False)[0] == 1
                pieces += 1
    assert pieces


def test_the_study_begins_with_the_weights_of_its_own_seed(plan_of, tmp_path):
    jobs = plan_of("--config", "scale=study", f"results={tmp_path}", "experiments=[spice]", "--", "spice")
    train = {(job.wildcards["stage"], job.wildcards["variant"]): job.input for job in jobs if job.rule == "train_stage"}
    seeds = ["seed0", "seed1", "seed2"]
    assert set(train) == {*(("uresnet", seed) for seed in seeds), *(("spice", seed) for seed in [*seeds, "baseline"])}
    for seed in seeds:
        weights = [path for path in train["spice", seed] if path.endswith("model.ckpt")]
        assert len(weights) == 1
        assert f"/uresnet/{seed}/" in weights[0]
    assert not any(path.endswith("model.ckpt") for path in train["spice", "baseline"])
