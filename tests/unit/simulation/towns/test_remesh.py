"""Cutting and sliding: sizes are as asked for, nothing tears, pictures stay where they are."""

import numpy as np
import pytest

from weft.simulation.towns.damage import Surface, welded
from weft.simulation.towns.pieces import sheet
from weft.simulation.towns.remesh import loosened, refined


def plane(cells=1.0, size=8.0):
    corners = np.array([[0, 0, 0], [size, 0, 0], [size, size, 0], [0, size, 0.0]])
    piece = sheet(corners, cells, 1, lambda *_: np.zeros((1, 1, 3)))
    n = len(piece.faces)
    uv = piece.chart[piece.faces] / size
    return welded(Surface(piece.vertices, piece.faces, uv, np.zeros(n, int), np.arange(n), np.zeros(n, int)))


def area(surface):
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def open_edges(surface):
    """Length of the edges of one face."""
    sides = np.sort(surface.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    ends, times = np.unique(sides, axis=0, return_counts=True)
    alone = surface.vertices[ends[times == 1]]
    return np.linalg.norm(alone[:, 0] - alone[:, 1], axis=1).sum()


@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_large_faces_are_cut_and_nothing_tears(spread):
    whole = plane(4.0)
    made = refined(whole, 1.0, spread, np.random.default_rng(0))
    assert area(made).sum() == pytest.approx(64)
    assert open_edges(made) == pytest.approx(32), "only the border of the plane"
    np.testing.assert_allclose(made.vertices[made.faces][..., :2] / 8, made.coordinates, atol=1e-9)
    if spread == 0:
        assert area(made).max() <= 1.4 * np.sqrt(3) / 4 + 1e-9
    else:
        assert np.std(np.log(area(made))) > 0.35
    # Each part has the label of the face that it was cut from: those of a face cover it.
    for label, of_face in enumerate(area(whole)):
        assert area(made)[made.labels == label].sum() == pytest.approx(of_face)


def test_small_faces_are_left_alone():
    whole = plane(1.0)
    made = refined(whole, 4.0, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(made.faces, whole.faces)


def test_sliding_keeps_surface_border_and_picture():
    whole = plane(1.0)
    made = loosened(whole, 0.3, np.random.default_rng(0))
    assert area(made).sum() == pytest.approx(64)
    np.testing.assert_allclose(made.vertices[:, 2], 0, atol=1e-12)
    border = (whole.vertices[:, :2] % 8 == 0).any(axis=1)
    np.testing.assert_array_equal(made.vertices[border], whole.vertices[border])
    moved = np.linalg.norm(made.vertices - whole.vertices, axis=1)[~border]
    assert moved.min() > 0
    assert moved.max() < 0.3 * np.sqrt(2) * 1.3
    np.testing.assert_array_equal(made.coordinates, whole.coordinates)


def test_creases_stay():
    whole = plane(1.0)
    slope = np.maximum(whole.vertices[:, 0] - 4, 0)
    fold = whole._replace(vertices=np.column_stack([whole.vertices[:, :2], slope]))
    made = loosened(fold, 0.3, np.random.default_rng(0))
    crease = whole.vertices[:, 0] == 4
    flat = (np.abs(whole.vertices[:, 0] - 4) > 1) & ~(whole.vertices[:, :2] % 8 == 0).any(axis=1)
    x, z = made.vertices[flat, 0], made.vertices[flat, 2]
    np.testing.assert_allclose(z, np.maximum(x - 4, 0), atol=1e-9)
    assert np.linalg.norm(made.vertices - fold.vertices, axis=1)[flat].min() > 0
    steep = whole._replace(vertices=np.column_stack([whole.vertices[:, :2], 3 * slope]))
    kept = loosened(steep, 0.3, np.random.default_rng(0)).vertices[crease]
    np.testing.assert_array_equal(kept, steep.vertices[crease])
