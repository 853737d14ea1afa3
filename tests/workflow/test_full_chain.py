"""The full chain at the tiny scale: every stage one by one, then all in one process."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from weft import tasks
from weft.config import Layout, chain_of, load_dataset, load_experiment, plan
from weft.io.products import Ragged
from weft.io.store import EventStore


@pytest.fixture(scope="module")
def tiny(snakemake, tmp_path_factory):
    """A finished run of the full chain and of its deploy in one process."""
    results = tmp_path_factory.mktemp("chain")
    settings = ("--config", "scale=tiny", f"results={results}", "experiments=[full_chain]")
    snakemake("--cores", "2", *settings, "--", "full_chain", "deploy_full_chain", timeout=1800)
    experiment = tasks.resolve(load_experiment("full_chain", "tiny"))
    return experiment, load_dataset("lartpc", "tiny"), Layout(str(results)), settings


def test_every_run_is_scored_on_each_of_its_inputs(tiny):
    experiment, dataset, layout, _ = tiny
    for run in plan(experiment, dataset, layout):
        for source in run.sources:
            events = pd.read_parquet(run.score("events", source))
            assert len(events) == sum(dataset.split(split).events for split in run.stage.evaluation.splits)
        assert Path(run.model).stat().st_size
    assert len(run_sources(experiment, dataset, layout)) > 1


def run_sources(experiment, dataset, layout):
    return {source for run in plan(experiment, dataset, layout) for source in run.sources}


def test_stages_trained_on_truth_wait_for_no_predictions_of_training_events(tiny):
    experiment, _, layout, _ = tiny
    folder = Path(layout.root, experiment.id)
    deployed = {path.relative_to(folder).parts[0] for path in folder.glob("*/*/predictions/*/train/*.h5")}
    needed = {
        name for stage in experiment.stages.values() if "predictions" in stage.training_inputs and stage.learned
        for name in stage.inputs
    }  # fmt: skip
    assert deployed == needed == {"uresnet"}


def test_the_report_has_a_section_for_each_input(tiny):
    experiment, _, layout, _ = tiny
    page = Path(layout.report(experiment.id)).read_text()
    sections = re.findall(r'<section id="([^"]+)"', page)
    for name, stage in experiment.stages.items():
        assert name in sections
        for inputs in stage.evaluation.inputs[1:]:
            assert f"{name}-on-{inputs}" in sections
    assert "Fed true products in place of the predictions of fragments." in page
    assert '"name":"fragments"' in page  # events drawn by fragment
    assert len(sections) == len(set(sections))


def test_a_second_run_does_nothing(snakemake, tiny):
    done = snakemake("--cores", "2", *tiny[3], "--", "full_chain", "deploy_full_chain")
    assert "Nothing to be done" in done.stdout


def test_another_batch_size_predicts_nothing_again(snakemake, tiny, root, tmp_path):
    changed = tmp_path / "full_chain.yaml"
    document = yaml.safe_load((root / "config/experiments/full_chain.yaml").read_text())
    document["scales"]["tiny"]["stages"]["track"]["evaluation"]["batch_size"] = 3
    changed.write_text(yaml.safe_dump(document, sort_keys=False))
    settings = [f"experiments=[{changed}]" if item.startswith("experiments=") else item for item in tiny[3]]
    assert "Nothing to be done" in snakemake("-n", *settings, "--", "deploy_full_chain").stdout


def test_the_chain_has_the_products_of_the_staged_deploys(tiny):
    experiment, dataset, layout, _ = tiny
    chain = chain_of(experiment, dataset, layout)
    assert [run.stage_name for run in chain.runs] == [n for n in experiment.order() if n in chain.models()]
    compared = set()
    for shard in dataset.shards("test"):
        files = {run.stage_name: run.prediction("test", shard.id) for run in chain.runs}
        with EventStore.open(
            {"truth": chain.events("test", shard.id), "chain": chain.prediction("test", shard.id)}
        ) as one:
            own = set(one.files["chain"].schemas)
            for run in chain.runs:
                with EventStore.open(files[run.stage_name]) as staged:
                    for name in staged.products:
                        chained = f"{run.stage_name}.{name}"
                        chained = chained if chained in own else name
                        compared.add(chained)
                        for i in range(len(staged)):
                            same(staged[name][i], one[f"chain/{chained}"][i], f"{run.stage_name} {name} {i}")
            assert compared == own


def same(a, b, where):
    """Integers are equal, floats agree to 1e-6."""
    if isinstance(a, Ragged):
        assert np.array_equal(a.offsets, b.offsets), where
        a, b = a.values, b.values
    assert a.dtype == b.dtype
    for x, y in [(a, b)] if a.dtype.names is None else [(a[field], b[field]) for field in a.dtype.names]:
        if x.dtype.kind == "f":
            np.testing.assert_allclose(y, x, rtol=1e-6, atol=1e-6, equal_nan=True, err_msg=where)
        else:
            assert np.array_equal(x, y), where


def test_what_concat_result_named_is_there(tiny, root):
    experiment, dataset, layout, _ = tiny
    table = (root / "docs/chain.md").read_text().partition("| `concat_result` | here |")[2].partition("\n\n")[0]
    rows = [[re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    assert [of_2020 for (of_2020,), _ in rows] == [
        "fragments", "frag_node_pred", "frag_edge_index", "frag_edge_pred", "frag_group_pred",
        "particles", "inter_edge_index", "inter_edge_pred",
    ]  # fmt: skip
    with EventStore.open(chain_of(experiment, dataset, layout).prediction("test", "0000")) as store:
        schemas = store.products
        for _, (product, *named) in rows:
            columns = {column.name for column in schemas[product].columns}
            assert all(name in columns or name in schemas for name in named), (product, named)


def test_the_chain_runs_on_events_without_labels(tiny, tmp_path):
    from weft.io.products import CHARGE, META, VOXELS, EventId
    from weft.io.writer import StoreWriter
    from weft.tasks.linking import run_chain

    experiment, dataset, layout, _ = tiny
    chain = chain_of(experiment, dataset, layout)
    names = [schema.name for schema in (META, VOXELS, CHARGE)]
    bare, truth = tmp_path / "bare.h5", EventStore.open(chain.events("test", "0000"))
    with truth as events, StoreWriter(bare, [META, VOXELS, CHARGE]) as writer:
        for i, event in enumerate(events.events):
            writer.append(EventId(*event.tolist()), {name: events[name][i] for name in names})
    output = tmp_path / "out.h5"
    run_chain(chain.options(), chain.models(), bare, output, batch_sizes=chain.batch_sizes())
    with EventStore.open(output) as without, EventStore.open(chain.prediction("test", "0000")) as full:
        assert without.content_hash == full.content_hash
