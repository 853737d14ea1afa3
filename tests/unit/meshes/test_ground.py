"""Heights over the ground, and roughness."""

import numpy as np
import pytest
from scipy import ndimage

from weft.errors import WeftError
from weft.meshes import surface as surface_module
from weft.meshes.geometry import centroids
from weft.meshes.ground import heights, lowest_in_disc, lowest_points, objects, smoothly_filled
from weft.meshes.surface import DEFAULT, SurfaceSettings, face_surface, roughness

ORIGIN = np.array([7750.95, 4750.95, 16.6])


def sheet(height, size=120.0, step=2.0, origin=ORIGIN):
    """A mesh over a square with heights of a function of x and y, which begin at 0."""
    n = round(size / step) + 1
    x, y = np.meshgrid(np.linspace(0, size, n), np.linspace(0, size, n), indexing="ij")
    vertices = np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3) + origin
    k = np.arange(n * n).reshape(n, n)
    a, b, c, d = (part.reshape(-1) for part in (k[:-1, :-1], k[1:, :-1], k[1:, 1:], k[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return vertices, faces


def hill(x, y):
    return 0.1 * x + 6 * np.sin(y / 40)


def block(x, y):
    return (x >= 50) & (x <= 70) & (y >= 40) & (y <= 70)


def inside(vertices, faces, margin):
    x, y = (centroids(vertices[faces])[:, :2] - vertices[:, :2].min(axis=0)).T
    return (x > 50 + margin) & (x < 70 - margin) & (y > 40 + margin) & (y < 70 - margin)


def test_a_building_on_a_hill_stands_on_the_hill():
    vertices, faces = sheet(lambda x, y: hill(x, y) + 12 * block(x, y))
    height = heights(vertices, faces)
    on, off = inside(vertices, faces, 0), ~inside(vertices, faces, -3)
    assert on.sum() > 100
    assert np.abs(height[on] - 12).max() < 1
    away = centroids(vertices[faces])[:, :2] - vertices[:, :2].min(axis=0)
    middle = off & ((away > 20) & (away < 100)).all(axis=1)
    assert np.abs(height[middle]).max() < 0.3
    # one plane cannot do that
    assert np.abs(heights(vertices, faces, ground="plane")[middle]).max() > 3


def test_a_building_wider_than_the_disc_is_ground():
    vertices, faces = sheet(lambda x, y: 12.0 * block(x, y))
    on = inside(vertices, faces, 5)
    assert heights(vertices, faces, radius=20)[on] == pytest.approx(np.full(on.sum(), 12))
    # the plane that is taken off is that of ground and roof together, and leans a little
    assert heights(vertices, faces, radius=6)[on] == pytest.approx(np.zeros(on.sum()), abs=0.02)


def test_a_plane_is_its_own_ground():
    vertices, faces = sheet(lambda x, y: 0.2 * x - 0.1 * y)
    assert heights(vertices, faces, ground="plane") == pytest.approx(np.zeros(len(faces)), abs=1e-9)
    assert np.abs(heights(vertices, faces)).max() < 0.5
    fine = sheet(lambda x, y: 0.2 * x - 0.1 * y, size=70, step=0.7)
    assert np.abs(heights(*fine)).max() < 0.5


def test_the_ground_of_a_mesh_narrower_than_the_disc_follows_its_slope_too():
    vertices, faces = sheet(lambda x, y: 0.2 * x, size=14, step=0.7)
    assert np.abs(heights(vertices, faces)).max() < 0.2


def test_the_plane_of_the_spec_by_hand():
    """Three vertices at 0 say where the ground is; heights are along its normal."""
    vertices = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0]] + [[x, 5, 20 + x] for x in range(60)])
    faces = np.array([[3, 4, 5], [3, 62, 10], [0, 1, 2]])
    assert heights(vertices, faces, ground="plane") == pytest.approx([21, 20 + 66 / 3, 0], abs=1e-9)
    few = np.array([[0.0, 0, 1], [3, 0, 4], [0, 3, 4]])
    assert heights(few, np.array([[0, 1, 2]]), ground="plane") == pytest.approx([2])


def test_one_pit_below_the_ground_does_not_move_it():
    given = sheet(lambda x, y: 0 * x, size=60, step=1)
    vertices = given[0].copy()
    vertices[len(vertices) // 2, 2] -= 30
    untouched = np.setdiff1d(np.arange(len(given[1])), np.flatnonzero((given[1] == len(vertices) // 2).any(axis=1)))
    assert heights(vertices, given[1])[untouched] == pytest.approx(np.zeros(len(untouched)), abs=1e-9)


def test_a_membrane_over_unknown_cells():
    raster = np.add.outer(3.0 * np.arange(9), 2.0 * np.arange(7))
    unknown = np.zeros((9, 7), bool)
    unknown[3:6, 2:5] = True
    given = np.where(unknown, 99, raster)
    assert smoothly_filled(given, unknown) == pytest.approx(raster)  # a plane is smooth
    assert smoothly_filled(given, np.zeros((9, 7), bool)) is given
    corner = np.zeros((3, 3), bool)
    corner[0, 0] = corner[0, 1] = True
    filled = smoothly_filled(np.array([[9.0, 9, 2], [1, 4, 5], [0, 0, 0]]), corner)
    # 2 a = b + 1 and 3 b = a + 2 + 4
    assert filled[0, :2] == pytest.approx([9 / 5, 13 / 5])


def test_a_mesh_of_two_cells_has_a_ground():
    """A post beside a patch of ground: what is beside the post is all there is, and the ground all the same."""
    vertices = np.array([[0.0, 0, 0], [0.9, 0, 0], [0, 0.9, 0], [1.1, 0, 8], [1.9, 0, 8], [1.1, 0.9, 8]])
    assert heights(vertices, np.array([[0, 1, 2], [3, 4, 5]])) == pytest.approx([0, 8])


@pytest.mark.parametrize("reach", [1, 2, 5, 13, 40])
def test_the_least_in_a_disc_is_grey_erosion(reach):
    raster = np.random.default_rng(0).normal(size=(31, 24))
    place = np.arange(-reach, reach + 1)
    disc = place[:, None] ** 2 + place**2 <= reach**2
    assert np.array_equal(lowest_in_disc(raster, reach), ndimage.grey_erosion(raster, footprint=disc, mode="nearest"))


def test_what_is_steep_and_narrow_is_an_object():
    raster = np.add.outer(0.1 * np.arange(40), np.zeros(40))
    raster[10:14, 10:14] += 1.5  # a car
    raster[20:39, 5:20] += 4  # a house, 15 m wide
    found = objects(raster, 1.0, 20.0, 0.2)
    assert found[10:14, 10:14].all()
    assert found[20:39, 5:20].all()
    away = ~found
    away[8:16, 8:16] = away[18:, 3:22] = True
    assert away.all()
    assert not objects(raster, 1.0, 5.0, 0.2)[25:34, 8:17].any()  # the house holds the disc
    assert not objects(raster, 1.0, 20.0, 2.0)[10:14, 10:14].any()  # no steeper than ground may be


def test_large_faces_fill_their_cells():
    vertices = np.array([[0.0, 0, 0], [40, 0, 0], [40, 40, 40], [0, 40, 40]])
    raster, origin = lowest_points(vertices, np.array([[0, 1, 2], [0, 2, 3]]), 2.0)
    assert raster.shape == (21, 21)
    assert origin.tolist() == [0, 0]
    # the lowest point of a cell from 2 k is between 2 k and what a step of 2 m leaves open
    assert (raster[:-1, :-1] >= 2 * np.arange(20)).all()
    assert (raster[:-1, :-1] <= 2 * np.arange(20) + 2).all()


def test_a_hole_has_the_ground_of_what_is_near():
    vertices, faces = sheet(lambda x, y: 0 * x + 3)
    hole = inside(vertices, faces, 0)
    car = np.array([[58.0, 55, 5.5], [60, 55, 5.5], [58, 57, 5.5]]) + ORIGIN
    all_faces = np.concatenate([faces[~hole], [[len(vertices), len(vertices) + 1, len(vertices) + 2]]])
    assert heights(np.concatenate([vertices, car]), all_faces)[-1] == pytest.approx(2.5)


def test_a_mesh_too_wide_for_its_cells_is_an_error_that_says_what_to_do():
    vertices = np.array([[0.0, 0, 0], [1e5, 0, 0], [0, 1e5, 0]])
    with pytest.raises(WeftError, match=r"1e\+05 x 1e\+05 m: .* give a larger ground_cell"):
        heights(vertices, np.array([[0, 1, 2]]))


def test_moving_and_turning_by_a_right_angle_changes_little():
    vertices, faces = sheet(lambda x, y: hill(x, y) + 12 * block(x, y))
    here = face_surface(vertices, faces)
    assert face_surface(vertices + np.array([100, -60, 8]), faces) == pytest.approx(here, abs=1e-5)
    turned = vertices @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]).astype(float)
    assert np.quantile(np.abs(face_surface(turned, faces)[:, 0] - here[:, 0]), 0.95) < 0.3


def test_roughness_is_the_deviation_around_each_point(monkeypatch):
    rng = np.random.default_rng(3)
    points, height = rng.random((400, 3)) * [10, 10, 1] + 7750, rng.normal(1000, 2, 400)
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    expected = [height[row <= 1.0].std() for row in distance]
    assert roughness(points, height, 1.0) == pytest.approx(expected, abs=1e-9)
    monkeypatch.setattr(surface_module, "_PAIRS", 50)
    assert roughness(points, height, 1.0) == pytest.approx(expected, abs=1e-9)


def test_alone_is_not_rough():
    assert roughness(np.array([[0.0, 0, 0], [9, 0, 0]]), np.array([0.0, 5]), 1.0).tolist() == [0, 0]
    assert roughness(np.zeros((3, 3)), np.array([0.0, 0, 3]), 1.0) == pytest.approx([2**0.5] * 3)


def test_settings_reach_what_they_say():
    vertices, faces = sheet(lambda x, y: hill(x, y) + 12 * block(x, y), size=80)
    default = face_surface(vertices, faces)
    assert default.shape == (len(faces), 2)
    assert default.dtype == np.float32
    for change in ({"ground": "plane"}, {"ground_cell": 5.0}, {"ground_radius": 5.0}, {"ground_slope": 3.0}):
        assert not np.allclose(face_surface(vertices, faces, SurfaceSettings(**change))[:, 0], default[:, 0])
    smoother = face_surface(vertices, faces, DEFAULT._replace(roughness_radius=0.1))
    assert (smoother[:, 1] == 0).all()
    assert default[:, 1].max() > 0


def test_no_faces():
    assert face_surface(np.zeros((4, 3)), np.zeros((0, 3), int)).shape == (0, 2)
