"""Neighbours over edges, and labels smoothed over them."""

from itertools import product

import numpy as np
import pytest

from weft.errors import WeftError
from weft.meshes.adjacency import Neighbours, neighbours
from weft.meshes.smoothing import energy, smooth_labels


def wall(angle):
    """Two triangles that share the edge 0-1 of length 1, folded by so many degrees."""
    fold = np.radians(angle)
    vertices = np.array([[0.0, 0, 0], [0, 1, 0], [-1, 0.5, 0], [np.cos(fold), 0.5, np.sin(fold)]])
    return vertices, np.array([[0, 1, 2], [1, 0, 3]])


def grid(n):
    """2 n n faces of a square of n by n, and the column of each."""
    k = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    vertices = np.stack([*np.divmod(k.reshape(-1), n + 1), 0 * k.reshape(-1)], axis=1).astype(float)
    a, b, c, d = (part.reshape(-1) for part in (k[:-1, :-1], k[1:, :-1], k[1:, 1:], k[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return vertices, faces, vertices[faces].mean(axis=1)[:, 0]


@pytest.mark.parametrize("angle", [0, 30, 90, 150, -30])
def test_the_weight_falls_with_the_fold(angle):
    near = neighbours(*wall(angle), crease=30)
    assert near.pairs.tolist() == [[0, 1]]
    assert near.weights == pytest.approx([np.exp(-0.5 * (angle / 30) ** 2)])


def test_the_way_round_and_the_way_it_is_turned_do_not_matter():
    vertices, faces = wall(40)
    expected = neighbours(vertices, faces).weights
    for a in range(3):
        for flip in (1, -1):
            other = np.stack([np.roll(faces[0], a)[::flip], faces[1]])
            assert neighbours(vertices, other).weights == pytest.approx(expected)


def test_faces_with_vertices_of_their_own_in_the_same_place_are_neighbours():
    vertices, faces = wall(0)
    apart = vertices[faces].reshape(-1, 3)
    near = neighbours(apart, np.arange(6).reshape(2, 3))
    assert near.pairs.tolist() == [[0, 1]]
    shifted = apart.copy()
    shifted[3:] += 1e-6
    assert len(neighbours(shifted, np.arange(6).reshape(2, 3)).pairs) == 0


def test_edges_with_three_and_more_faces_are_a_ring():
    fan = np.array([[0.0, 0, 0], [0, 0, 1]] + [[np.cos(t), np.sin(t), 0.5] for t in np.arange(5)])
    faces = np.array([[0, 1, k] for k in range(2, 7)])
    assert neighbours(fan, faces[:3]).pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert neighbours(fan, faces).pairs.tolist() == [[0, 1], [0, 4], [1, 2], [2, 3], [3, 4]]


def test_a_duplicated_face_is_tied_to_its_double_by_all_three_edges():
    vertices, faces = wall(90)
    near = neighbours(vertices, np.concatenate([faces, faces[:1, ::-1]]))
    tied = dict(zip(map(tuple, near.pairs.tolist()), near.weights.tolist(), strict=True))
    assert tied[0, 2] == pytest.approx(3)
    assert tied[0, 1] == tied[1, 2] == pytest.approx(np.exp(-4.5))


def test_faces_without_area_have_no_direction():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 0]])
    near = neighbours(vertices, np.array([[0, 2, 3], [0, 2, 1], [0, 0, 3]]))
    # the last has the side 0-3 twice: with itself it is no pair
    assert near.pairs.tolist() == [[0, 1], [0, 2]]
    assert near.weights[0] == 1


def test_as_many_neighbours_as_inner_edges():
    vertices, faces, _ = grid(6)
    near = neighbours(vertices, faces)
    assert len(near.pairs) == 36 + 2 * 6 * 5
    assert (near.pairs[:, 0] < near.pairs[:, 1]).all()
    assert near.weights == pytest.approx(np.ones(len(near.pairs)))
    for a, b in near.pairs:
        assert len(set(faces[a]) & set(faces[b])) == 2


def test_no_faces_no_neighbours():
    near = neighbours(np.zeros((3, 3)), np.zeros((0, 3), int))
    assert near.pairs.shape == (0, 2)
    assert near.weights.shape == (0,)


# ---------------------------------------------------------------------------------------------------- labels


def least(costs, near):
    """The least energy over all labels, by trying them."""
    n, classes = costs.shape
    labels = np.array(list(product(range(classes), repeat=n)))
    differ = labels[:, near.pairs[:, 0]] != labels[:, near.pairs[:, 1]]
    found = costs[np.arange(n), labels].sum(axis=1) + differ @ near.weights
    best = found.argmin()
    assert energy(costs, near, labels[best]) == pytest.approx(found[best])
    return found[best]


def test_on_a_tree_the_energy_is_the_least_there_is():
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = 7
        pairs = np.array([[rng.integers(0, k), k] for k in range(1, n)])
        near = Neighbours(pairs, rng.random(n - 1))
        probabilities = rng.dirichlet(np.ones(3), n)
        costs = -np.log(np.maximum(probabilities, 1e-6))
        tied = Neighbours(pairs, 2.0 * near.weights)
        assert energy(costs, tied, smooth_labels(probabilities, near, 2.0)) == pytest.approx(least(costs, tied))


def test_with_loops_it_is_never_above_that_of_the_most_probable_labels_and_mostly_the_least():
    rng = np.random.default_rng(1)
    vertices, faces, _ = grid(2)
    near = neighbours(vertices, faces)
    reached = 0
    for _ in range(30):
        probabilities = rng.dirichlet(np.ones(3), len(faces))
        costs = -np.log(np.maximum(probabilities, 1e-6))
        tied = Neighbours(near.pairs, 0.7 * near.weights)
        got = energy(costs, tied, smooth_labels(probabilities, near, 0.7))
        assert got <= energy(costs, tied, probabilities.argmax(axis=1)) + 1e-9
        reached += got == pytest.approx(least(costs, tied))
    assert reached >= 27


def test_noise_within_a_wall_goes_and_a_crease_stays():
    vertices, faces, column = grid(20)
    vertices[vertices[:, 0] > 10, 2] = 2 * (vertices[vertices[:, 0] > 10, 0] - 10)  # folded by 63 degrees at x = 10
    true = (column > 10).astype(int)
    rng = np.random.default_rng(0)
    probabilities = np.full((len(faces), 2), 0.35)
    said = np.where(rng.random(len(faces)) < 0.2, 1 - true, true)
    probabilities[np.arange(len(faces)), said] = 0.65
    assert (said == true).mean() < 0.83
    smoothed = smooth_labels(probabilities, neighbours(vertices, faces), 1.0)
    assert smoothed.dtype == np.int16
    assert (smoothed == true).mean() > 0.995


def test_without_strength_or_neighbours_the_most_probable_labels():
    vertices, faces, _ = grid(5)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), len(faces)).astype(np.float32)
    best = probabilities.argmax(axis=1)
    assert np.array_equal(smooth_labels(probabilities, neighbours(vertices, faces), 0.0), best)
    nobody = Neighbours(np.zeros((0, 2), np.int64), np.zeros(0))
    assert np.array_equal(smooth_labels(probabilities, nobody, 5.0), best)
    assert smooth_labels(probabilities[:0], nobody, 5.0).shape == (0,)
    strong = smooth_labels(probabilities, neighbours(vertices, faces), 100.0)
    assert len(set(strong.tolist())) == 1


def test_wrong_input_is_named():
    near = Neighbours(np.array([[0, 7]]), np.ones(1))
    with pytest.raises(WeftError, match="3 faces, but neighbours name 7"):
        smooth_labels(np.ones((3, 2)) / 2, near, 1.0)
    with pytest.raises(WeftError, match="0 or more, got -1"):
        smooth_labels(np.ones((8, 2)) / 2, near, -1.0)
