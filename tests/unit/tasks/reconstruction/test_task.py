"""The task as the engine sees it: what it reads and makes, its baseline as a file, its figures."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from weft import tasks
from weft.errors import WeftError
from weft.io.products import Ragged
from weft.io.store import EventStore
from weft.metrics.scores import Scores
from weft.reco.feed import FedStore
from weft.reco.settings import Settings
from weft.reco.true_objects import true_objects
from weft.tasks.reconstruction import TASK
from weft.tasks.reconstruction.baseline import ReconstructionBaseline
from weft.tasks.reconstruction.figures import _LABELS, figures
from weft.tasks.reconstruction.metrics import bins_of, count_columns, metrics
from weft.tasks.reconstruction.options import Options

TRUTH = ("meta", "voxels", "charge", "semantics", "clusters", "particles")


def _same(first, second):
    for name, value in first.items():
        pair = [(v.values, v.offsets) if isinstance(v, Ragged) else (v,) for v in (value, second[name])]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(*pair, strict=True)), name


def test_it_learns_nothing_and_reads_what_its_sources_ask_for(task):
    assert not task.learned
    assert "interaction_pid" in task.reads
    assert "interaction_vertex" not in task.reads
    assert "interaction_vertex" in TASK(Options(model={"sources": {"vertex": "grappa"}})).reads
    assert "reco_particles" in [schema.name for schema in task.makes]
    with_points = TASK(Options(model={"sources": {"points": "ppn"}}))
    assert "reco_particle_points" in {schema.name for schema in with_points.makes} - {s.name for s in task.makes}
    with pytest.raises(WeftError, match="does not learn"):
        task.network()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": {"pid": "template"}, "template": {"enabled": False}}, "template.enabled is false"),
        ({"types": {"thresholds": {"neutron": 0.5}}}, "no particle type 'neutron'"),
        ({"topology": {"thresholds": {"muon": -1.0}}}, "expected 0 or more"),
        ({"scattering": {"low": 100.0, "high": 50.0}}, "expected less than scattering.high"),
        ({"verteks": {}}, "Extra inputs"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Options(model=options)


def test_a_stage_of_an_experiment_sets_the_steps():
    task = tasks.build("reconstruction", {"model": {"sources": {"pid": "template"}}, "baseline": {"distance": 2.0}})
    assert task.options.model.sources.pid == "template"
    assert "interaction_pid" not in task.reads


def test_predictions_are_the_same_again(store, task):
    with EventStore.open({"truth": store}) as opened:
        event = FedStore(opened).event(0)
        _same(task.predict_event(event), task.predict_event(event))


def test_a_saved_baseline_answers_alike(store, task, tmp_path):
    options = Options(baseline={"distance": 2.0}, model={"containment": {"margin": 1.0}})
    baseline = TASK(options).baseline()
    baseline.fit([], 0)
    baseline.save(tmp_path / "model.json")
    loaded = task.load_baseline(tmp_path / "model.json")
    assert loaded.options == options
    with EventStore.open({"truth": store}) as opened:
        event = FedStore(opened).event(1)
        _same(baseline.predict(event), loaded.predict(event))


def test_the_distance_of_the_baseline_is_used(store):
    with EventStore.open({"truth": store}) as opened:
        fed = FedStore(opened)
        number = [
            sum(
                len(TASK(Options(baseline={"distance": d})).baseline().predict(fed.event(i))["reco_interactions"])
                for i in range(len(fed))
            )
            for d in (0.5, 50.0)
        ]
    assert number[0] > number[1]


def test_other_files_are_no_baseline(tmp_path):
    (tmp_path / "other").write_text("{}")
    for name, reason in (("other", "not a fitted reconstruction baseline"), ("missing", "cannot be read")):
        with pytest.raises(WeftError, match=reason):
            ReconstructionBaseline.load(tmp_path / name)


def test_true_objects_know_what_the_simulation_knows(store):
    with EventStore.open({"truth": store}) as opened:
        fed = FedStore(opened)
        for i in range(len(fed)):
            event = {name: fed[f"truth/{name}"][i] for name in TRUTH}
            objects = true_objects(event, Settings())
            table, particles = objects["true_particles"], event["particles"]
            own = particles[table["particle"]]
            assert (table["pdg"] == own["pdg"]).all()
            assert (table["shape"] == own["shape"]).all()
            assert np.allclose(np.stack([table[f"true_start_{a}"] for a in "xyz"]),
                               np.stack([own[f"first_step_{a}"] for a in "xyz"]), atol=1e-4)  # fmt: skip
            leads = table["particle"] == table["group"]
            lead = own[leads]
            mass = np.sqrt(np.maximum(lead["energy_init"] ** 2 - lead["p"] ** 2, 0))
            assert np.allclose(table["ke_init"][leads], lead["energy_init"] - mass, atol=1e-2)
            assert np.allclose(np.linalg.norm([table[f"true_dir_{a}"] for a in "xyz"], axis=0), 1, atol=1e-5)
            interactions = objects["true_interactions"]
            for row, members in zip(interactions, objects["true_interaction_particles"], strict=True):
                assert set(table["true_interaction"][members]) == {row["true_interaction"]}
                assert row["particles"] == len(members)


def test_a_muon_that_stops_has_its_energy_by_range(store):
    """Over the simulated contained muons and protons, range and true energy agree within the steps of voxels."""
    errors = []
    with EventStore.open({"truth": store}) as opened:
        fed = FedStore(opened)
        for i in range(len(fed)):
            table = true_objects({name: fed[f"truth/{name}"][i] for name in TRUTH})["true_particles"]
            chosen = table[(table["is_contained"] == 1) & (table["shape"] == 1) & (table["length"] > 5)]
            errors.append(chosen["csda_ke"] / chosen["ke_init"] - 1)
    errors = np.concatenate(errors)
    assert len(errors) >= 1
    assert abs(np.median(errors)) < 0.1


def test_figures_of_the_scores(scored, task):
    made = figures({"seed0": scored["truth"], "baseline": scored["baseline"]}, "test")
    keys = ["overall", "types", "energies", "distances", "ends", "resolution"]
    assert [figure.key for figure in made] == keys
    table = made[0].table
    assert {"metric", "model", "95 % interval", "baseline", "model − baseline [95 %]", "verdict"} == set(table)
    row = table[table["metric"] == "true particles found"].iloc[0]
    assert row["model"] == row["baseline"] == "1.0000"
    assert (table[table["metric"].str.contains("bias")]["verdict"] == "–").all()
    assert not table["metric"].str.contains("kaon").any()  # there are none
    alone = task.figures({"seed0": scored["truth"]}, "test")
    assert "baseline" not in alone[0].table
    assert len(figures({"seed0": scored["nothing"]}, "test")) == len(keys)
    with pytest.raises(WeftError, match="no scored events"):
        figures({"seed0": scored["truth"]}, "elsewhere")


def test_less_is_better_of_distances_and_resolutions(scored):
    """A baseline whose vertices are all 1 cm farther away: the model beats it."""
    worse = scored["truth"].events.copy()
    columns = bins_of("vertex")
    counts = worse[columns].to_numpy()
    worse[columns] = np.roll(counts, 8, axis=1)
    baseline = Scores(worse, scored["truth"].objects, scored["truth"].curves)
    table = figures({"seed0": scored["truth"], "baseline": baseline}, "test")[0].table
    verdicts = dict(zip(table["metric"], table["verdict"], strict=True))
    assert verdicts["distance of the vertex, median [cm]"] == "beats"
    assert verdicts["true particles found"] == "even"


def test_every_metric_has_a_name():
    assert set(_LABELS) == set(metrics(pd.DataFrame(columns=count_columns(), dtype=np.float64)))


def test_nothing_here_imports_torch():
    code = (
        "import sys; from weft.tasks.reconstruction import TASK; from weft.tasks.reconstruction.options import Options;"
        "import weft.tasks.reconstruction.score, weft.tasks.reconstruction.figures; TASK(Options()).baseline();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
