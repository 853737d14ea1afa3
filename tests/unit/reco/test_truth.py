"""Labels and true products of an event worked out by hand.

Ten voxels along x: a track of 4, a photon's shower of two fragments (3 + 1), a Michel electron of 1 and one voxel that
is both of the track and of the Michel electron, and one voxel of low energy.
"""

import numpy as np
import pytest

from weft.io.products import CLUSTERS, META, PARTICLES, Ragged
from weft.io.reco_products import (
    CANDIDATE_FRAGMENTS,
    CANDIDATE_VOXELS,
    CANDIDATES,
    FRAGMENT_VOXELS,
    FRAGMENTS,
    POINT_PROPOSALS,
    POINTS,
)
from weft.reco.ends import cluster_ends
from weft.reco.truth import DERIVED, Truth, derive, majority, particle_labels, voxel_particles

TRACK, PHOTON, PIECE, MICHEL, FAINT = range(5)


@pytest.fixture
def event():
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"min_{axis}"], meta[f"size_{axis}"], meta[f"n{axis}"] = -1.0, 0.5, 20
    voxels = np.stack([np.arange(10), np.full(10, 2), np.full(10, 3)], axis=1).astype(np.int32)
    particles = np.zeros(5, PARTICLES.dtype)
    for name in particles.dtype.names:
        particles[name] = -1 if particles.dtype[name].kind == "i" else np.nan
    particles["id"] = np.arange(5)
    particles["shape"] = [1, 0, 0, 2, 4]
    particles["pdg"] = [13, 22, 11, 11, 11]
    particles["trackid"] = [1, 2, 3, 4, 5]
    particles["parent_trackid"] = [1, 2, 2, 1, 1]
    particles["parent_pdg"] = [13, 22, 22, 13, 13]
    particles["ancestor_trackid"] = [1, 2, 2, 1, 1]
    particles["group_id"] = [0, 1, 1, 3, 4]
    particles["interaction_id"] = 7
    particles["num_voxels"], particles["energy_deposit"] = [5, 3, 1, 2, 1], 1.0
    particles["p"], particles["energy_init"] = [300, 200, 90, 40, 1], [320, 200, 90, 41, 1]
    start = [0, 5, 8, 4, 9]
    for axis, at in zip("xyz", (start, [2] * 5, [3] * 5), strict=True):
        particles[f"first_step_{axis}"] = -1 + 0.5 * (np.array(at) + 0.5)
        particles[f"last_step_{axis}"] = particles[f"first_step_{axis}"]
        particles[f"ancestor_vtx_{axis}"] = -1 + 0.5 * 4.5
    particles["last_step_x"][TRACK] = -1 + 0.5 * 4.5
    particles["first_step_t"] = [0, 1, 2, 2000, 3]
    rows = [[0, 1, 2, 3, 4], [5, 6, 7], [8], [4], [9, 0]]
    clusters = []
    for items in rows:
        cluster = np.zeros(len(items), CLUSTERS.dtype)
        cluster["voxel"], cluster["energy"] = items, 1
        clusters.append(cluster)
    semantics = np.array([1, 1, 1, 1, 2, 0, 0, 0, 0, 4], np.int8)[:, None]
    charge = np.arange(1, 11, dtype=np.float32)[:, None]
    products = {"meta": meta, "voxels": voxels, "charge": charge, "semantics": semantics}
    return products | {"particles": particles, "clusters": Ragged.of(clusters)}


def test_a_voxel_belongs_to_the_particle_of_its_class(event):
    assert voxel_particles(event).tolist() == [0, 0, 0, 0, 3, 1, 1, 1, 2, 4]


def test_precedence_where_no_particle_has_the_class_of_the_voxel(event):
    event["semantics"][4] = 0
    assert voxel_particles(event)[4] == MICHEL


def test_labels(event):
    labels = particle_labels(event)
    assert labels["group"].tolist() == [0, 1, 1, 3, 4]
    assert labels["interaction"].tolist() == [7] * 5
    assert labels["pid"].tolist() == [2, 0, 0, 1, 1]
    assert labels["group_primary"].tolist() == [1, 1, 0, 1, 0]  # low energy leads no group
    assert labels["interaction_primary"].tolist() == [1, 1, 1, 0, 0]
    assert labels["nu"].tolist() == [0] * 5  # two primary groups
    assert labels["p"].tolist() == [300, 200, 200, 40, 1]
    np.testing.assert_allclose(labels["start_x"], [0.5, 5.5, 8.5, 4.5, 9.5])
    np.testing.assert_allclose(labels["end_x"], [4.5, 5.5, 8.5, 4.5, 9.5])
    np.testing.assert_allclose(labels["vertex_x"], 4.5)


def test_what_a_neutral_pion_decays_to_is_primary(event):
    particles = event["particles"]
    particles["ancestor_trackid"][[PHOTON, PIECE]] = particles["parent_trackid"][[PHOTON, PIECE]] = 9
    assert particle_labels(event)["interaction_primary"][PHOTON] == 0
    particles["parent_pdg"][[PHOTON, PIECE]] = 111
    assert particle_labels(event)["interaction_primary"][[PHOTON, PIECE]].tolist() == [1, 1]


@pytest.mark.parametrize(("times", "leads"), [((5, 2), 0), ((2, 2), 0), ((1, 2), 1)])
def test_a_group_is_led_by_a_member_that_is_strictly_earliest(event, times, leads):
    event["particles"]["first_step_t"][[PHOTON, PIECE]] = times
    assert particle_labels(event)["group_primary"][[PHOTON, PIECE]].tolist() == [leads, 0]


def test_interactions_from_vertices_where_none_are_kept(event):
    particles = event["particles"]
    particles["interaction_id"], particles["ancestor_process"] = -1, 0
    particles["ancestor_vtx_x"][[PHOTON, PIECE]] += 1
    particles["ancestor_process"][FAINT] = -1
    labels = particle_labels(event)
    assert labels["interaction"].tolist() == [0, 1, 1, 0, -1]
    assert labels["group"][FAINT] == labels["group_primary"][FAINT] == labels["pid"][FAINT] == -1
    assert labels["nu"].tolist() == [-1] * 5  # one primary group each


def test_majority():
    nodes = Ragged.of([np.array([0, 1, 2]), np.array([3, 4]), np.array([5]), np.array([], np.int32)])
    found = majority(nodes, np.array([4, 4, 2, 2, -1, -1, 4]))
    assert found.value.tolist() == [4, 2, -1, -1]
    np.testing.assert_allclose(found.purity, [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_allclose(found.efficiency, [2 / 3, 1 / 2, 0, 0])


def test_fragments(event):
    truth = Truth(event)
    assert [item.tolist() for item in truth.fragment_voxels] == [[0, 1, 2, 3], [5, 6, 7], [8], [4]]
    assert truth.fragments["shape"].tolist() == [1, 0, 0, 2]
    assert truth.fragments["energy"].tolist() == [10, 21, 9, 5]
    np.testing.assert_allclose(truth.fragments["start_x"], [-0.75, 1.75, 3.25, 1.25])
    np.testing.assert_allclose(truth.fragments["end_x"], [0.75, 1.75, 3.25, 1.25])  # the Michel electron has voxel 4
    assert truth.shower_groups.ravel().tolist() == [-1, 1, 1, 3]
    assert truth.track_groups.ravel().tolist() == [0, -1, -1, -1]
    assert truth.particle_groups.ravel().tolist() == [0, 1, 1, 3]
    np.testing.assert_array_equal(truth.shower_primary.ravel(), [np.nan, 1, 0, 1])


def test_candidates(event):
    truth = Truth(event)
    assert [item.tolist() for item in truth.candidate_fragments] == [[0], [1, 2], [3]]
    assert [item.tolist() for item in truth.candidate_voxels] == [[0, 1, 2, 3], [5, 6, 7, 8], [4]]
    assert truth.candidates["shape"].tolist() == [1, 0, 2]
    assert truth.candidates["primary_fragment"].tolist() == [0, 1, 3]
    assert truth.candidates["energy"].tolist() == [10, 30, 5]
    assert truth.interaction_groups.ravel().tolist() == [0, 0, 0]
    assert truth.interaction_primary.ravel().tolist() == [1, 1, 0]
    assert truth.interaction_pid.argmax(1).tolist() == [2, 0, 1]
    assert truth.interaction_momentum.ravel().tolist() == [300, 200, 40]
    np.testing.assert_allclose(truth.interaction_vertex[:, 1], 1.25)


def test_points_are_those_of_the_labels(event):
    points = derive("points", event)
    assert points["class"].tolist() == [1, 0, 0, 2, 1]
    assert points["end_score"].tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(points["x"], [-0.75, 1.75, 3.25, 1.25, 1.25])


def test_voxels_propose_the_nearest_point_of_their_particle(event):
    """The track starts in voxel 0 and ends in 4, which the Michel electron owns; voxel 2 is as far from both."""
    made = derive("point_proposals", event)
    np.testing.assert_allclose(made[:, 0], [0, -1, -2, 1, 0, 0, -1, -2, 0, 0], atol=1e-5)
    np.testing.assert_allclose(made[:, 1:3], 0, atol=1e-5)
    assert made[:, 3].tolist() == [1] * 9 + [0]
    assert made[:, 4:9].argmax(1)[:9].tolist() == [1, 1, 1, 1, 2, 0, 0, 0, 0]
    assert made[:, 9].tolist()[:9] == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert np.isnan(made[9, 9])
    event["particles"]["first_step_x"][1] -= 0.5 * 3.5  # 3.5 voxels farther off: voxel 7 is 5.5 away
    far = derive("point_proposals", event)
    assert far[[5, 6, 7], 3].tolist() == [1, 1, 0]
    nodes = Ragged.of([np.arange(5, 8)])
    assert cluster_ends(event["voxels"], nodes, [0], made).start[0, 0] == 5.5


def test_everything_of_an_empty_event(event):
    nothing = {name: event[name][:0] for name in ("voxels", "charge", "semantics", "particles")}
    nothing |= {"meta": event["meta"], "clusters": Ragged(np.zeros(0, CLUSTERS.dtype), np.zeros(1, np.int64))}
    for name in DERIVED:
        assert len(derive(name, nothing)) == 0, name


@pytest.mark.parametrize(
    "schema",
    [POINTS, POINT_PROPOSALS, FRAGMENTS, FRAGMENT_VOXELS, CANDIDATES, CANDIDATE_VOXELS, CANDIDATE_FRAGMENTS],
)
def test_derived_products_have_the_form_of_predicted_ones(event, schema):
    made = derive(schema.name, event)
    values = made.values if isinstance(made, Ragged) else made
    assert values.dtype == schema.dtype
    assert schema.conform(values, "here") is not None


def test_only_what_is_named_can_be_derived(event):
    with pytest.raises(KeyError, match="_box"):
        derive("_box", event)
