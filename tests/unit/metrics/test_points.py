import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.metrics.points import (
    EDGES,
    N_BINS,
    Nearest,
    copies,
    distance_bins,
    harmonic_mean,
    median_within,
    nearest,
    share_within,
)


def test_nearest_of_any_class_and_of_the_same():
    points, others = np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([[1.0, 0, 0], [0, 3, 0], [10, 4, 0]])
    found = nearest(points, others)
    assert found.distance.tolist() == [1, 4]
    assert found.row.tolist() == [0, 2]
    found = nearest(points, others, np.array([1, 0]), np.array([0, 1, 1]))
    assert found.distance.tolist() == [3, 9]
    assert found.row.tolist() == [1, 0]


def test_the_first_of_points_in_one_place_is_taken():
    others = np.array([[5.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    assert nearest(np.zeros((1, 3)), others).row.tolist() == [1]


def test_nothing_is_infinitely_far():
    for points, others in ((np.ones((2, 3)), np.zeros((0, 3))), (np.zeros((0, 3)), np.ones((2, 3)))):
        found = nearest(points, others)
        assert found.distance.tolist() == [np.inf] * len(points)
        assert found.row.tolist() == [-1] * len(points)
    found = nearest(np.ones((1, 3)), np.ones((1, 3)), np.array([0]), np.array([1]))
    assert found.row.tolist() == [-1]


def test_an_edge_belongs_to_the_bin_below():
    three = int(np.flatnonzero(EDGES == 3)[0])
    assert distance_bins(np.array([0, 0.05, 3.0, np.nextafter(3.0, 4), np.inf])).tolist() == [
        0, 0, three - 1, three, N_BINS - 1
    ]  # fmt: skip


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_shares_are_those_of_the_distances(values):
    distance = np.array(values)
    histogram = np.bincount(distance_bins(distance), minlength=N_BINS)
    np.testing.assert_allclose(share_within(histogram), [(distance <= edge).mean() for edge in EDGES[1:-1]])


def test_the_median_is_that_within_the_mark():
    rng = np.random.default_rng(0)
    distance = np.concatenate([rng.exponential(0.4, 4000), np.full(3000, 50.0)])
    histogram = np.bincount(distance_bins(distance), minlength=N_BINS)
    assert median_within(histogram) == pytest.approx(np.median(distance[distance <= 3]), abs=0.02)
    assert np.isnan(median_within(np.zeros(N_BINS)))
    alone = np.zeros(N_BINS)
    alone[-1] = 5
    assert np.isnan(median_within(alone))
    assert np.isfinite(median_within(np.stack([histogram, histogram]))).all()


def test_harmonic_mean():
    values = harmonic_mean(np.array([1.0, 0.5, 0, np.nan]), np.array([0.5, 0.5, 0, 1]))
    np.testing.assert_allclose(values, [2 / 3, 0.5, 0, np.nan])


def test_copies_are_all_but_the_nearest():
    to_true = Nearest(np.array([0.5, 1.0, 2.0, 9.0]), np.array([0, 0, 1, 1]))
    to_predicted = Nearest(np.array([0.5, 2.0]), np.array([0, 2]))
    assert copies(to_true, to_predicted).tolist() == [False, True, False, False]  # the last is too far to be a copy
