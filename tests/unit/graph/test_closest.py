"""Closest and farthest voxels: equal to a search through all pairs, to the choice among equals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from weft.errors import WeftError
from weft.graph.closest import closest_pairs, distance_matrix, edge_lengths, farthest_pairs
from weft.graph.trees import LEAF, grow_trees
from weft.io.products import Ragged


def random_clusters(seed, whole):
    rng = np.random.default_rng(seed)
    coords = rng.integers(0, rng.integers(1, 12), (150, 3)) if whole else rng.normal(0, 5, (150, 3))
    sizes = [1, 2, *rng.integers(1, 120, 3)]
    return coords.astype(np.float32), Ragged.of([rng.permutation(150)[:size] for size in sizes])


def all_pairs(coords, nodes, i, j):
    return cdist(coords[nodes[i]].astype(float), coords[nodes[j]].astype(float), "sqeuclidean")


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31), whole=st.booleans())
def test_the_closest_pair_is_the_first_minimum_of_the_matrix_of_distances(seed, whole):
    coords, nodes = random_clusters(seed, whole)
    edges = np.array([(i, j) for i in range(5) for j in range(5)])
    found = closest_pairs(coords, nodes, edges)
    for (i, j), rows, distance in zip(edges, found.rows, found.distance, strict=True):
        matrix = all_pairs(coords, nodes, i, j)
        a, b = np.unravel_index(matrix.argmin(), matrix.shape)
        assert rows.tolist() == [nodes[i][a], nodes[j][b]]
        assert distance == pytest.approx(np.sqrt(matrix.min()), rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31), whole=st.booleans())
def test_the_farthest_pair_is_the_first_maximum_of_the_matrix_of_distances(seed, whole):
    coords, nodes = random_clusters(seed, whole)
    found = farthest_pairs(coords, nodes)
    near = farthest_pairs(coords, nodes, "iterative")
    for k, rows in enumerate(found.rows):
        matrix = all_pairs(coords, nodes, k, k)
        a, b = np.unravel_index(matrix.argmax(), matrix.shape)
        assert rows.tolist() == [nodes[k][a], nodes[k][b]]
        assert found.distance[k] == pytest.approx(np.sqrt(matrix.max()), rel=1e-6)
    assert (near.distance <= found.distance).all()
    assert (near.distance >= 0.5 * found.distance).all()  # the farthest voxel from any is at least half as far


@pytest.mark.parametrize("size", [1, 2, 3, 40, 400])
def test_the_farthest_pair_is_exact(size):
    rng = np.random.default_rng(size)
    for scale in ([30, 30, 30], [300, 3, 3], [1, 1, 500]):
        voxels = rng.integers(0, scale, (size, 3))
        a, b = farthest_pairs(voxels, Ragged(np.arange(size), np.array([0, size]))).rows[0]
        assert ((voxels[a] - voxels[b]) ** 2).sum() == cdist(voxels, voxels, "sqeuclidean").max()


def test_of_equally_far_pairs_it_is_the_first():
    square = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [5, 5, 0]])
    assert farthest_pairs(square, Ragged(np.arange(4), np.array([0, 4]))).rows.tolist() == [[0, 3]]
    assert farthest_pairs(square, Ragged(np.array([1, 0, 2, 3]), np.array([0, 4]))).rows.tolist() == [[1, 2]]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_pairs_as_far_as_the_limit_are_not_found(seed):
    coords, nodes = random_clusters(seed, True)
    edges = np.stack(np.triu_indices(5, 1), 1)
    whole = closest_pairs(coords, nodes, edges)
    for algorithm in ("exact", "iterative"):
        all_of_them = closest_pairs(coords, nodes, edges, algorithm)
        exactly = np.sqrt(np.round(all_of_them.distance.astype(float) ** 2))
        cut = closest_pairs(coords, nodes, edges, algorithm, within=exactly)
        assert (cut.rows == -1).all()
        assert np.isinf(cut.distance).all()
        kept = closest_pairs(coords, nodes, edges, algorithm, within=np.nextafter(exactly, np.inf))
        np.testing.assert_array_equal(kept.rows, all_of_them.rows)
        assert (all_of_them.distance >= whole.distance).all()


def test_the_iterative_search_is_not_exact_and_finds_what_it_says():
    """Two combs: the closest teeth are in the middle, where jumps from the ends do not come."""
    comb = np.array([[x, 0, 0] for x in range(0, 40, 4)] + [[20, 3, 0]])
    other = np.array([[x, 9, 0] for x in range(0, 40, 4)] + [[20, 5, 0]])
    coords, nodes = np.concatenate([comb, other]), Ragged.of([np.arange(11), np.arange(11, 22)])
    edge = np.array([[0, 1]])
    assert closest_pairs(coords, nodes, edge).distance.tolist() == [2]
    jumped = closest_pairs(coords, nodes, edge, "iterative")
    assert jumped.distance.tolist() == [9]
    a, b = coords[jumped.rows[0]]
    assert np.linalg.norm(a - b) == 9


def test_many_equal_distances():
    """Two parallel plates, 100 pairs of voxels at distance 1: the first of each."""
    plate = np.array([[x, y, 0] for x in range(10) for y in range(10)])
    coords = np.concatenate([plate, plate[::-1] + np.array([0, 0, 1])])
    nodes = Ragged.of([np.arange(100), np.arange(100, 200)])
    found = closest_pairs(coords, nodes, [[0, 1], [1, 0]])
    assert found.rows.tolist() == [[0, 199], [100, 99]]
    assert found.distance.tolist() == [1, 1]


def test_distances_between_centroids():
    coords = np.array([[0, 0, 0], [2, 0, 0], [1, 3, 4]])
    nodes = Ragged.of([np.array([0, 1]), np.array([2])])
    assert edge_lengths(coords, nodes, [[0, 1]]).tolist() == [5]
    assert distance_matrix(coords, nodes, "centroid").tolist() == [[0, 5], [5, 0]]
    np.testing.assert_allclose(distance_matrix(coords, nodes), np.sqrt(26) * (1 - np.eye(2)), rtol=1e-6)


def test_empty_clusters_have_no_pair():
    nodes = Ragged.of([np.array([], np.int64), np.array([0])])
    found = closest_pairs(np.zeros((1, 3)), nodes, [[0, 1], [1, 1]])
    assert found.rows.tolist() == [[-1, -1], [0, 0]]
    assert found.distance.tolist() == [np.inf, 0]
    jumped = closest_pairs(np.zeros((1, 3)), nodes, [[0, 1], [1, 1]], "iterative")
    np.testing.assert_array_equal(jumped.rows, found.rows)
    for algorithm in ("exact", "iterative"):
        assert farthest_pairs(np.zeros((1, 3)), nodes, algorithm).rows.tolist() == [[-1, -1], [0, 0]]
    nothing = Ragged.of([], np.empty(0, np.int64))
    assert distance_matrix(np.empty((0, 3)), nothing).shape == (0, 0)
    assert len(farthest_pairs(np.empty((0, 3)), nothing).rows) == 0


def test_trees_keep_every_voxel_within_its_box_and_halve_it():
    coords, nodes = random_clusters(3, True)
    trees = grow_trees(coords, nodes)
    assert sorted(map(tuple, trees.points)) == sorted(map(tuple, coords[nodes.values]))
    for t, (first, last) in enumerate(zip(trees.first, trees.last, strict=True)):
        inside = trees.points[first:last]
        np.testing.assert_array_equal(trees.low[t], inside.min(0))
        np.testing.assert_array_equal(trees.high[t], inside.max(0))
        assert trees.lowest[t] == trees.position[first:last].min()
        if trees.child[t] < 0:
            assert last - first <= LEAF
        else:
            halves = trees.child[t], trees.child[t] + 1
            assert [trees.first[halves[0]], trees.last[halves[1]]] == [first, last]
            assert trees.last[halves[0]] == trees.first[halves[1]] == (first + last) // 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [[0, 5]]}, "clusters 0 to 5, expected 0 to 0"),
        ({"algorithm": "recursive"}, "recursive"),
        ({"coords": np.zeros((3, 2))}, r"expected \(N, 3\)"),
        ({"nodes": Ragged.of([np.array([3])])}, "rows 3 to 3, expected 0 to 2"),
    ],
)
def test_mistakes_are_named(change, message):
    arguments = {"coords": np.zeros((3, 3)), "nodes": Ragged.of([np.arange(3)]), "edges": [[0, 0]]} | change
    with pytest.raises(WeftError, match=message):
        closest_pairs(**arguments)
