"""Groups from scores: against a direct minimisation of the cross-entropy as the specification words it."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import WeftError
from weft.graph.grouping import (
    group_bipartite,
    group_by_score,
    group_by_threshold,
    group_primaries,
    minimum_spanning_tree,
    spanning_forest,
)


def random_graph(seed, largest=14, both=True):
    """Edges and scores of true groups that are noisily recognised."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, largest))
    truth = rng.integers(0, 4, n)
    pairs = np.array(list(itertools.combinations(range(n), 2)), int).reshape(-1, 2)
    pairs = pairs[rng.random(len(pairs)) < rng.uniform(0.3, 1)]
    edges = np.concatenate([pairs, pairs[:, ::-1]]) if both else pairs
    same = truth[edges[:, 0]] == truth[edges[:, 1]]
    scores = 1 / (1 + np.exp(-rng.normal(np.where(same, 1, -1), rng.uniform(0.5, 3))))
    return edges, scores, n


def cross_entropy(groups, edges, scores, n):
    """Mean over all n² entries, of target A ∘ [same group] under P (spec §2.4)."""
    predicted, allowed = np.eye(n), np.eye(n, dtype=bool)
    predicted[edges[:, 0], edges[:, 1]] = scores
    allowed[edges[:, 0], edges[:, 1]] = True
    target = allowed & (groups[:, None] == groups)
    with np.errstate(divide="ignore"):
        return -np.where(target, np.log(predicted), np.log(1 - np.where(target, 0, predicted))).mean()


def greedy(edges, scores, n, track=None):
    """The specification, step by step, on the whole matrix every time."""
    groups = np.arange(n)
    best = cross_entropy(groups, edges, scores, n)
    joined = set()
    for e in np.argsort(-scores, kind="stable"):
        a, b = edges[e]
        if scores[e] < 0.5 or groups[a] == groups[b]:
            continue
        crosses = track is not None and track[a] != track[b]
        shower = b if track is not None and track[a] else a
        if crosses and shower in joined:
            continue
        tried = groups.copy()
        tried[np.isin(groups, groups[[a, b]])] = min(groups[a], groups[b])
        score = cross_entropy(tried, edges, scores, n)
        if score < best - 1e-13:
            groups, best = tried, score
            if crosses:
                joined.add(shower)
    return groups


def test_a_chain_by_hand():
    """0–1 joined by 0.9; 1–2 at 0.6, but 0–2 at 0.2 says no: log(1.5) − log(4) < 0."""
    edges = np.array([[0, 1], [1, 2], [0, 2]])
    assert group_by_score(edges, [0.9, 0.6, 0.2], 3).tolist() == [0, 0, 2]
    assert group_by_score(edges, [0.9, 0.6, 0.45], 3).tolist() == [0, 0, 0]
    assert group_by_threshold(edges, [0.9, 0.6, 0.2], 3).tolist() == [0, 0, 0]


def test_a_rejected_pair_of_groups_is_tried_again_when_one_of_them_has_grown():
    """2–3 is tried before 3 joins 0, and again, by the weaker edge 0–2, after."""
    edges = np.array([[0, 1], [1, 2], [2, 1], [0, 3], [2, 3]])
    scores = np.array([0.95, 0.9, 0.05, 0.8, 0.7])
    expected = greedy(edges, scores, 4)
    assert group_by_score(edges, scores, 4).tolist() == expected.tolist()


def test_partitions_of_1500_graphs_are_those_of_the_specification():
    for seed in range(1500):
        edges, scores, n = random_graph(seed, both=seed % 3 > 0)
        np.testing.assert_array_equal(group_by_score(edges, scores, n), greedy(edges, scores, n), err_msg=str(seed))


def test_partitions_through_tracks():
    differs = 0
    for seed in range(400):
        edges, scores, n = random_graph(seed)
        track = np.random.default_rng(seed).random(n) < 0.5
        found = group_by_score(edges, scores, n, track)
        np.testing.assert_array_equal(found, greedy(edges, scores, n, track), err_msg=str(seed))
        differs += (found != group_by_score(edges, scores, n)).any()
    assert differs > 20


def test_a_shower_between_two_tracks_joins_one_of_them():
    edges = np.array([[0, 1], [1, 2]])
    track = np.array([True, False, True])
    assert group_by_score(edges, [0.8, 0.9], 3).tolist() == [0, 0, 0]
    assert group_by_score(edges, [0.8, 0.9], 3, track).tolist() == [0, 1, 1]
    assert group_by_score(edges, [0.8, 0.9], 3, ~track).tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31))
def test_the_order_and_the_direction_of_edges_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    edges, scores, n = random_graph(seed, 30)
    scores = np.round(scores, 1)  # with many equal ones
    found = group_by_score(edges, scores, n)
    order = rng.permutation(len(edges))
    np.testing.assert_array_equal(group_by_score(edges[order], scores[order], n), found)
    np.testing.assert_array_equal(group_by_score(edges[:, ::-1], scores, n), found)
    names = rng.permutation(n)  # other numbers of the nodes, the same partition, where scores differ
    edges, scores, n = random_graph(seed, 30)
    found = group_by_score(edges, scores, n)
    renamed = group_by_score(names[edges], scores, n)[names]
    np.testing.assert_array_equal(renamed[:, None] == renamed, found[:, None] == found)
    assert (found <= np.arange(n)).all()
    np.testing.assert_array_equal(found[found], found)


def test_equal_scores_of_both_directions_and_of_the_pair_once():
    for seed in range(50):
        edges, scores, n = random_graph(seed, both=False)
        twice = np.concatenate([edges, edges[:, ::-1]])
        np.testing.assert_array_equal(group_by_score(edges, scores, n), group_by_score(twice, np.tile(scores, 2), n))


def test_certain_edges_and_scores_that_cancel():
    edges = np.array([[0, 1], [1, 0]])
    assert group_by_score(edges, [1.0, 1.0], 2).tolist() == [0, 0]
    assert group_by_score(edges, [0.0, 0.0], 2).tolist() == [0, 1]
    assert group_by_score(edges, [0.6, 0.4], 2).tolist() == [0, 1]  # does not lower the cross-entropy
    assert group_by_score(edges, [0.5, 0.5], 2).tolist() == [0, 1]


@pytest.mark.parametrize("group", [group_by_score, group_by_threshold])
def test_no_edges_and_no_nodes(group):
    assert group(np.empty((0, 2), int), [], 3).tolist() == [0, 1, 2]
    assert group(np.empty((0, 2), int), [], 0).tolist() == []


def test_components():
    edges = np.array([[5, 2], [2, 3], [0, 4], [1, 0]])
    assert group_by_threshold(edges, [0.9, 0.8, 0.7, 0.2], 6).tolist() == [0, 1, 2, 2, 0, 2]
    assert group_by_threshold(edges, [0.9, 0.8, 0.7, 0.2], 6, threshold=0.8).tolist() == [0, 1, 2, 3, 4, 2]


def test_secondaries_join_their_best_primary():
    primaries = np.array([False, True, False, True, False])
    edges = np.array([[1, 0], [3, 0], [3, 2], [2, 1], [0, 2], [1, 3]])
    scores = [0.2, 0.1, 0.4, 0.3, 1.0, 1.0]  # the last two do not join a primary with a secondary
    assert group_bipartite(edges, scores, primaries).tolist() == [0, 0, 2, 2, 4]
    assert group_bipartite(edges[:2], [0.3, 0.3], primaries).tolist() == [0, 0, 2, 3, 4]  # equal: the lowest primary
    assert group_bipartite(np.empty((0, 2), int), [], np.zeros(2, bool)).tolist() == [0, 1]


def test_one_primary_in_each_group():
    groups = np.array([0, 0, 2, -1, 2, 0])
    scores = np.array([0.1, 0.7, 0.5, 0.9, 0.5, 0.7])
    assert group_primaries(groups, scores).tolist() == [False, True, True, False, False, False]
    assert group_primaries(np.empty(0, int), np.empty(0)).shape == (0,)
    with pytest.raises(WeftError, match="5 scores of 6 nodes"):
        group_primaries(groups, scores[:5])


def test_the_forest_of_the_best_trees():
    """Group {0,1,2}: the two best of three edges; group {3,4}: one; −1 is not judged."""
    groups = np.array([0, 0, 0, 3, 3, -1])
    pairs = np.array([[0, 1], [1, 2], [0, 2], [3, 4], [2, 3], [4, 5]])
    edges = pairs[np.repeat(np.arange(6), 2)]
    edges[1::2] = edges[1::2, ::-1]
    scores = np.array([0.9, 0.1, 0.3, 0.2, 0.4, 0.85, 0.1, 0.2, 0.9, 0.9, 0.5, 0.5])
    label, judged = spanning_forest(edges, scores, groups)
    assert label.tolist() == np.repeat([True, False, True, True, False, False], 2).tolist()
    assert judged.tolist() == np.repeat([True, False, True, True, True, False], 2).tolist()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31))
def test_forests_span_what_is_connected_with_the_greatest_scores(seed):
    edges, scores, n = random_graph(seed, 9)
    groups = np.random.default_rng(seed).integers(-1, 3, n)
    label, judged = spanning_forest(edges, scores, groups)
    inside = (groups[edges[:, 0]] == groups[edges[:, 1]]) & (groups[edges[:, 0]] >= 0)
    assert not (label & ~inside).any()
    np.testing.assert_array_equal(judged & inside, label)
    np.testing.assert_array_equal(judged & ~inside, (groups[edges] >= 0).all(1) & ~inside)
    whole = group_by_threshold(edges[inside], np.ones(inside.sum()), n)
    tree = edges[label]
    np.testing.assert_array_equal(group_by_threshold(tree, np.ones(len(tree)), n), whole)
    assert len(tree) == 2 * (n - len(np.unique(whole)))
    # No edge outside the tree is better than the worst on the path that it closes: it joins what the better ones do.
    for e in np.flatnonzero(inside & ~label):
        better = label & (np.maximum(scores, _reverse(edges, scores)) >= scores[e])
        parts = group_by_threshold(edges[better], np.ones(better.sum()), n)
        assert parts[edges[e, 0]] == parts[edges[e, 1]]


def _reverse(edges, scores):
    """Score of each edge's other direction."""
    where = {tuple(edge): score for edge, score in zip(edges.tolist(), scores, strict=True)}
    return np.array([where[b, a] for a, b in edges.tolist()])


def test_a_tree_of_equal_lengths_takes_the_lowest_pairs():
    edges = np.array([[1, 2], [0, 2], [0, 1]])
    assert minimum_spanning_tree(edges, [1.0, 1.0, 1.0], 3).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("edges", "scores", "message"),
    [
        ([[0, 1]], [0.1, 0.2], "2 scores of 1 edges"),
        ([[0, 3]], [0.1], "nodes 0 to 3, expected 0 to 2"),
        ([[0, 1]], [np.nan], "not a number"),
    ],
)
def test_mistakes_are_named(edges, scores, message):
    with pytest.raises(WeftError, match=message):
        group_by_score(edges, scores, 3)
    with pytest.raises(WeftError, match="track of shape"):
        group_by_score([[0, 1]], [0.5], 3, track=np.zeros(2, bool))
