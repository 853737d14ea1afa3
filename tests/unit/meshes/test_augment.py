"""Meshes after random changes: nothing but what was asked for changes, and everything that should does."""

import numpy as np
import pytest
from pydantic import ValidationError

from weft.meshes.augment import kept, rotation, swapped, vary_geometry
from weft.meshes.augment_options import AugmentOptions, Scaling
from weft.meshes.feature_options import FeatureOptions
from weft.meshes.features import face_features, feature_names
from weft.meshes.geometry import areas, centroids, normals

OFF = {"rotate": 0, "scale": None, "mirror": ()}


def box():
    """A closed box of 12 faces whose normals point outwards."""
    corners = np.array([[x, y, z] for x in (0.0, 2) for y in (0.0, 3) for z in (0.0, 1)]) + 7750
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = np.array([tri for a, b, c, d in quads for tri in ((a, b, c), (a, c, d))])
    return corners, faces, np.tile(np.array([[2.0, 0.5]], np.float32), (12, 1))


def outwards(vertices, faces):
    corners = vertices[faces]
    away = centroids(corners) - vertices.mean(axis=0)
    return (normals(corners) * away).sum(axis=1) > 0


def varied(rng=0, **options):
    return vary_geometry(*box(), AugmentOptions(**{**OFF, **options}), np.random.default_rng(rng))


def test_the_box_is_one():
    assert outwards(*box()[:2]).all()


def test_nothing_asked_for_nothing_done():
    made = varied()
    for given, after in zip(box(), made[:3], strict=True):
        assert np.array_equal(given, after) or np.allclose(given, after, atol=1e-12)
    assert not made.mirrored
    never = vary_geometry(*box(), AugmentOptions(probability=0, jitter=1), np.random.default_rng(0))
    assert np.array_equal(never.vertices, box()[0])


def test_the_same_generator_gives_the_same_mesh_and_the_given_one_stays():
    vertices, faces, surface = box()
    options = AugmentOptions(tilt=5, jitter=0.1)
    first, second = (vary_geometry(vertices, faces, surface, options, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.vertices, second.vertices)
    assert all(np.array_equal(a, b) for a, b in zip(box(), (vertices, faces, surface), strict=True))
    other = vary_geometry(vertices, faces, surface, options, np.random.default_rng(4))
    assert not np.allclose(first.vertices, other.vertices)


def test_a_turn_is_about_the_vertical_and_in_degrees():
    angles = []
    for seed in range(200):
        made = varied(seed, rotate=30).vertices
        assert made[:, 2] == pytest.approx(box()[0][:, 2])
        (x, y), (given_x, given_y) = made[4, :2] - made[0, :2], box()[0][4, :2] - box()[0][0, :2]
        angles.append(np.degrees(np.arctan2(y, x) - np.arctan2(given_y, given_x)))
    assert 25 < max(angles) <= 30
    assert -30 <= min(angles) < -25


def test_a_tilt_is_about_a_horizontal_axis():
    tilts = []
    for seed in range(200):
        made = varied(seed, tilt=4).vertices
        up = made[1] - made[0]
        assert np.linalg.norm(up) == pytest.approx(1)
        tilts.append(np.degrees(np.arccos(np.clip(up[2], -1, 1))))
    assert 3.5 < max(tilts) <= 4 + 1e-6
    assert min(tilts) < 0.5


def test_scale_changes_lengths_heights_and_roughness_alike():
    factors = []
    for seed in range(100):
        made = varied(seed, scale=Scaling(low=0.5, high=2))
        factor = np.linalg.norm(made.vertices[4] - made.vertices[0]) / 2
        assert made.vertices[1, 2] - made.vertices[0, 2] == pytest.approx(factor)
        assert made.surface == pytest.approx(factor * box()[2], rel=1e-5)
        assert made.surface.dtype == np.float32
        factors.append(factor)
    assert 0.5 <= min(factors) < 0.6
    assert 1.8 < max(factors) <= 2


@pytest.mark.parametrize("axes", [("x",), ("y",), ("x", "y")])
def test_a_mirrored_mesh_has_normals_outwards(axes):
    seen = set()
    for seed in range(20):
        made = varied(seed, mirror=axes)
        assert outwards(made.vertices, made.faces).all()
        assert made.mirrored == (not np.array_equal(made.faces, box()[1]))
        seen.add((made.mirrored, *np.sign(made.vertices[7, :2] - made.vertices[0, :2]).tolist()))
    assert len(seen) == 2 ** len(axes)
    assert {len(key) for key in seen} == {3}


def test_what_is_kept_per_corner_follows_a_mirror():
    """A place on a face, given by its corners' weights, is the same place of the mirrored one."""
    vertices, faces, _ = box()
    weights = np.tile([0.5, 0.3, 0.2], (12, 1))
    made = next(each for each in (varied(seed, mirror=("x",)) for seed in range(20)) if each.mirrored)
    before = (vertices[faces] * weights[..., None]).sum(axis=1)
    after = (made.vertices[made.faces] * swapped(weights)[..., None]).sum(axis=1)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    assert after - middle == pytest.approx((before - middle) * [-1, 1, 1])


def test_jitter_is_of_vertices_so_faces_stay_together():
    made = varied(0, jitter=0.01)
    moved = made.vertices - box()[0]
    assert 0.004 < moved.std() < 0.02
    assert np.array_equal(made.faces, box()[1])


def test_varying_then_extracting_is_extracting_then_varying():
    vertices, faces, surface = box()
    options = FeatureOptions()
    names = feature_names(options)
    clusters = np.zeros(12, int)
    before = dict(zip(names, face_features(vertices, faces, surface, options, clusters=clusters).T, strict=True))
    made = varied(5, rotate=180, scale=Scaling(low=2, high=2))
    after = dict(
        zip(names, face_features(made.vertices, made.faces, made.surface, options, clusters=clusters).T, strict=True)
    )
    for name in ("angle0", "angle1", "angle2", "slope", "normal_z"):
        assert after[name] == pytest.approx(before[name], abs=1e-4)
    for name in ("z0", "z2", "height", "roughness"):
        assert after[name] == pytest.approx(2 * before[name], abs=1e-4)
    assert np.expm1(after["area"]) == pytest.approx(4 * np.expm1(before["area"]), rel=1e-4)
    turned, plain = (np.hypot(table["normal_x"], table["normal_y"]) for table in (after, before))
    assert turned == pytest.approx(plain, abs=1e-4)
    assert not np.allclose(after["normal_x"], before["normal_x"], atol=0.01)
    assert areas(made.vertices[made.faces]) == pytest.approx(4 * areas(vertices[faces]))


def test_a_rotation_by_a_right_angle():
    assert rotation(np.array([0.0, 0, 1]), np.pi / 2) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation(np.array([1.0, 0, 0]), np.pi / 2) @ [0, 1, 0] == pytest.approx([0, 0, 1])


def test_no_vertices():
    made = vary_geometry(np.zeros((0, 3)), np.zeros((0, 3), int), None, AugmentOptions(), np.random.default_rng(0))
    assert len(made.vertices) == len(made.faces) == 0


# ---------------------------------------------------------------------------------------------------- dropping


def test_the_share_that_is_dropped():
    assert kept(10_000, 0.3, np.random.default_rng(0)).mean() == pytest.approx(0.7, abs=0.02)
    assert kept(100, 0.0, np.random.default_rng(0)).all()
    assert kept(0, 0.5, np.random.default_rng(0)).shape == (0,)


def test_something_is_always_left():
    assert all(kept(2, 0.99, np.random.default_rng(seed)).any() for seed in range(100))


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match=r"low \(2\) must not be more than high \(1\)"):
        Scaling(low=2, high=1)
    with pytest.raises(ValidationError, match="mirror"):
        AugmentOptions(mirror=("z",))
    with pytest.raises(ValidationError, match="less than 1"):
        AugmentOptions(face_drop=1)
