"""Clustering metrics: hand-computed tables, limits, invariances, and what a voxel in no cluster costs."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from weft.errors import WeftError
from weft.metrics.clustering import ami, ari, contingency, efficiency, purity, sbd

METRICS = [ari, ami, sbd, purity, efficiency]

# Two true clusters of 4 and 2 voxels; the prediction takes one voxel of the first to the second.
TRUTH = np.array([7, 7, 7, 7, 9, 9])
PREDICTION = np.array([1, 1, 1, 0, 0, 0])


def test_contingency_by_hand():
    table = contingency(TRUTH, PREDICTION)
    assert table.truth_labels.tolist() == [7, 9]
    assert table.prediction_labels.tolist() == [0, 1]
    assert table.truth_sizes.tolist() == [4, 2]
    assert table.prediction_sizes.tolist() == [3, 3]
    assert list(zip(table.truth, table.prediction, table.count, strict=True)) == [(0, 0, 1), (0, 1, 3), (1, 0, 2)]
    assert table.n_voxels == table.n_assigned == 6


def test_purity_and_efficiency_by_hand():
    assert purity(TRUTH, PREDICTION) == pytest.approx((2 / 3 + 3 / 3) / 2)
    assert efficiency(TRUTH, PREDICTION) == pytest.approx((3 / 4 + 2 / 2) / 2)
    assert purity(TRUTH, PREDICTION, by="voxel") == pytest.approx(5 / 6)
    assert efficiency(TRUTH, PREDICTION, by="voxel") == pytest.approx(5 / 6)


def test_ari_by_hand():
    """Pairs: 3 + 1 together in both, 6 + 1 in the truth, 3 + 3 in the prediction, 15 in all."""
    expected = 7 * 6 / 15
    assert ari(TRUTH, PREDICTION) == pytest.approx((4 - expected) / ((7 + 6) / 2 - expected))


def test_sbd_by_hand():
    """Dice of the cells: 2/(4+3), 6/(4+3), 4/(2+3)."""
    assert sbd(TRUTH, PREDICTION) == pytest.approx((6 / 7 + 4 / 5) / 2)


def test_sbd_is_the_lower_of_both_directions():
    truth, prediction = np.zeros(8, int), np.array([0, 0, 0, 0, 0, 0, 1, 2])
    assert sbd(truth, prediction) == pytest.approx((12 / 14 + 2 / 9 + 2 / 9) / 3)
    assert sbd(prediction, truth) == sbd(truth, prediction)


def test_ami_by_hand():
    """Two voxels against two apart and together, averaged over all ways to put them."""
    truth, prediction = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    entropy = math.log(2), -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    information = 0.5 * math.log(4 * 2 / (2 * 3)) + 0.25 * math.log(4 / (2 * 3)) + 0.25 * math.log(4 / (2 * 1))
    # Whichever voxel is alone, the table is the same: the expectation is the information itself.
    assert ami(truth, prediction) == pytest.approx(0.0, abs=1e-12)
    assert sum(entropy) / 2 > information


LABELS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=60).map(np.array)


@given(LABELS)
def test_ari_and_ami_are_those_of_scikit_learn(labels):
    truth, prediction = labels.T
    assert ari(truth, prediction) == pytest.approx(peer.adjusted_rand_score(truth, prediction), abs=1e-9)
    same = len(np.unique(labels, axis=0)) == len(np.unique(truth)) == len(np.unique(prediction))
    expected = 1.0 if same else peer.adjusted_mutual_info_score(truth, prediction)
    assert ami(truth, prediction) == pytest.approx(expected, abs=1e-9)


@given(LABELS, st.randoms(use_true_random=False))
def test_names_of_clusters_and_order_of_voxels_do_not_matter(labels, random):
    truth, prediction = labels.T
    names = np.array(random.sample(range(10**12), 7))
    order = np.array(random.sample(range(len(labels)), len(labels)))
    for metric in METRICS:
        value = metric(truth, prediction)
        assert metric(names[truth], names[prediction]) == pytest.approx(value)
        assert metric(truth[order], prediction[order]) == pytest.approx(value)


@given(LABELS)
def test_swapping_the_sides_swaps_purity_and_efficiency(labels):
    truth, prediction = labels.T
    for by in ("cluster", "voxel"):
        assert purity(truth, prediction, by) == pytest.approx(efficiency(prediction, truth, by))
    for metric in (ari, ami, sbd):
        assert metric(truth, prediction) == pytest.approx(metric(prediction, truth))


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40).map(np.array))
def test_the_truth_itself_is_perfect(truth):
    for metric in METRICS:
        assert metric(truth, truth + 3) == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_to_judge_is_nan(metric):
    empty = np.empty(0, int)
    assert math.isnan(metric(empty, empty))
    assert math.isnan(metric(np.array([-1, -1]), np.array([0, 1])))


def test_of_one_voxel_no_pair_can_be_made():
    one = np.array([4])
    assert math.isnan(ari(one, one))
    assert math.isnan(ami(one, one))
    assert sbd(one, one) == purity(one, one) == efficiency(one, one) == 1.0


def test_voxels_without_a_true_label_are_left_out():
    truth, prediction = np.append(TRUTH, [-1, -1]), np.append(PREDICTION, [1, 5])
    for metric in METRICS:
        assert metric(truth, prediction) == metric(TRUTH, PREDICTION)


def test_voxels_left_alone_cost_efficiency_and_not_purity():
    prediction = np.where(np.arange(6) == 3, -1, PREDICTION)
    assert purity(TRUTH, prediction) == 1.0
    assert purity(TRUTH, prediction, "voxel") == 1.0
    assert efficiency(TRUTH, prediction) == pytest.approx((3 / 4 + 1) / 2)
    assert efficiency(TRUTH, prediction, "voxel") == pytest.approx(5 / 6)
    alone = np.where(prediction < 0, 8, prediction)  # a cluster of its own
    assert ari(TRUTH, prediction) == pytest.approx(ari(TRUTH, alone))
    assert ami(TRUTH, prediction) == pytest.approx(peer.adjusted_mutual_info_score(TRUTH, alone))


@given(LABELS)
def test_left_alone_is_a_cluster_of_one_for_ari_and_ami(labels):
    truth, prediction = labels.T
    prediction = prediction - 2  # two of the labels are negative
    alone = np.where(prediction < 0, 100 + np.arange(len(truth)), prediction)
    assert ari(truth, prediction) == pytest.approx(ari(truth, alone))
    assert ami(truth, prediction) == pytest.approx(ami(truth, alone), abs=1e-9)


def test_nothing_predicted():
    nothing = np.full(6, -1)
    assert math.isnan(purity(TRUTH, nothing))
    assert math.isnan(purity(TRUTH, nothing, "voxel"))
    assert efficiency(TRUTH, nothing) == efficiency(TRUTH, nothing, "voxel") == sbd(TRUTH, nothing) == 0.0
    assert ari(TRUTH, nothing) == 0.0
    assert contingency(TRUTH, nothing).match_of_truth.tolist() == [-1, -1]


def test_different_lengths_are_refused():
    with pytest.raises(WeftError, match="6 true labels but 5 predictions"):
        contingency(TRUTH, PREDICTION[:5])


def test_a_hundred_thousand_voxels_take_milliseconds():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(200), 500)
    prediction = np.where(rng.random(len(truth)) < 0.1, rng.integers(0, 400, len(truth)), truth)
    ami(TRUTH, PREDICTION)  # compiled
    start = time.perf_counter()
    table = contingency(truth, prediction)
    values = table.ari, table.ami, table.sbd, table.purity(), table.efficiency()
    assert time.perf_counter() - start < 0.5  # 10 ms on an idle core
    assert values[1] == pytest.approx(peer.adjusted_mutual_info_score(truth, prediction), abs=1e-9)
