import numpy as np
import pytest

from weft.simulation.event import simulate_event
from weft.simulation.labels import LOW_ENERGY
from weft.simulation.settings import SimulationSettings
from weft.simulation.stack import DEPOSITED


def same(a, b):
    return (
        np.array_equal(a.voxel_id, b.voxel_id)
        and np.array_equal(a.voxel_value, b.voxel_value)
        and np.array_equal(a.semantics, b.semantics)
        and np.array_equal(a.cluster_id, b.cluster_id)
        and np.array_equal(a.cluster_value, b.cluster_value)
        and all(np.array_equal(a.particles[k], b.particles[k]) for k in a.particles)
    )


@pytest.fixture(scope="module")
def events(small):
    return [simulate_event(small, 1, i) for i in range(30)]


def test_an_event_is_its_seed_and_number(small, events):
    assert same(simulate_event(small, 1, 7), events[7])
    assert not same(simulate_event(small, 1, 8), events[7])
    assert not same(simulate_event(small, 2, 7), events[7])


def test_energy_is_conserved_to_the_clusters(events):
    listed = 0.0
    for e in events:
        truth = e.transported.ledger[DEPOSITED]
        total = e.cluster_value.sum(dtype=np.float64) + e.faint_energy.sum()
        assert total == pytest.approx(truth, rel=1e-5, abs=1e-5)
        assert e.particles["_energy_deposit"].sum() == pytest.approx(truth, rel=1e-9, abs=1e-9)
        owner = np.repeat(np.arange(len(e.cluster_size)), e.cluster_size)
        each = np.bincount(owner, e.cluster_value, len(e.cluster_size)) + e.faint_energy
        assert each == pytest.approx(e.particles["_energy_deposit"], rel=1e-4)
        listed += e.cluster_value.sum(dtype=np.float64) / sum(x.transported.ledger[DEPOSITED] for x in events)
    assert 0.98 < listed < 1  # diffusion's faint tails are a percent


def test_clusters_are_about_as_large_as_the_image(events):
    """A cluster entry counts from `labels.threshold` on; the tails of diffusion would be three times the image."""
    image, clusters = sum(len(e.voxel_id) for e in events), sum(e.particles["_num_voxels"].sum() for e in events)
    assert image < clusters < 1.15 * image
    for e in events:
        faint = e.cluster_value < 0.05
        assert np.all(np.isin(e.cluster_id[faint], e.voxel_id))
        assert not np.isin(e.cluster_id[faint], e.cluster_id[~faint]).any()
        assert len(np.unique(e.cluster_id[faint])) == faint.sum()


def test_hierarchy(events):
    for e in events:
        p = e.particles
        n = len(p["_id"])
        assert np.array_equal(p["_id"], np.arange(n))
        assert np.array_equal(p["_num_voxels"], e.cluster_size)
        assert all(len(values) == n for values in p.values())
        group = p["_group_id"]
        assert np.array_equal(group[group], group)
        assert np.array_equal(p["_interaction_id"][group], p["_interaction_id"])
        primary = p["_trackid"] == p["_parent_trackid"]
        assert np.array_equal(p["_process"][primary], np.zeros(primary.sum(), int))
        assert np.all(p["_ancestor_process"] == 0)
        assert np.all(p["_ancestor_trackid"] <= p["_trackid"])
        known = p["_parent_id"] >= 0
        assert np.array_equal(p["_trackid"][p["_parent_id"][known]], p["_parent_trackid"][known])
        # showers, Michels and deltas are led by one of their own; tracks by themselves
        assert np.all(group[p["_shape"] == 1] == p["_id"][p["_shape"] == 1])
        rain = p["_genid"] < 0
        assert np.array_equal(rain, p["_interaction_id"] > 0)  # one neutrino-like vertex, number 0


def test_first_steps_are_in_the_box_and_on_the_cluster(small, events):
    meta = small.box.meta()
    for e in events:
        start = np.cumsum(e.cluster_size) - e.cluster_size
        for which in ("first", "last"):
            at = np.stack([e.particles[f"_{which}_step._{a}"] for a in "xyz"], 1)
            assert meta.inside(at).all()
            ends = meta.index(at)
            for k in np.flatnonzero(e.particles["_shape"] != LOW_ENERGY):  # those may be too faint to be listed
                own = e.cluster_id[start[k] : start[k] + e.cluster_size[k]].astype(np.int64)
                assert np.abs(meta.xyz(own) - ends[k]).max(axis=1).min() <= 1
        outside = ~meta.inside(np.stack([e.particles[f"_vtx._{a}"] for a in "xyz"], 1))
        assert np.all(e.particles["_first_step._t"] >= e.particles["_vtx._t"] - 1e-9)
        assert outside.sum() < len(outside)
    assert any(
        (~meta.inside(np.stack([e.particles[f"_vtx._{a}"] for a in "xyz"], 1))).any() for e in events
    )  # some come in


def test_image_and_clusters_agree(events):
    for e in events:
        assert np.all(np.diff(e.voxel_id.astype(np.int64)) > 0)
        assert set(e.voxel_id.tolist()) <= set(e.cluster_id.tolist())
        assert len(e.voxel_id) == len(e.voxel_value) == len(e.semantics)
        owner = np.repeat(e.particles["_shape"], e.cluster_size)
        for k in range(5):
            assert set(e.voxel_id[e.semantics == k].tolist()) <= set(e.cluster_id[owner == k].tolist())


# The shifted test sets of DESIGN §6, one line each.
SHIFTS = [
    {"lifetime": 0.7 * 6.0},
    {"lifetime": 1.3 * 6.0},
    {"recombination": "birks"},
    {"noise": 1.5 * 400.0},
    {"diffusion_longitudinal": 1.5 * 7.2, "diffusion_transverse": 1.5 * 12.0},
    {"dead_map": 2},
]


@pytest.mark.parametrize("shift", SHIFTS)
def test_another_detector_sees_the_same_particles(small, events, shift):
    values = small.model_dump()
    values["response"] |= shift
    other = simulate_event(SimulationSettings.parse(values), 1, 5)
    assert np.array_equal(other.transported.deposits, events[5].transported.deposits)
    assert np.array_equal(other.particles["_shape"], events[5].particles["_shape"])
    changed = len(other.voxel_id) != len(events[5].voxel_id) or not np.array_equal(
        other.voxel_value, events[5].voxel_value
    )
    assert changed


def test_an_event_with_nothing_in_the_box(small):
    values = small.model_dump()
    for name in ("neutrino_like", "rain"):
        values[name] |= {"vertices": (0, 0)}
    e = simulate_event(SimulationSettings.parse(values), 1, 0)
    assert len(e.voxel_id) == len(e.cluster_id) == len(e.cluster_size) == len(e.particles["_id"]) == 0
