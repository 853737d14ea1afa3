"""Features, distances, directions, energy loss and groups of clusters, against SPINE (`pip install spine`)."""

import warnings

import numpy as np
import pytest
from scipy.special import softmax

from weft.bench.spine_setup import spine_grouping
from weft.graph.build import build_graph
from weft.graph.closest import closest_pairs, distance_matrix, farthest_pairs
from weft.graph.compositions import COMPOSITIONS
from weft.graph.directions import dedx, dedx_along, directions
from weft.graph.features import edge_features, majority_class, node_features
from weft.graph.grouping import (
    group_bipartite,
    group_by_score,
    group_by_threshold,
    group_primaries,
    spanning_forest,
)
from weft.io.products import Ragged

spine = pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")
warnings.filterwarnings("ignore", message="unsafe cast from uint64 to int64")

from spine.cluster.direction import (  # noqa: E402
    cluster_dedx_dir,
    get_cluster_dedxs,
    get_cluster_directions,
)
from spine.cluster.features import get_cluster_features, get_cluster_features_base  # noqa: E402
from spine.cluster.graph import (  # noqa: E402
    get_cluster_edge_features,
    get_edge_distances,
    inter_cluster_distance,
)
from spine.math.distance import farthest_pair  # noqa: E402
from spine.math.graph import union_find  # noqa: E402

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def theirs():
    return spine_grouping()


def random_event(seed, whole):
    """Clusters of 1, 2, 3 and more voxels, one of them on a line, one with all voxels in one place."""
    rng = np.random.default_rng(seed)
    coords = rng.integers(0, 60, (400, 3)) if whole else rng.uniform(0, 60, (400, 3))
    # A line whose voxels are not evenly spaced, off the axes; and twins.
    coords[:8] = np.array([5, 9, 3]) + np.array([0, 1, 2, 3, 5, 6, 8, 9])[:, None] * np.array([2, 1, 3])
    coords[8:11] = coords[8]
    order = 11 + rng.permutation(389)
    rows = [np.arange(8), np.arange(8, 11)]
    for size in (1, 2, 3, 20, 120):
        rows.append(order[:size])
        order = order[size:]
    return coords.astype(np.float32), rows, rng


def close(ours, theirs, atol=1e-5):
    """Equal to 1e-5, of the value where that is larger than 1: float32 has seven digits."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("whole", [False, True])
def test_node_features(whole):
    for seed in range(30):
        coords, rows, rng = random_event(seed, whole)
        nodes = Ragged.of(rows)
        values = rng.gamma(2, 1, 400).astype(np.float32)
        semantics = rng.integers(0, 4, 400).astype(np.float32)
        classes = majority_class(nodes, semantics)
        ours = node_features(coords, nodes, COMPOSITIONS[19], values=values, shapes=classes)
        theirs = get_cluster_features(coords, rows, values, semantics)
        np.testing.assert_allclose(theirs[:, :16], get_cluster_features_base(coords, rows), rtol=1e-6)
        # On a line both ends are as wide and the sign is anybody's; what SPINE has where all is in one place is noise.
        line = np.array([0, 3])
        theirs[line, 12:15] *= np.sign((theirs[line, 12:15] * ours[line, 12:15]).sum(1, keepdims=True))
        rest = np.delete(np.arange(len(rows)), 1)
        close(ours[rest, :3], theirs[rest, :3])
        close(ours[rest, 3:12], theirs[rest, 3:12])
        close(ours[rest, 12:15], theirs[rest, 12:15], atol=4e-5)  # λ2/λ3 in their single precision
        close(ours[:, 15:], theirs[:, 15:])
        np.testing.assert_array_equal(ours[1, 3:15], 0)


@pytest.mark.parametrize("whole", [False, True])
def test_edge_features_and_their_reverses(whole):
    for seed in range(10):
        coords, rows, _ = random_event(seed, whole)
        nodes = Ragged.of(rows)
        graph = build_graph(coords, nodes)
        for edges in (graph.edges, graph.edges[:, ::-1]):
            close(edge_features(coords, nodes, edges), get_cluster_edge_features(coords, rows, edges))
        ours = edge_features(coords, nodes, graph.edges, graph.closest)
        close(ours, get_cluster_edge_features(coords, rows, graph.edges))


@pytest.mark.parametrize("algorithm", ["exact", "iterative"])
@pytest.mark.parametrize("whole", [False, True])
def test_distances_and_closest_voxels(algorithm, whole):
    for seed in range(10):
        coords, rows, _ = random_event(seed, whole)
        nodes = Ragged.of(rows)
        iterative = algorithm == "iterative"
        theirs, index = inter_cluster_distance(coords, rows, iterative=iterative, return_index=True)
        close(distance_matrix(coords, nodes, algorithm=algorithm), theirs)
        close(distance_matrix(coords, nodes, "centroid"), inter_cluster_distance(coords, rows, centroid=True))
        edges = np.stack(np.triu_indices(len(rows), 1), 1)
        if iterative and whole:
            continue  # where it starts among equal distances is anybody's
        for (i, j), found in zip(edges, closest_pairs(coords, nodes, edges, algorithm).rows, strict=True):
            first, second = divmod(index[i, j], len(rows[j]))
            assert found.tolist() == [rows[i][first], rows[j][second]]
        if not iterative:  # the lengths by which edges are cut, and the voxels that edge features are of
            found = closest_pairs(coords, nodes, edges)
            for k in range(0, len(edges) - 1, 2):  # theirs makes room for two edges, however many it is given
                lengths, first, second = get_edge_distances(coords, rows, edges[k : k + 2].T.copy())
                close(found.distance[k : k + 2], lengths)
                np.testing.assert_array_equal(found.rows[k : k + 2], np.stack([first, second], 1))


def test_farthest_voxels():
    for seed in range(10):
        for whole in (False, True):
            coords, rows, _ = random_event(seed, whole)
            found = farthest_pairs(coords, Ragged.of(rows))
            for k, cluster in enumerate(rows):
                i, j, distance = farthest_pair(coords[cluster])
                assert found.rows[k].tolist() == [cluster[i], cluster[j]]
                assert found.distance[k] == pytest.approx(distance, rel=1e-5)


@pytest.mark.parametrize("radius", [-1.0, 5.0, 25.0])
@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("start", ["voxel", "near"])
def test_directions(radius, optimize, start):
    for seed in range(20):
        coords, rows, rng = random_event(seed, False)
        points = coords[[row[0] for row in rows]]
        if start == "near":
            points = points + rng.normal(0, 2, points.shape).astype(np.float32)
        ours = directions(coords, Ragged.of(rows), points, radius, optimize)
        theirs = get_cluster_directions(coords.astype(float), points.astype(float), rows, radius, optimize)
        if optimize and start == "near":  # exactly on a line, by single precision or not
            ours, theirs = np.delete(ours, [0, 1], 0), np.delete(theirs, [0, 1], 0)
        close(ours, theirs)


@pytest.mark.parametrize("radius", [-1.0, 5.0, 25.0])
def test_energy_over_length(radius):
    for seed in range(20):
        coords, rows, rng = random_event(seed, False)
        values = rng.gamma(2, 1, 400).astype(np.float32)
        points = coords[[row[-1] for row in rows]] + rng.normal(0, 2, (len(rows), 3)).astype(np.float32)
        close(
            dedx(coords, values, Ragged.of(rows), points, radius),
            get_cluster_dedxs(coords, values, points, rows, radius),
        )
        if radius > 0:
            axes = rng.normal(size=(len(rows), 3)).astype(np.float32)
            axes /= np.linalg.norm(axes, axis=1, keepdims=True)
            theirs = [
                cluster_dedx_dir(coords[row].astype(float), values[row], point, axis, radius)[0]
                for row, point, axis in zip(rows, points.astype(float), axes.astype(float), strict=True)
            ]
            ours = dedx_along(coords, values, Ragged.of(rows), points, axes, radius)
            assert ours[1] == 0  # one place has no extent; theirs divides by rounding
            close(np.delete(ours, 1), np.delete(theirs, 1))


def random_scores(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    truth = rng.integers(0, 5, n)
    pairs = np.stack(np.triu_indices(n, 1), 1)
    pairs = pairs[rng.random(len(pairs)) < rng.uniform(0.3, 1)]
    edges = np.stack([pairs, pairs[:, ::-1]], 1).reshape(-1, 2)
    on = rng.normal(np.where(truth[edges[:, 0]] == truth[edges[:, 1]], 1, -1), rng.uniform(0.5, 3))
    return edges, np.stack([np.zeros(len(edges)), on], 1), n, truth, rng


def test_partitions_of_1500_random_graphs(theirs):
    for seed in range(1500):
        edges, logits, n, _, _ = random_scores(seed)
        scores = softmax(logits, 1)[:, 1]
        expected = theirs.edge_assignment_score(edges, logits, n)[1] if len(edges) else np.arange(n)
        np.testing.assert_array_equal(group_by_score(edges, scores, n), expected, err_msg=str(seed))
        components = theirs.node_assignment(edges, logits, n)
        found = group_by_threshold(edges, scores, n)
        np.testing.assert_array_equal(found[:, None] == found, components[:, None] == components)


def test_connected_components_are_those_of_union_find():
    for seed in range(200):
        edges, _, n, _, _ = random_scores(seed)
        edges = edges[: len(edges) // 4]  # not all in one
        expected, members = union_find(edges, n)
        found = group_by_threshold(edges, np.ones(len(edges)), n)
        np.testing.assert_array_equal(np.unique(found, return_inverse=True)[1], expected)
        assert {tuple(np.flatnonzero(found == k)) for k in found} == {tuple(rows) for rows in members.values()}


def test_forests_primaries_and_bipartite_groups(theirs):
    for seed in range(200):
        edges, logits, n, truth, rng = random_scores(seed)
        if not len(edges):
            continue
        scores = softmax(logits, 1)[:, 1]
        label, judged = spanning_forest(edges, scores, truth)
        their_label, their_judged = theirs.edge_assignment_forest(edges, logits, truth)
        np.testing.assert_array_equal(label, their_label.astype(bool))
        np.testing.assert_array_equal(judged, their_judged)
        groups = group_by_score(edges, scores, n)
        of_nodes = rng.normal(size=(n, 2))
        expected = theirs.primary_assignment(of_nodes, groups)
        np.testing.assert_array_equal(group_primaries(groups, softmax(of_nodes, 1)[:, 1]), expected)
        primaries = rng.random(n) < 0.4
        mixed = edges[primaries[edges[:, 0]] & ~primaries[edges[:, 1]]]
        strength = rng.random(len(mixed))
        expected = theirs.node_assignment_bipartite(mixed, strength, np.flatnonzero(primaries), n)
        found = group_bipartite(mixed, strength, primaries)
        np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)
