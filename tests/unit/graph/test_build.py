"""Graphs on clusters."""

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay

from weft.errors import WeftError
from weft.graph.build import build_graph, upper_triangle
from weft.graph.closest import closest_pairs, distance_matrix
from weft.io.products import Ragged

#: Five clusters on a line, of two voxels each, at x = 0, 3, 10, 11, 30.
LINE = np.array([[x + dx, 0, 0] for x in (0, 3, 10, 13, 30) for dx in (0, 1)])
NODES = Ragged.of(list(np.arange(10).reshape(5, 2)))


def pairs(graph):
    return [tuple(edge) for edge in graph.edges.tolist()]


def event(seed=0, n=12):
    rng = np.random.default_rng(seed)
    coords = np.concatenate([rng.normal(rng.uniform(0, 60, 3), 2, (rng.integers(1, 30), 3)) for _ in range(n)])
    owner = np.sort(rng.integers(0, n, len(coords)))
    owner[:n] = np.arange(n)
    return coords, Ragged.of([np.flatnonzero(owner == k) for k in range(n)])


def test_complete():
    graph = build_graph(LINE, NODES)
    assert pairs(graph) == [(i, j) for i in range(5) for j in range(i + 1, 5)]
    assert graph.lengths[0] == 2
    assert graph.closest[0].tolist() == [1, 2]
    both = graph.both_ways()
    assert both[:4].tolist() == [[0, 1], [1, 0], [0, 2], [2, 0]]
    assert len(both) == 2 * len(graph)


@pytest.mark.parametrize("kind", ["complete", "delaunay", "mst", "knn", "loop", "bipartite"])
@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("measure", ["voxel", "centroid"])
def test_few_clusters(kind, n, measure):
    nodes = Ragged.of(list(np.arange(10).reshape(5, 2)[:n]), np.empty(0, int))
    graph = build_graph(LINE, nodes, kind, primaries=np.arange(n) == 0, measure=measure, max_length=1000.0)
    loops = n if kind == "loop" else 0
    assert len(graph) == loops + (n == 2) * (kind != "loop")
    assert graph.closest.shape == graph.edges.shape
    assert len(graph.both_ways()) == loops + 2 * (len(graph) - loops)


def test_lengths_by_voxel_and_by_centroid():
    coords, nodes = event()
    for measure in ("voxel", "centroid"):
        graph = build_graph(coords, nodes, measure=measure)
        matrix = distance_matrix(coords, nodes, measure)
        np.testing.assert_array_equal(graph.lengths, matrix[tuple(graph.edges.T)])
        np.testing.assert_array_equal(graph.closest, closest_pairs(coords, nodes, graph.edges).rows)


def test_an_edge_as_long_as_the_limit_is_left_out():
    assert (0, 1) not in pairs(build_graph(LINE, NODES, max_length=2))
    assert (0, 1) in pairs(build_graph(LINE, NODES, max_length=2.001))
    assert len(build_graph(LINE, NODES, max_length=0)) == 0
    coords, nodes = event()
    for measure in ("voxel", "centroid"):
        whole = build_graph(coords, nodes, measure=measure)
        cut = build_graph(coords, nodes, measure=measure, max_length=20)
        np.testing.assert_array_equal(cut.edges, whole.edges[whole.lengths < 20])
        np.testing.assert_array_equal(cut.closest, whole.closest[whole.lengths < 20])


def test_limits_for_each_pair_of_classes():
    classes = np.array([0, 1, 1, 0, 2])
    limits = [500, 0, 20, 9, 0, 25]  # 00 01 02 11 12 22
    graph = build_graph(LINE, NODES, classes=classes, max_length=limits)
    assert pairs(graph) == [(0, 3), (1, 2), (3, 4)]  # (0, 4): 29 ≥ 20; 0 forbids (0,1) and (1,2)
    as_matrix = build_graph(LINE, NODES, classes=classes, max_length=upper_triangle(limits))
    assert pairs(as_matrix) == pairs(graph)


def test_upper_triangle():
    assert upper_triangle([1, 2, 3]).tolist() == [[1, 2], [2, 3]]
    assert upper_triangle([7]).tolist() == [[7]]
    for wrong in ([], [1, 2], [1] * 9):
        with pytest.raises(WeftError, match=f"{len(wrong)} maximum lengths"):
            upper_triangle(wrong)


def test_too_many_edges_leave_none():
    assert len(build_graph(LINE, NODES, max_count=20)) == 10
    assert len(build_graph(LINE, NODES, max_count=19)) == 0
    assert len(build_graph(LINE, NODES, max_count=10, max_length=8)) == 3  # the limit on length comes first
    assert len(build_graph(LINE, NODES, "loop", max_count=5)) == 5


def test_groups_are_kept_apart():
    groups = np.array([7, 7, -1, 7, -1])
    assert pairs(build_graph(LINE, NODES, groups=groups)) == [(0, 1), (0, 3), (1, 3), (2, 4)]
    graph = build_graph(LINE, NODES, "mst", groups=groups)
    assert pairs(graph) == [(0, 1)]
    assert graph.lengths.tolist() == [2]


def test_loop():
    graph = build_graph(LINE, NODES, "loop")
    assert pairs(graph) == [(k, k) for k in range(5)]
    assert graph.lengths.tolist() == [0] * 5
    np.testing.assert_array_equal(graph.both_ways(), graph.edges)


def test_bipartite_leads_from_primaries_to_the_others():
    graph = build_graph(LINE, NODES, "bipartite", primaries=np.array([0, 1, 0, 1, 0], bool))
    assert pairs(graph) == [(1, 0), (1, 2), (1, 4), (3, 0), (3, 2), (3, 4)]
    assert graph.closest[0].tolist() == [2, 1]
    with pytest.raises(WeftError, match="primaries are missing"):
        build_graph(LINE, NODES, "bipartite")


@pytest.mark.parametrize("measure", ["voxel", "centroid"])
def test_the_minimum_spanning_tree(measure):
    assert pairs(build_graph(LINE, NODES, "mst", measure=measure)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    coords, nodes = event(5)
    graph = build_graph(coords, nodes, "mst", measure=measure)
    matrix = distance_matrix(coords, nodes, measure)
    expected = minimum_spanning_tree(np.triu(matrix))
    assert sorted(pairs(graph)) == sorted(zip(*map(np.ndarray.tolist, expected.nonzero()), strict=True))
    assert pairs(graph) == sorted(pairs(graph))


def test_a_tree_through_clusters_that_touch():
    """A length of 0 is an edge."""
    coords = np.zeros((3, 3))
    graph = build_graph(coords, Ragged.of([np.array([k]) for k in range(3)]), "mst")
    assert pairs(graph) == [(0, 1), (0, 2)]


def test_nearest_neighbours():
    assert pairs(build_graph(LINE, NODES, "knn", k=1)) == [(0, 1), (2, 3), (3, 4)]
    coords, nodes = event(2)
    matrix = distance_matrix(coords, nodes) + np.diag(np.full(12, np.inf))
    for k in (1, 3, 50):
        expected = {tuple(sorted((i, j))) for i in range(12) for j in np.argsort(matrix[i])[:k].tolist() if i != j}
        assert pairs(build_graph(coords, nodes, "knn", k=k)) == sorted(expected)
    with pytest.raises(WeftError, match="at least 1"):
        build_graph(coords, nodes, "knn", k=0)


def test_of_equally_near_neighbours_the_lowest():
    coords = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    graph = build_graph(coords, Ragged.of([np.array([k]) for k in range(4)]), "knn", k=1)
    assert pairs(graph) == [(0, 1), (0, 2), (0, 3)]


def test_clusters_with_voxels_in_one_simplex_are_neighbours():
    """Nine slabs in a row."""
    rng = np.random.default_rng(0)
    coords = np.concatenate([rng.uniform([10 * k, 0, 0], [10 * k + 6, 30, 30], (100, 3)) for k in range(9)])
    nodes = Ragged.of(list(np.arange(900).reshape(9, 100)))
    graph = build_graph(coords, nodes, "delaunay")
    expected = set()
    for simplex in Delaunay(coords, qhull_options="QJ").simplices:
        owners = sorted(set((simplex // 100).tolist()))
        expected |= {(a, b) for a in owners for b in owners if a < b}
    assert pairs(graph) == sorted(expected)
    assert {(k, k + 1) for k in range(8)} <= expected
    assert len(expected) < 36


def test_voxels_that_cannot_be_triangulated_make_a_complete_graph():
    coords = np.arange(3)[:, None] * np.ones(3)
    graph = build_graph(coords, Ragged.of([np.array([k]) for k in range(3)]), "delaunay")
    assert pairs(graph) == [(0, 1), (0, 2), (1, 2)]
    flat = np.array([[x, y, 0] for x in range(4) for y in range(4)])
    graph = build_graph(flat, Ragged.of(list(np.arange(16).reshape(4, 4))), "delaunay")
    assert {(0, 1), (1, 2), (2, 3)} <= set(pairs(graph))


def test_the_order_of_clusters_does_not_matter():
    coords, nodes = event(9)
    order = np.random.default_rng(0).permutation(12)
    for kind in ("complete", "delaunay", "mst", "knn"):
        graph = build_graph(coords, nodes, kind, max_length=30)
        other = build_graph(coords, Ragged.of([nodes[k] for k in order]), kind, max_length=30)
        renamed = sorted(tuple(sorted(order[list(edge)].tolist())) for edge in other.edges)
        assert renamed == pairs(graph)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "radius"}, "graph 'radius'"),
        ({"measure": "surface"}, "measure 'surface'"),
        ({"algorithm": "recursive"}, "algorithm 'recursive'"),
        ({"max_length": [1, 2, 3]}, "classes are missing"),
        ({"max_length": [1, 2, 3], "classes": np.full(5, 2)}, "class 2 to 2 of clusters, expected 0 to 1"),
        ({"max_length": np.array([[1, 2], [3, 4]]), "classes": np.zeros(5, int)}, "symmetric"),
        ({"groups": np.zeros(3)}, r"groups of shape \(3,\), expected \(5,\)"),
        ({"nodes": Ragged.of([np.array([0]), np.array([], int)])}, "cluster 1 has no voxels"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(WeftError, match=message):
        build_graph(**({"coords": LINE, "nodes": NODES} | options))
