"""Sheets, bodies of revolution, and the pages that their pictures lie on."""

import numpy as np
import pytest

from weft.simulation.towns.atlas import draw_atlas, pack
from weft.simulation.towns.damage import Surface, doubled, split, welded
from weft.simulation.towns.ground import inside
from weft.simulation.towns.pieces import revolved, sheet
from weft.simulation.towns.settings import Textures


def painted(value):
    return lambda rows, columns, gsd, rng: np.full((rows, columns, 3), float(value))


def area(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def test_a_sheet_covers_its_rectangle_with_normals_outwards():
    piece = sheet(np.array([[0, 0, 0], [5, 0, 0], [5, 3, 0], [0, 3, 0]]), 1.0, 3, painted(0))
    assert len(piece.faces) == 30
    assert area(piece.vertices, piece.faces).sum() == pytest.approx(15)
    a, b, c = (piece.vertices[piece.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    assert piece.size == (5, 3)
    np.testing.assert_allclose(piece.chart, piece.vertices[:, :2])


def test_two_corners_that_are_one_make_a_triangle_without_slivers():
    piece = sheet(np.array([[0, 0, 0], [4, 0, 0], [2, 3, 0], [2, 3, 0]]), 1.0, 3, painted(0))
    assert area(piece.vertices, piece.faces).min() > 0
    assert area(piece.vertices, piece.faces).sum() == pytest.approx(6)


def test_a_sphere_of_revolution():
    turn = np.linspace(-np.pi / 2, np.pi / 2, 25)
    piece = revolved(np.array([1.0, 2, 3]), 2 * np.column_stack([np.cos(turn), np.sin(turn)]), 48, 2, painted(0))
    assert area(piece.vertices, piece.faces).sum() == pytest.approx(4 * np.pi * 4, rel=0.01)
    a, b, c = (piece.vertices[piece.faces[:, k]] for k in range(3))
    outwards = ((a + b + c) / 3 - [1, 2, 3]) * np.cross(b - a, c - a)
    assert (outwards.sum(axis=1) > 0).all()


def test_pictures_do_not_overlap_and_lie_within_their_page():
    rng = np.random.default_rng(0)
    shapes = rng.integers(2, 60, (80, 2)).tolist()
    spots, sizes = pack(shapes, 128)
    taken = [np.zeros(size, int) for size in sizes]
    for (rows, columns), spot in zip(shapes, spots, strict=True):
        assert (spot.rows, spot.columns) == (rows, columns)
        block = taken[spot.page][spot.row - 2 : spot.row + rows + 2, spot.column - 2 : spot.column + columns + 2]
        assert block.shape == (rows + 4, columns + 4)
        block += 1
    assert len(sizes) > 1
    assert max(map(np.max, taken)) == 1


def test_a_vertex_sees_its_own_picture():
    pieces = [
        sheet(np.array([[0, 0, 0], [6, 0, 0], [6, 6, 0], [0, 6, 0]]), 2.0, 1, painted(50)),
        sheet(np.array([[0, 0, 5], [3, 0, 5], [3, 2, 5], [0, 2, 5]]), 2.0, 3, painted(200)),
    ]
    plain = Textures(gsd=0.5, page=64, sun=0, brightness=0, tint=0, grain=0)
    atlas = draw_atlas(pieces, plain, np.random.default_rng(0), np.random.default_rng(0))
    for piece, uv, value in zip(pieces, atlas.coordinates, (50, 200), strict=True):
        page = atlas.pages[0]
        centre = uv[piece.faces].mean(axis=1)
        row = ((1 - centre[:, 1]) * page.shape[0]).astype(int)
        column = (centre[:, 0] * page.shape[1]).astype(int)
        assert (page[row, column] == value).all()
        assert uv.min() >= 0
        assert uv.max() <= 1


def square():
    vertices = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0], [0.0, 0, 0.0001]])
    faces = np.array([[0, 1, 2], [4, 2, 3]])
    coordinates = vertices[faces][..., :2] / 2
    return Surface(vertices, faces, coordinates, np.zeros(2, int), np.array([1, 3]), np.array([0, 1]))


def test_vertices_at_one_place_are_welded():
    surface = welded(square())
    assert len(surface.vertices) == 4
    assert surface.faces[0, 0] == surface.faces[1, 0]


def test_a_cut_face_leaves_its_neighbour_whole():
    surface = split(welded(square()), np.array([True, False]))
    assert len(surface.faces) == 3
    assert surface.labels.tolist() == [1, 1, 3]
    assert area(surface.vertices, surface.faces).tolist() == pytest.approx([0.5, 0.5, 1])
    middle = surface.vertices[-1]
    np.testing.assert_allclose(middle, [1, 0.5, 0])
    assert not (surface.faces[2] == len(surface.vertices) - 1).any(), "the new corner hangs on the neighbour's edge"
    np.testing.assert_allclose(surface.vertices[surface.faces][..., :2] / 2, surface.coordinates)


def test_doubled_faces_are_the_same_triangles():
    surface = doubled(welded(square()), np.array([True, True]), np.random.default_rng(3))
    assert len(surface.faces) == 4
    for k in (0, 1):
        assert sorted(surface.faces[k]) == sorted(surface.faces[k + 2])
    np.testing.assert_allclose(surface.vertices[surface.faces][..., :2] / 2, surface.coordinates, atol=1e-4)


def test_inside_a_polygon():
    polygon = np.array([[0, 0], [2, 0], [2, 1], [0, 1]])
    assert inside(np.array([[1, 0.5], [3, 0.5], [1, 1.1], [0, 0]]), polygon).tolist() == [True, False, False, True]
