"""The nearest row, and which of equally near ones."""

import numpy as np
from scipy.spatial.distance import cdist

from weft.reco.nearest import nearest_rows


def test_it_is_the_first_of_all_nearest_ones():
    rng = np.random.default_rng(0)
    for _ in range(50):
        coords = rng.integers(0, 5, (80, 3))
        among, asked = rng.permutation(80)[:40], np.arange(80)
        expected = among[cdist(coords, coords[among]).argmin(1)]
        np.testing.assert_array_equal(nearest_rows(coords, among, asked), expected)


def test_more_ties_than_are_asked_for_at_first():
    sphere = np.array([p for p in np.ndindex(11, 11, 11) if ((np.array(p) - 5) ** 2).sum() == 25])
    assert len(sphere) == 30
    coords = np.concatenate([[[5, 5, 5]], sphere[::-1]])
    among = np.concatenate([[30], np.arange(1, 30)])
    assert nearest_rows(coords, among, np.array([0])).tolist() == [30]


def test_only_rows_of_the_same_group_count():
    coords, groups = np.array([[0, 0, 0], [1, 0, 0], [9, 0, 0]]), np.array([3, 0, 3])
    assert nearest_rows(coords, np.array([1, 2]), np.array([0])).tolist() == [1]
    assert nearest_rows(coords, np.array([1, 2]), np.array([0]), groups).tolist() == [2]


def test_nothing_asked():
    assert len(nearest_rows(np.zeros((2, 3)), np.array([0]), np.empty(0, int))) == 0
