"""Fragments of each class by DBSCAN: sizes, bridges over deltas, cuts at points, which points."""

import numpy as np
import pytest
from boxes import box

from weft.io.products import DELTA, LOW_ENERGY, MICHEL, SHOWER, TRACK
from weft.io.reco_products import POINTS
from weft.reco.dbscan_fragments import Rule, dbscan_fragments, splitting_points


def line(start, stop, y=0):
    return np.stack([np.arange(start, stop), np.full(stop - start, y), np.zeros(stop - start, int)], axis=1)


def test_each_class_by_itself_and_small_ones_dropped():
    voxels = np.concatenate([line(0, 4), line(4, 6), line(20, 22), line(6, 7)])
    semantics = np.repeat([SHOWER, TRACK, SHOWER, LOW_ENERGY], [4, 2, 2, 1])
    rules = {SHOWER: Rule(1.999, min_size=3), TRACK: Rule(1.999)}
    assert dbscan_fragments(voxels, semantics, rules).tolist() == [0] * 4 + [1] * 2 + [-1] * 3
    rules = {TRACK: Rule(1.999), SHOWER: Rule(1.999)}
    assert dbscan_fragments(voxels, semantics, rules).tolist() == [1] * 4 + [0] * 2 + [2] * 2 + [-1]


def test_deltas_bridge_a_track_and_are_none_of_it():
    voxels, semantics = line(0, 7), np.array([TRACK] * 3 + [DELTA] + [TRACK] * 3)
    assert dbscan_fragments(voxels, semantics, {TRACK: Rule(1.1)}).tolist() == [0, 0, 0, -1, 1, 1, 1]
    bridged = {TRACK: Rule(1.1, bridges=(DELTA,))}
    assert dbscan_fragments(voxels, semantics, bridged).tolist() == [0, 0, 0, -1, 0, 0, 0]
    both = {TRACK: Rule(1.1, bridges=(DELTA,)), DELTA: Rule(1.1)}
    assert dbscan_fragments(voxels, semantics, both).tolist() == [0, 0, 0, 1, 0, 0, 0]


def test_bridges_do_not_count_as_voxels_of_a_fragment():
    voxels, semantics = line(0, 5), np.array([TRACK, DELTA, DELTA, DELTA, DELTA])
    rules = {TRACK: Rule(1.1, min_size=2, bridges=(DELTA,))}
    assert dbscan_fragments(voxels, semantics, rules).tolist() == [-1] * 5


def test_noise_is_in_no_fragment():
    voxels = np.concatenate([line(0, 4), line(30, 31)])
    assert dbscan_fragments(voxels, np.full(5, TRACK), {TRACK: Rule(1.1, 2)}).tolist() == [0] * 4 + [-1]


def test_points_are_held_against_the_centres_of_voxels():
    """Voxel i has its centre at i + 1/2: the point 4.5 is in the middle of voxel 4."""
    voxels, points = line(0, 9), np.array([[4.5, 0.5, 0.5]])
    cut = dbscan_fragments(voxels, np.full(9, TRACK), {TRACK: Rule(1.1, mask_radius=1.0)}, points)
    assert cut.tolist() == [0] * 5 + [1] * 4
    assert set(dbscan_fragments(voxels, np.full(9, TRACK), {TRACK: Rule(1.1)}, points)) == {0}
    assert set(dbscan_fragments(voxels, np.full(9, TRACK), {TRACK: Rule(1.1, mask_radius=1.0)})) == {0}


def test_no_voxels_and_no_classes():
    nothing = np.empty((0, 3), np.int32)
    assert len(dbscan_fragments(nothing, np.empty(0, int), {TRACK: Rule(1.9, mask_radius=5.0)})) == 0
    assert dbscan_fragments(line(0, 2), np.full(2, TRACK), {}).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("classes", "score", "class_score", "expected"),
    [
        ((TRACK, MICHEL), 0.0, 0.0, [0, 1, 2]),
        ((TRACK,), 0.0, 0.0, [0, 1]),
        ((TRACK, MICHEL), 0.9, 0.0, [0, 2]),
        ((TRACK, MICHEL), 0.0, 0.3, [1, 2]),
        ((), 0.0, 0.0, []),
    ],
)
def test_points_that_cut(classes, score, class_score, expected):
    points = np.zeros(4, POINTS.dtype)
    points["class"] = [TRACK, TRACK, MICHEL, DELTA]
    points["score"] = [0.95, 0.8, 0.9, 1.0]
    points["score_track"], points["score_michel"], points["score_delta"] = [0.2, 0.9, 0.0, 0], [0.8, 0, 0.3, 0], 1.0
    for axis, low in zip("xyz", (-1.0, 0.0, 10.0), strict=True):
        points[axis] = low + 0.5 * np.arange(4)
    found = splitting_points(points, box(), classes, score, class_score)
    np.testing.assert_allclose(found, np.tile(np.array(expected, float)[:, None], 3).reshape(-1, 3), atol=1e-6)
