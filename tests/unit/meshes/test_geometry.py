"""Triangles: values by hand, and faces without area."""

import numpy as np
import pytest

from weft.meshes.geometry import areas, centroids, corner_angles, normals

RIGHT = np.array([[[0.0, 0, 0], [3, 0, 0], [0, 4, 0]]])


def test_a_right_triangle():
    assert areas(RIGHT) == pytest.approx([6])
    assert corner_angles(RIGHT)[0] == pytest.approx([np.pi / 2, np.arctan(4 / 3), np.arctan(3 / 4)])
    assert normals(RIGHT)[0] == pytest.approx([0, 0, 1])
    assert centroids(RIGHT)[0] == pytest.approx([1, 4 / 3, 0])
    assert normals(RIGHT[:, ::-1])[0] == pytest.approx([0, 0, -1])


def test_angles_sum_to_pi_and_agree_with_the_law_of_cosines():
    corners = np.random.default_rng(0).random((200, 3, 3))
    angles = corner_angles(corners)
    assert angles.sum(axis=1) == pytest.approx(np.full(200, np.pi))
    lengths = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)  # |01|, |12|, |20|
    a, b, c = lengths[:, 0], lengths[:, 2], lengths[:, 1]
    assert np.cos(angles[:, 0]) == pytest.approx((a**2 + b**2 - c**2) / (2 * a * b))


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 1, 1], [1, 1, 1], [4, 5, 6]],
        [[0, 0, 0], [1, 2, 3], [2, 4, 6]],
        [[7750.95, 4750.95, 16.6], [7751.05, 4751.15, 16.9], [7751.0, 4751.05, 16.75]],
    ],
)
def test_a_face_without_area_has_the_values_of_the_spec(corners):
    corners = np.array([corners], np.float64)
    assert areas(corners) == [0]
    assert normals(corners).tolist() == [[0, 0, 1]]
    assert corner_angles(corners)[0].tolist() == [0, 0, np.pi]


def test_a_thin_face_is_not_one_without_area():
    thin = np.array([[[0.0, 0, 0], [10, 0, 0], [5, 1e-4, 0]]]) + 7750
    assert areas(thin) == pytest.approx([5e-4], rel=1e-6)
    assert normals(thin)[0] == pytest.approx([0, 0, 1])
    assert corner_angles(thin)[0, :2] == pytest.approx([2e-5, 2e-5], rel=1e-6)


def test_no_faces():
    none = np.zeros((0, 3, 3))
    assert areas(none).shape == (0,)
    assert normals(none).shape == corner_angles(none).shape == (0, 3)
