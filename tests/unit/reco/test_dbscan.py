"""DBSCAN: hand-made cases, equality with scikit-learn, cuts at points, linear growth."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from weft.errors import WeftError
from weft.metrics.clustering import ari
from weft.reco.dbscan import break_clusters, dbscan, masked_dbscan

NONE = np.empty((0, 3))


def line(start, stop, axis=0, at=(0, 0, 0)):
    voxels = np.tile(np.array(at), (stop - start, 1))
    voxels[:, axis] = np.arange(start, stop)
    return voxels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("eps", "min_samples"), [(1.999, 1), (1.1, 2), (1.999, 4), (3.1, 5)])
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev"])
def test_labels_are_those_of_scikit_learn(seed, eps, min_samples, metric):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 250)
    points = rng.integers(-5, rng.integers(-2, 12), (n, 3)) if seed % 2 else 4 * rng.normal(size=(n, 3))
    expected = DBSCAN(eps=eps, min_samples=min_samples, metric=metric).fit_predict(points)
    np.testing.assert_array_equal(dbscan(points, eps, min_samples, metric), expected)


def test_neighbours_share_a_face_an_edge_or_a_corner():
    voxels = np.array([[0, 0, 0], [1, 1, 1], [3, 1, 1], [4, 2, 1], [6, 4, 1]])
    assert dbscan(voxels, 1.999).tolist() == [0, 0, 1, 1, 2]
    assert dbscan(voxels, 2.0).tolist() == [0, 0, 0, 0, 1]  # eps itself is near enough
    assert dbscan(voxels, 1.0).tolist() == [0, 1, 2, 3, 4]


def test_noise_and_points_at_the_rim():
    points = line(0, 3) * 1.0
    points = np.append(points, [[10.0, 0, 0], [3.5, 0, 0]], axis=0)
    assert dbscan(points, 1.5, min_samples=3).tolist() == [0, 0, 0, -1, 0]  # only the middle one is a core
    assert dbscan(points, 1.5, min_samples=9).tolist() == [-1] * 5


@given(st.integers(0, 2**31))
def test_order_and_place_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    voxels = np.unique(rng.integers(0, 8, (60, 3)), axis=0)
    order = rng.permutation(len(voxels))
    labels = dbscan(voxels, 1.999)
    moved = dbscan(voxels[order] * [1, -1, 1] + [1000, -5, 7], 1.999)
    assert ari(labels[order], moved) == 1.0
    assert labels.max() == moved.max()


@pytest.mark.parametrize("function", [lambda x: dbscan(x, 1.9), lambda x: masked_dbscan(x, NONE, 1.9)])
def test_nothing_and_one_voxel(function):
    assert function(NONE).tolist() == []
    assert function(np.array([[5, 5, 5]])).tolist() == [0]
    assert break_clusters(NONE, np.empty(0, int)).tolist() == []


def test_voxels_of_different_groups_are_no_neighbours():
    voxels = line(0, 6)
    assert dbscan(voxels, 1.1, groups=np.array([4, 4, 2, 2, -1, 4])).tolist() == [0, 0, 1, 1, -1, 2]


def test_broken_clusters():
    voxels = np.concatenate([line(0, 3), line(4, 6), line(3, 4)])
    labels = np.array([7, 7, 7, 7, 7, 9])  # the only voxel between the pieces of 7 is of 9
    assert break_clusters(voxels, labels).tolist() == [0, 0, 0, 1, 1, 2]
    assert break_clusters(voxels, np.full(6, 3)).tolist() == [0] * 6
    assert break_clusters(voxels, np.array([1, 1, -1, 1, 1, -1])).tolist() == [0, 0, -1, 1, 1, -1]
    corner = np.array([[0, 0, 0], [1, 1, 1], [3, 2, 1]])
    assert break_clusters(corner, np.zeros(3, int)).tolist() == [0, 0, 1]


def test_impossible_settings_are_refused():
    with pytest.raises(WeftError, match="eps 0"):
        dbscan(NONE, 0)
    with pytest.raises(WeftError, match="min_samples 0"):
        dbscan(NONE, 1.9, 0)
    with pytest.raises(WeftError, match="too many cells"):
        dbscan(np.array([[0.0, 0, 0], [1e9, 1e9, 1e9]]), 1e-4)


def test_a_cross_is_cut_into_its_arms():
    """Two tracks meet in (0, 0, 0), which a point marks: four arms, each with the voxels set aside nearest to it."""
    voxels = np.unique(np.concatenate([line(-10, 11, 0), line(-10, 11, 1)]), axis=0)
    assert masked_dbscan(voxels, NONE, 1.999).max() == 0
    labels = masked_dbscan(voxels, np.zeros((1, 3)), 1.999, mask_radius=4.0)
    assert labels.max() == 3
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        arm = labels[voxels[:, axis] * sign > 0]
        assert len(arm) == 10
        assert len(set(arm.tolist())) == 1
    centre = (voxels == 0).all(1)
    nearest = (np.abs(voxels) == 5).any(1)
    assert labels[centre] == labels[nearest][0]  # of four equally near voxels, the first


def test_the_radius_is_inclusive_and_what_is_left_whole_stays_whole():
    voxels = line(0, 9)
    assert masked_dbscan(voxels, np.array([[4.0, 0, 0]]), 1.1, mask_radius=4.0).tolist() == [0] * 9
    cut = masked_dbscan(voxels, np.array([[4.0, 0, 0]]), 1.1, mask_radius=3.0)
    assert cut.tolist() == [0] * 5 + [1] * 4  # voxel 4 is as near to 0 as to 8


def test_voxels_set_aside_stay_in_their_component():
    near, far = line(0, 9), line(0, 9, at=(0, 3, 0))
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    labels = masked_dbscan(np.concatenate([near, far]), points, 1.1, mask_radius=2.0)
    assert labels.tolist() == [0] * 9 + [1] * 9  # though voxels of the other line are nearer to some


def test_noise_is_not_cut_but_left_out():
    voxels = np.concatenate([line(0, 9), [[20, 0, 0]]])
    labels = masked_dbscan(voxels, np.array([[4.0, 0, 0]]), 1.1, min_samples=2, mask_radius=2.0)
    assert labels.tolist() == [0] * 5 + [1] * 4 + [-1]


def walks(n, seed=0):
    """About n voxels of random walks of a hundred steps in a large box."""
    rng = np.random.default_rng(seed)
    start = np.repeat(rng.integers(0, 3000, (n // 100, 1, 3)), 100, axis=1)
    voxels = np.unique((start + np.cumsum(rng.integers(-1, 2, start.shape), axis=1)).reshape(-1, 3), axis=0)
    return voxels[rng.permutation(len(voxels))]


def test_growth_is_linear():
    dbscan(walks(1000), 1.999)
    times = {}
    for n in (20_000, 160_000):
        voxels = walks(n)
        best = np.inf
        for _ in range(3):
            start = time.perf_counter()
            dbscan(voxels, 1.999)
            best = min(best, time.perf_counter() - start)
        times[n] = best
    assert times[160_000] < 8 * 3 * times[20_000]  # all pairs: 64 times
