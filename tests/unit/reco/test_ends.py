"""Where clusters start and end."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from weft.io.products import DELTA, META, SHOWER, TRACK, Ragged
from weft.reco.ends import cluster_ends, farthest_pairs, to_cm, to_voxels


def _lists(*items):
    return Ragged.of([np.array(item, np.int32) for item in items], np.empty(0, np.int32))


def _brute(points):
    distance = cdist(points, points, "sqeuclidean")
    return distance.max()


def test_a_straight_track_ends_at_its_extremes_and_begins_with_the_first_listed():
    voxels = np.stack([np.arange(10), np.full(10, 4), np.full(10, 7)], axis=1)
    ends = cluster_ends(voxels, _lists(range(10)), np.array([TRACK]))
    assert ends.start.tolist() == [[0.5, 4.5, 7.5]]
    assert ends.end.tolist() == [[9.5, 4.5, 7.5]]


@pytest.mark.parametrize("size", [1, 2, 3, 40, 400])
def test_farthest_pair_is_exact(size):
    rng = np.random.default_rng(size)
    for scale in ([30, 30, 30], [300, 3, 3], [1, 1, 500]):
        voxels = rng.integers(0, scale, (size, 3))
        a, b = farthest_pairs(voxels, np.arange(size), np.array([0, size]))[0]
        assert ((voxels[a] - voxels[b]) ** 2).sum() == _brute(voxels)


def test_equally_far_pairs_give_the_first():
    square = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [5, 5, 0]])
    assert farthest_pairs(square, np.arange(4), np.array([0, 4])).tolist() == [[0, 3]]
    assert farthest_pairs(square, np.array([1, 0, 2, 3]), np.array([0, 4])).tolist() == [[1, 2]]


def test_clusters_do_not_see_each_other():
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 50, (300, 3))
    items = [rng.choice(300, n, replace=False) for n in (5, 0, 120, 1, 30)]
    together = cluster_ends(voxels, _lists(*items), np.full(5, TRACK))
    for k, item in enumerate(items):
        alone = cluster_ends(voxels, _lists(item), np.array([TRACK]))
        assert np.array_equal(together.start[k], alone.start[0])
        assert np.array_equal(together.end[k], alone.end[0])
    assert (together.start[1] == -1).all()


def test_showers_start_where_ppn_is_surest_and_end_there():
    voxels = np.stack([np.arange(6), np.zeros(6, int), np.zeros(6, int)], axis=1)
    proposals = np.zeros((6, 10), np.float32)
    proposals[4, :4] = (-1.2, 0, 0, 0.99)  # surer, but its point is more than a voxel away
    proposals[2, :4] = (0.7, 0.2, 0, 0.8)  # points to 3.2: nearest to the voxel 3
    ends = cluster_ends(voxels, _lists(range(6)), np.array([SHOWER]), proposals)
    assert ends.start.tolist() == [[3.5, 0.5, 0.5]]
    assert np.array_equal(ends.start, ends.end)


def test_where_no_proposal_is_good_the_best_score_is_taken():
    voxels = np.stack([np.arange(6), np.zeros(6, int), np.zeros(6, int)], axis=1)
    proposals = np.zeros((6, 10), np.float32)
    proposals[5, 3], proposals[1, 3] = 0.4, 0.3
    assert cluster_ends(voxels, _lists(range(6)), np.array([DELTA]), proposals).start[0, 0] == 5.5


def test_without_proposals_a_shower_starts_at_its_dense_end():
    voxels = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [20, 0, 0]])
    assert cluster_ends(voxels, _lists(range(5)), np.array([SHOWER])).start[0, 0] == 0.5
    assert cluster_ends(20 - voxels, _lists(range(5)), np.array([SHOWER])).start[0, 0] == 20.5


def test_without_proposals_a_delta_ends_where_it_curls_up():
    voxels = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [20, 0, 0]])
    assert cluster_ends(voxels, _lists(range(5)), np.array([DELTA])).start[0, 0] == 20.5
    assert cluster_ends(voxels[:1], _lists([0]), np.array([DELTA])).start[0, 0] == 0.5


def test_no_clusters():
    ends = cluster_ends(np.empty((0, 3), np.int32), _lists(), np.empty(0, int))
    assert ends.start.shape == ends.end.shape == (0, 3)


def test_voxel_units_and_cm():
    meta = np.zeros(1, META.dtype)
    meta["min_x"], meta["min_y"], meta["min_z"] = -10, 0, 5
    for axis in "xyz":
        meta[f"size_{axis}"] = 0.3
    assert np.allclose(to_cm([[0.5, 1.5, 2.0]], meta), [[-9.85, 0.45, 5.6]])
    position = np.random.default_rng(1).normal(size=(4, 3))
    assert np.allclose(to_voxels(to_cm(position, meta), meta), position)
