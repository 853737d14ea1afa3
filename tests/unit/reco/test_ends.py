"""Where clusters start and end."""

import numpy as np

from weft.io.products import DELTA, SHOWER, TRACK, Ragged
from weft.reco.ends import cluster_ends


def _lists(*items):
    return Ragged.of([np.array(item, np.int32) for item in items], np.empty(0, np.int32))


def test_a_straight_track_ends_at_its_extremes_and_begins_with_the_first_listed():
    voxels = np.stack([np.arange(10), np.full(10, 4), np.full(10, 7)], axis=1)
    ends = cluster_ends(voxels, _lists(range(10)), np.array([TRACK]))
    assert ends.start.tolist() == [[0.5, 4.5, 7.5]]
    assert ends.end.tolist() == [[9.5, 4.5, 7.5]]


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
