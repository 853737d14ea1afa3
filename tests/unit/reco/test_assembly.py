"""Candidates by hand: who leads, where tracks end, what becomes of low-energy voxels, what is refused."""

import numpy as np
import pytest
from boxes import box

from weft.errors import WeftError
from weft.io.products import DELTA, LOW_ENERGY, SHOWER, TRACK
from weft.reco.assembly import assemble, attach, join_groups, leading_fragments
from weft.reco.nodes import by_label, fragment_products

NAN = np.nan


def column(*values):
    return np.array(values)[:, None]


def event(labels, shapes, voxels=None, **products):
    """Fragments along x, one voxel after the other, charge 1, 2, 3, ..."""
    labels = np.array(labels)
    n = len(labels)
    voxels = np.stack([np.arange(n), np.zeros(n, int), np.zeros(n, int)], 1) if voxels is None else voxels
    base = {"voxels": voxels.astype(np.int32), "meta": box(), "charge": np.arange(1, n + 1, dtype=np.float32)[:, None]}
    found = fragment_products(by_label(labels), np.array(shapes, int), **base)
    return base | found | products


def test_groups_of_two_instances_and_fragments_of_none():
    shower, track = column(0, -1, 0, -1, -1), column(-1, 1, -1, -1, 1)
    assert join_groups({"shower": shower, "track": track}, 5).tolist() == [0, 1, 0, 2, 1]
    assert join_groups({"shower": shower}, 5).tolist() == [0, 1, 0, 2, 3]
    assert join_groups({}, 3).tolist() == [0, 1, 2]
    assert len(join_groups({"shower": np.empty((0, 1), int)}, 0)) == 0


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"shower": column(0, 0), "track": column(-1, 1)}, "track_groups: fragment 1 is in a group of an earlier"),
        ({"shower": column(0, -1, -1)}, "3 rows, expected one for each of the 2 fragments"),
        ({"shower": column(1, 0)}, "expected the number of a group to be that of a row in it"),
        ({"shower": column(0, 7)}, "expected the number of a group to be that of a row in it"),
    ],
)
def test_groups_that_do_not_fit(groups, message):
    with pytest.raises(WeftError, match=message):
        join_groups(groups, 2)


def test_the_leading_fragment_has_the_highest_score_else_the_most_voxels():
    candidate, sizes = np.array([0, 0, 1, 1, 2, 2]), np.array([9, 1, 3, 8, 5, 5])
    scores = np.array([0.2, 0.9, NAN, NAN, NAN, 0.1])
    assert leading_fragments(candidate, sizes, scores).tolist() == [1, 3, 5]
    assert leading_fragments(candidate, sizes, np.full(6, NAN)).tolist() == [0, 3, 4]
    assert len(leading_fragments(np.empty(0, int), np.empty(0, int), np.empty(0))) == 0


def test_a_shower_starts_in_its_primary_fragment():
    given = event([0, 0, 0, 1, 1], [SHOWER, SHOWER], shower_groups=column(0, 0), shower_primary=column(0.1, 0.8))
    made = assemble(given, ["shower"], ["shower"], None)
    (row,) = made["candidates"]
    assert (row["shape"], row["size"], row["energy"], row["primary_fragment"]) == (SHOWER, 5, 15.0, 1)
    for point in ("start", "end"):
        for axis in "xyz":
            assert row[f"{point}_{axis}"] == given["fragments"][f"{point}_{axis}"][1]
    assert made["candidate_voxels"][0].tolist() == [0, 1, 2, 3, 4]
    assert made["candidate_fragments"][0].tolist() == [0, 1]
    without = assemble(given, ["shower"], [], None)
    assert without["candidates"]["primary_fragment"].tolist() == [0]


def test_a_track_of_several_fragments_has_the_ends_of_all():
    given = event([0, 0, 1, 1, 1, 2], [TRACK, TRACK, TRACK], track_groups=column(0, 0, 2))
    made = assemble(given, ["track"], [], None)["candidates"]
    ends = {(float(made["start_x"][0]), float(made["end_x"][0]))}
    assert ends <= {(-0.75, 1.25), (1.25, -0.75)}  # the centres of voxels 0 and 4
    assert made["primary_fragment"].tolist() == [1, 2]
    for name in ("start_x", "end_x"):
        assert made[name][1] == given["fragments"][name][2]  # of one fragment: as they are


def test_the_shape_is_that_of_the_leading_fragment():
    given = event([0, 0, 1, 1, 1], [TRACK, DELTA], particle_groups=column(0, 0), particle_primary=column(0.9, NAN))
    assert assemble(given, ["particle"], ["particle"], None)["candidates"]["shape"].tolist() == [TRACK]
    assert assemble(given, ["particle"], [], None)["candidates"]["shape"].tolist() == [DELTA]


def test_low_energy_voxels_left_out_or_attached():
    x = np.array([0, 1, 2, 4, 9])
    voxels = np.stack([x, 0 * x, 0 * x], 1)
    semantics = column(TRACK, TRACK, TRACK, LOW_ENERGY, LOW_ENERGY)
    given = event([0, 0, 0, -1, -1], [TRACK], voxels, track_groups=column(0), semantics=semantics)
    left = assemble(given, ["track"], [], None)
    assert left["candidate_voxels"][0].tolist() == [0, 1, 2]
    attached = assemble(given, ["track"], [], 2.0)
    assert attached["candidate_voxels"][0].tolist() == [0, 1, 2, 3]
    assert attached["candidates"]["energy"].tolist() == [10.0]
    for name in ("start_x", "end_x"):  # the ends are those of the track itself
        assert attached["candidates"][name] == left["candidates"][name]


def test_attached_to_the_nearest_label_and_of_equals_to_the_lowest():
    voxels = np.array([[0, 0, 0], [4, 0, 0], [2, 0, 0], [3, 0, 0], [50, 0, 0]])
    labels = np.array([7, 3, -1, -1, -1])
    assert attach(voxels, labels, np.array([2, 3, 4]), 10.0).tolist() == [7, 3, 3, 3, -1]
    assert attach(voxels, labels, np.array([2, 3, 4]), 1.5).tolist() == [7, 3, -1, 3, -1]
    assert attach(voxels, np.full(5, -1), np.array([2]), 9.0).tolist() == [-1] * 5


def test_no_fragments_at_all():
    given = event([-1, -1], [], shower_groups=np.empty((0, 1), int), track_groups=np.empty((0, 1), int))
    given |= {"shower_primary": np.empty((0, 1), np.float32), "semantics": column(LOW_ENERGY, TRACK)}
    made = assemble(given, ["shower", "track"], ["shower"], 3.0)
    assert [len(made[name]) for name in ("candidates", "candidate_voxels", "candidate_fragments")] == [0, 0, 0]
