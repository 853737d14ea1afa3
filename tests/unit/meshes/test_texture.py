"""Pixels under faces, against hand-made images and a loop over all pixels."""

from fractions import Fraction

import numpy as np
import pytest

from weft.errors import WeftError
from weft.meshes.texture import face_pixels, sample_pixels, textured_pixels


def numbered(height, width):
    """An image whose pixel in row i, column j is (i, j, 7)."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=2).astype(np.uint8)


def places(found, face):
    start, stop = found.offsets[face : face + 2]
    return {(int(r), int(c)) for r, c, _ in found.rgb[start:stop]}


def by_brute_force(corners, height, width):
    """Pixels of an endless image whose centres lie in a triangle or on its edge, in exact numbers."""
    points = [(Fraction(float(u)) * width, (1 - Fraction(float(v))) * height) for u, v in corners]
    (ax, ay), (bx, by), (cx, cy) = points
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    rows = range(int(min(ay, by, cy)) - 2, int(max(ay, by, cy)) + 3)
    columns = range(int(min(ax, bx, cx)) - 2, int(max(ax, bx, cx)) + 3)
    found = {}
    for i in rows:
        for j in columns:
            x, y = Fraction(2 * j + 1, 2), Fraction(2 * i + 1, 2)
            one = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
            two = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
            if one >= 0 and two >= 0 and one + two <= 1:
                found[i, j] = (float(one), float(two))
    return found


def test_a_known_triangle_on_a_checker():
    checker = np.where((np.indices((4, 4)).sum(axis=0) % 2 == 0)[..., None], [255, 0, 10], [0, 200, 20]).astype(
        np.uint8
    )
    # The lower left half: v is 0 at the bottom row of the image.
    found = face_pixels(np.array([[0, 0, 1, 0, 0, 1]]), checker)
    assert found.offsets.tolist() == [0, 10]
    expected = [(i, j) for i in range(4) for j in range(4) if i >= j]
    np.testing.assert_array_equal(found.rgb, [checker[i, j] for i, j in expected])
    np.testing.assert_allclose(found.weights[:, 0], [(j + 0.5) / 4 for _, j in expected], atol=1e-3)
    np.testing.assert_allclose(found.weights[:, 1], [1 - (i + 0.5) / 4 for i, _ in expected], atol=1e-3)


def test_colours_are_red_green_blue():
    found = face_pixels(np.array([[0, 0, 1, 0, 0, 1]]), np.full((1, 1, 3), [200, 100, 50], np.uint8))
    assert found.rgb.tolist() == [[200, 100, 50]]


@pytest.mark.parametrize("turned", [False, True])
def test_exactly_the_pixels_inside_and_their_weights(turned):
    rng = np.random.default_rng(2)
    height, width = 16, 8
    # Corners on a grid of half pixels, exact in binary, so that many centres lie on edges.
    grid = rng.integers(0, (2 * width + 1, 2 * height + 1), (80, 3, 2)) / np.array([2 * width, 2 * height])
    corners = np.concatenate([grid, rng.uniform(0, 1, (60, 3, 2))])
    corners = corners[:, ::-1] if turned else corners
    found = face_pixels(corners.reshape(-1, 6), numbered(height, width))
    checked = edges = 0
    for face, triangle in enumerate(corners):
        u, v = (triangle - triangle[0]).T
        if u[1] * v[2] == u[2] * v[1]:
            continue
        expected = by_brute_force(triangle, height, width)
        if not expected:
            continue
        assert places(found, face) == set(expected)
        start, stop = found.offsets[face : face + 2]
        for (i, j, _), weights in zip(found.rgb[start:stop], found.weights[start:stop], strict=True):
            np.testing.assert_allclose(weights, expected[i, j], atol=2e-3)
        checked += 1
        edges += sum(min(one, two, 1 - one - two) == 0 for one, two in expected.values())
    assert checked > 100
    assert edges > 100


def test_pixels_on_a_shared_edge_are_under_both_faces_and_none_is_lost():
    found = face_pixels(np.array([[0, 0, 1, 0, 1, 1], [0, 0, 1, 1, 0, 1]]), numbered(8, 8))
    assert places(found, 0) | places(found, 1) == {(i, j) for i in range(8) for j in range(8)}
    assert places(found, 0) & places(found, 1) == {(7 - j, j) for j in range(8)}


def test_a_tiny_face_has_the_pixel_at_its_centre():
    uv = np.array([[0.30, 0.70, 0.31, 0.70, 0.30, 0.71], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1, 0.5, 0.5]])
    found = face_pixels(uv, numbered(4, 4))
    assert places(found, 0) == {(1, 1)}
    assert places(found, 1) == {(2, 2)}
    assert places(found, 2) == {(2, 2)}, "without area: no more than one"
    np.testing.assert_allclose(found.weights, 1 / 3, atol=1e-3)


def test_faces_without_texture_have_no_pixels():
    uv = np.array([[0, 0, 1, 0, 0, 1], [np.nan] * 6, [0, 0, 1, 0, 0, np.nan], [0, 0, 1, 0, 0, 1]])
    found = textured_pixels(uv, np.array([-1, 0, 0, 0]), [(4, 4)], lambda _: numbered(4, 4))
    assert np.diff(found.offsets).tolist() == [0, 0, 0, 10]


def test_beyond_the_edges_the_texture_comes_again_or_its_border_is_met():
    square = np.array([[1.0, 0.0, 1.5, 0.0, 1.0, 1.0]])
    again = face_pixels(square, numbered(4, 4), wrap="repeat")
    border = face_pixels(square, numbered(4, 4), wrap="clamp")
    inside = face_pixels(square - [1, 0, 1, 0, 1, 0], numbered(4, 4))
    np.testing.assert_array_equal(again.rgb, inside.rgb)
    assert {column for _, column in places(border, 0)} == {3}
    assert {row for row, _ in places(border, 0)} == {1, 2, 3}
    below = face_pixels(np.array([[0, -1.0, 1, -1.0, 0, -2.0]]), numbered(4, 4), wrap="clamp")
    assert {row for row, _ in places(below, 0)} == {3}


def test_the_far_corner_is_the_last_pixel():
    corner = np.array([[1.0, 0.0] * 3])
    for wrap in ("repeat", "clamp"):
        assert places(face_pixels(corner, numbered(4, 5), wrap=wrap), 0) == {(3, 4)}


def test_a_cap_keeps_pixels_all_over_the_face():
    uv = np.array([[0, 0, 1, 0, 0, 1], [0, 0, 1, 0, 1, 1]])
    whole, some = face_pixels(uv, numbered(100, 100), 10**6), face_pixels(uv, numbered(100, 100), 64)
    assert (whole.capped, some.capped, some.under) == (0, 2, whole.under)
    assert np.diff(some.offsets).tolist() == [64, 64]
    for face in range(2):
        assert len(places(some, face)) == 64
        assert places(some, face) <= places(whole, face)
        kept = np.array(sorted(places(some, face)))
        everything = np.array(sorted(places(whole, face)))
        np.testing.assert_allclose(kept.mean(axis=0), everything.mean(axis=0), atol=3)
        np.testing.assert_allclose(kept.std(axis=0), everything.std(axis=0), atol=3)
    again = face_pixels(uv, numbered(100, 100), 64)
    np.testing.assert_array_equal(again.rgb, some.rgb)


def test_capped_pixels_are_those_that_a_sample_of_all_takes():
    uv = np.array([[0.1, 0.05, 0.93, 0.2, 0.4, 0.99]])
    whole, some = face_pixels(uv, numbered(90, 70), 10**6), face_pixels(uv, numbered(90, 70), 50)
    rows, kept = sample_pixels(np.diff(whole.offsets), 50)
    assert kept.tolist() == [50]
    np.testing.assert_array_equal(some.rgb, whole.rgb[rows])
    np.testing.assert_array_equal(some.weights, whole.weights[rows])


@pytest.mark.parametrize("rng", [None, 5])
def test_samples_are_one_of_each_stratum(rng):
    counts = np.array([0, 1, 7, 8, 9, 1000])
    for seed in range(20):
        rows, kept = sample_pixels(counts, 8, None if rng is None else np.random.default_rng(seed))
        assert kept.tolist() == [0, 1, 7, 8, 8, 8]
        parts = np.split(rows, np.cumsum(kept)[:-1])
        for count, part in zip(counts, parts, strict=True):
            assert len(set(part.tolist())) == len(part)
            assert all(0 <= row < count for row in part)
        assert (parts[5] // 125).tolist() == list(range(8))


def test_random_samples_differ_and_reach_every_pixel():
    seen = set()
    for seed in range(200):
        seen |= set(sample_pixels(np.array([30]), 8, np.random.default_rng(seed))[0].tolist())
    assert seen == set(range(30))


def test_several_textures_are_loaded_once_and_only_where_needed():
    loaded = []

    def load(number):
        loaded.append(number)
        return np.full((2 + number, 3, 3), number, np.uint8)

    uv = np.array([[0, 0, 1, 0, 0, 1]] * 4)
    found = textured_pixels(uv, np.array([2, 0, 2, -1]), [(2, 3), (3, 3), (4, 3)], load)
    assert loaded == [0, 2]
    assert [set(found.rgb[a:b].ravel().tolist()) for a, b in zip(found.offsets, found.offsets[1:], strict=False)] == [
        {2}, {0}, {2}, set(),
    ]  # fmt: skip


def test_impossible_coordinates_and_textures_are_named():
    uv = np.array([[0, 0, 1, 0, 0, 1.0]])
    with pytest.raises(WeftError, match="a face has texture 1, of 1"):
        textured_pixels(uv, np.array([1]), [(2, 2)], lambda _: numbered(2, 2))
    with pytest.raises(WeftError, match=r"coordinates of texture up to 1e\+09"):
        face_pixels(uv * 1e9, numbered(2, 2))
    with pytest.raises(WeftError, match="expected at least 1"):
        face_pixels(uv, numbered(2, 2), 0)
    with pytest.raises(WeftError, match="texture 0 is uint8"):
        textured_pixels(uv, np.array([0]), [(2, 2)], lambda _: numbered(3, 2))
