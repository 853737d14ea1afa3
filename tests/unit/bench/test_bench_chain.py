"""`weft bench chain` at tiny sizes, without SPINE (that: tests/peers/test_spine_chain.py)."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from weft import tasks
from weft.bench.chain import ALIKE, bench_chain
from weft.bench.compare import SEGMENTATION, Comparison, Timing
from weft.bench.events import of_vertices, simulate_events, simulate_size
from weft.bench.growth import Size, _measure, exponent
from weft.bench.page import page
from weft.bench.stages import Run, steps_of
from weft.cli import app
from weft.config import load_dataset, load_experiment

STAGES = ["uresnet", "points", "graph_spice", "fragments", "shower", "track", "candidates", "interaction",
          "reconstruction"]  # fmt: skip


@pytest.fixture(scope="module")
def tiny():
    torch.set_num_threads(1)
    experiment = tasks.resolve(load_experiment("full_chain", "tiny", list(ALIKE)))
    return experiment, load_dataset(experiment.dataset, "tiny")


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return simulate_events(tmp_path_factory.mktemp("events") / "two.h5", 2)


def test_the_page_has_every_stage_and_a_training_step_of_each_network(tiny, events):
    text = bench_chain(*tiny, command="weft bench chain", events=events, count=2, rounds=1, sizes=[], peer=False)
    prediction, training = text.split("## One training step")
    for name in STAGES:
        assert f"| `{name}` |" in prediction
    assert "drawn at random, every stage fed the truth" in prediction
    assert "Goal" not in text  # nothing to compare with
    for name in ("uresnet", "points", "graph_spice", "shower", "track", "interaction"):
        assert f"| `{name}` |" in training
    assert "`candidates`" not in training


def test_stages_are_those_of_the_chain_and_share_the_trunk(tiny, events):
    steps = steps_of(*tiny)
    assert [step.name for step in steps] == STAGES
    networks = {step.name: step.network for step in steps}
    for ours, theirs in zip(networks["points"].trunk.parameters(), networks["uresnet"].trunk.parameters(), strict=True):
        assert torch.equal(ours, theirs)  # random weights start as a training would
    run = Run(events, 2)
    for step in steps[:2]:
        run.predict(step)
    giver = steps[0].runner.trunk
    assert giver.takers == 1
    assert not giver.kept  # taken by points
    run.close()


def test_growth_of_one_size(tiny, tmp_path):
    path = tmp_path / "event.h5"
    voxels = simulate_size(path, 300)
    size = _measure(*tiny, path, None, 1)
    assert size.voxels == voxels
    assert list(size.seconds) == list(size.memory) == STAGES
    assert all(seconds > 0 for seconds in size.seconds.values())
    assert size.process > max(size.memory.values())
    assert set(size.edges) == {"shower", "track", "interaction"}


def test_bigger_boxes_hold_as_much_per_volume():
    one, eight = of_vertices(1), of_vertices(8)
    assert eight.box.voxels == 2 * one.box.voxels
    assert eight.neutrino_like.vertices == (8, 8)
    assert eight.rain.vertices == (16, 16)


def sizes(power):
    return [
        Size(n, {"a": 1e-6 * n**power, "b": 1e-6 * n}, {"a": 1.0, "b": 2.0}, {"b": n}, 700.0)
        for n in (1_000, 10_000, 80_000)
    ]


def test_exponents_are_those_of_the_times():
    assert exponent(sizes(1.5), "a") == pytest.approx(1.5)
    assert exponent(sizes(1.5), "b") == pytest.approx(1.0)
    assert 1 < exponent(sizes(1.5)) < 1.5
    assert np.isnan(exponent(sizes(1.5)[:1]))


def test_a_chain_counts_the_network_of_semantics_and_points_once():
    stages = [Timing(SEGMENTATION, [1.0, 2.0], [5.0, 5.0]), Timing("points", [1.0, 1.0], [4.0, 9.0]),
              Timing("candidates", [1.0, 1.0])]  # fmt: skip
    found = Comparison(4, 400, 2, stages, [])
    assert found.chain.ours == [3.0, 4.0]
    assert found.chain.theirs == [4.0, 9.0]
    assert found.chain.ratio == pytest.approx(((4 / 3 + 9 / 4) / 2, 4 / 3, 9 / 4))
    text = page("weft bench chain", [], found, "1.4.3", sizes(1.2), "nothing")
    assert "**missed**, 1.79 times" in text
    assert "| `a` | 4.0 | 63.1 | 765.1 | 1.20 |" in text


def test_sizes_are_numbers():
    found = CliRunner().invoke(app, ["bench", "chain", "--sizes", "1000,many", "--no-peer"])
    assert found.exit_code
    assert "expected whole numbers by commas" in str(found.exception)
