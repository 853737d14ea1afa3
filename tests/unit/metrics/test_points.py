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
    distinct,
    harmonic_mean,
    matched,
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


def test_pairs_are_one_to_one_and_the_nearest_first():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [9, 0, 0], [50, 0, 0]])
    others = np.array([[0.6, 0, 0], [0.7, 0, 0], [9, 0, 0], [9, 2, 0]])
    same = np.zeros(4, int)
    first, second = matched(points, others, same, same, 10.0)
    # 9–9 first, then 1–0.7 and only then 0–0.6, though 1 is nearer to 0.6 than 0 is; the fourth has none within 10.
    assert first.row.tolist() == [0, 1, 2, -1]
    assert second.row.tolist() == [0, 1, 2, -1]
    assert first.distance.tolist() == pytest.approx([0.6, 0.3, 0, np.inf])
    assert second.distance.tolist() == pytest.approx([0.6, 0.3, 0, np.inf])
    # Classes are paired by themselves, and a smaller limit keeps what is within it.
    first, second = matched(points, others, np.array([0, 1, 0, 0]), np.array([1, 1, 0, 2]), 0.35)
    assert first.row.tolist() == [-1, 1, 2, -1]
    assert second.row.tolist() == [-1, 1, 2, -1]
    first, second = matched(points, others[:0], same, same[:0], 10.0)
    assert (first.row == -1).all()
    assert len(second.row) == 0


@given(st.integers(0, 10**6))
def test_pairs_are_those_of_a_search_over_all(seed):
    rng = np.random.default_rng(seed)
    points, others = (rng.integers(0, 6, (rng.integers(0, 9), 3)).astype(float) for _ in range(2))
    kinds, other_kinds = (rng.integers(0, 3, len(p)) for p in (points, others))
    first, second = matched(points, others, kinds, other_kinds, 4.0)
    for i, j in enumerate(first.row):
        assert j < 0 or second.row[j] == i
        if j >= 0:
            assert kinds[i] == other_kinds[j]
            assert first.distance[i] == second.distance[j] == np.linalg.norm(points[i] - others[j]) <= 4
    # No two of a kind within the limit both have a partner that is farther than they are from each other.
    distance = np.linalg.norm(points[:, None] - others[None], axis=2)
    distance[(kinds[:, None] != other_kinds) | (distance > 4)] = np.inf
    assert not ((distance < first.distance[:, None]) & (distance < second.distance)).any()


def test_points_in_one_place_count_once():
    points = np.array([[0.0, 0, 0], [0.4, 0, 0], [0.8, 0, 0], [0.4, 0, 0]])
    # The second lies at the first; the third at the second only, which is left out; the fourth is of another class.
    assert distinct(points, np.array([0, 0, 0, 1]), 0.5).tolist() == [0, 2, 3]
    assert distinct(points[:0], np.zeros(0, int), 0.5).tolist() == []


def test_copies_are_all_but_the_nearest():
    to_true = Nearest(np.array([0.5, 1.0, 2.0, 9.0]), np.array([0, 0, 1, 1]))
    to_predicted = Nearest(np.array([0.5, 2.0]), np.array([0, 2]))
    assert copies(to_true, to_predicted).tolist() == [False, True, False, False]  # the last is too far to be a copy
