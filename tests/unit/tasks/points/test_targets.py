import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from weft.tasks.points.targets import event_rows, label_masks, nearest_points, pooled_masks, view


def cloud(seed, n=300, events=3):
    rng = np.random.default_rng(seed)
    coords = np.unique(np.c_[rng.integers(0, events, n), rng.integers(-9, 9, (n, 3))], axis=0)
    return coords, rng


def test_positives_are_nearer_than_the_radius_to_the_centre():
    voxels = np.array([[0, 0, 0], [4, 0, 0], [5, 0, 0], [6, 0, 0]])
    points = np.array([[0.5, 0.5, 0.5], [6.6, 0.5, 0.5]])
    assert nearest_points(voxels, points, 5.0).tolist() == [0, 1, 1, 1]
    assert nearest_points(voxels, points[:1], 5.0).tolist() == [0, 0, -1, -1]  # 5 away is not nearer than 5


def test_nearest_is_that_of_all_distances():
    coords, rng = cloud(0)
    points = rng.uniform(-9, 9, (12, 3))
    distance = cdist(coords[:, 1:] + 0.5, points)
    expected = np.where(distance.min(1) < 4, distance.argmin(1), -1)
    np.testing.assert_array_equal(nearest_points(coords[:, 1:], points, 4.0), expected)


def test_a_voxel_sees_only_points_of_its_particle():
    voxels = np.zeros((4, 3), int)
    points = np.array([[0.5, 0.5, 0.5], [2.0, 0.5, 0.5], [1.0, 0.5, 0.5]])
    owners, particles = np.array([0, 1, 2, -1]), np.array([0, 1, 1])
    assert nearest_points(voxels, points, 5.0, owners, particles).tolist() == [0, 2, -1, -1]


def test_the_first_of_coinciding_points_is_taken():
    assert nearest_points(np.zeros((1, 3), int), np.zeros((3, 3)), 5.0).tolist() == [0]


@pytest.mark.parametrize("n", [0, 1])
def test_no_voxels_or_no_points(n):
    assert nearest_points(np.zeros((0, 3), int), np.zeros((n, 3)), 5.0).shape == (0,)
    assert nearest_points(np.zeros((n, 3), int), np.zeros((0, 3)), 5.0).tolist() == [-1] * n
    assert [len(m) for m in pooled_masks(np.zeros((0, 4), int), np.zeros(0, bool), 3)] == [0, 0]
    assert event_rows(np.zeros((0, 4), int), 2, (0, 1))[1].tolist() == [0, 0, 0]
    assert [len(m) for m in label_masks(np.zeros((0, 4), int), np.zeros((n, 4), int), (2,))] == [0]


def test_coarse_masks_are_maxima_in_the_order_of_the_cells():
    coords, rng = cloud(1)
    positive = rng.random(len(coords)) < 0.1
    for level, mask in enumerate(pooled_masks(coords, positive, 4), 1):
        cells = np.c_[coords[:, 0], coords[:, 1:] // 2**level]
        order, parents = np.unique(cells, axis=0, return_inverse=True)
        expected = [positive[parents.reshape(-1) == k].any() for k in range(len(order))]
        assert mask.tolist() == expected


def test_label_masks_mark_the_cells_that_hold_a_label():
    coords, rng = cloud(2)
    labels = np.concatenate([coords[rng.integers(0, len(coords), 5)], [[0, 100, 100, 100]]])
    for level, mask in zip((3, 1), label_masks(coords, labels, (3, 1)), strict=True):
        cells = np.unique(np.c_[coords[:, 0], coords[:, 1:] >> level], axis=0)
        held = {tuple(cell) for cell in np.c_[labels[:, 0], labels[:, 1:] >> level]}
        assert mask.tolist() == [tuple(cell) in held for cell in cells]
        assert 0 < mask.sum() < len(mask)


def test_event_rows_split_the_sorted_cells():
    coords, _ = cloud(3, events=2)
    for level, offsets in zip((0, 2), event_rows(coords, 3, (0, 2)), strict=True):
        cells = np.unique(np.c_[coords[:, 0], coords[:, 1:] >> level], axis=0)
        assert offsets.tolist() == [0, *np.searchsorted(cells[:, 0], [1, 2, 3])]


@given(st.permutations(range(3)), st.lists(st.booleans(), min_size=3, max_size=3), st.integers(0, 2**31))
def test_a_view_keeps_distances_between_voxels_and_points(order, mirrored, seed):
    rng = np.random.default_rng(seed)
    coords, points = rng.integers(0, 30, (20, 3)).astype(np.int32), rng.uniform(0, 30, (5, 3)).astype(np.float32)
    moved = view({"coords": coords, "points": points}, np.array(order), np.array(mirrored), rng.integers(0, 16, 3))
    before, after = cdist(coords + 0.5, points), cdist(moved["coords"] + 0.5, moved["points"])
    np.testing.assert_allclose(before, after, atol=1e-4)
    np.testing.assert_array_equal(
        nearest_points(coords, points, 8), nearest_points(moved["coords"], moved["points"], 8)
    )
    assert moved["coords"].dtype == np.int32
