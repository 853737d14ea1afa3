"""Clustering metrics and DBSCAN against SPINE 1.4.3 (`pip install spine`) and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.cluster import DBSCAN as SklearnDBSCAN

pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")

from spine.cluster.formation import break_clusters as spine_break
from spine.math import metrics as spine_metrics
from spine.math.cluster import DBSCAN as SpineDBSCAN
from spine.math.cluster import dbscan as spine_dbscan
from spine.math.distance import METRICS

from weft.metrics.clustering import ami, ari, contingency, efficiency, purity, sbd
from weft.reco.dbscan import break_clusters, dbscan, masked_dbscan

pytestmark = pytest.mark.peer


def clusterings(n=200, seed=0):
    """Random pairs of clusterings, from nearly the same to unrelated, some with one cluster or many."""
    rng = np.random.default_rng(seed)
    for k in range(n):
        size = int(rng.integers(2, 400))
        truth = rng.integers(0, rng.integers(1, 30), size)
        mixed = rng.random(size) < rng.random()
        yield truth, np.where(mixed, rng.integers(0, rng.integers(1, 30), size), truth + 50 * (k % 2))


def tracks(seed, n=600, side=40):
    """Voxels of a few straight lines through a small box, in random order, unique."""
    rng = np.random.default_rng(seed)
    start, way = rng.uniform(0, side, (6, 3)), rng.normal(size=(6, 3))
    way /= np.abs(way).max(axis=1, keepdims=True)
    steps = np.arange(n // 6)[:, None]
    voxels = np.unique(np.concatenate([np.rint(start[i] + steps * way[i]) for i in range(6)]), axis=0)
    return voxels[rng.permutation(len(voxels))].astype(np.int64), start


def test_metrics_are_those_of_spine():
    for truth, prediction in clusterings():
        for ours, theirs in ((ari, spine_metrics.ari), (sbd, spine_metrics.sbd)):
            assert ours(truth, prediction) == pytest.approx(theirs(truth, prediction), abs=1e-9)
        for by in ("cluster", "voxel"):
            per_cluster = by == "cluster"
            assert purity(truth, prediction, by) == pytest.approx(
                spine_metrics.pur(truth, prediction, per_cluster=per_cluster)
            )
            assert efficiency(truth, prediction, by) == pytest.approx(
                spine_metrics.eff(truth, prediction, per_cluster=per_cluster)
            )
            both = purity(truth, prediction, by), efficiency(truth, prediction, by)
            assert both == pytest.approx(spine_metrics.pur_eff(truth, prediction, per_cluster=per_cluster))


def test_ari_and_ami_are_those_of_scikit_learn():
    for truth, prediction in clusterings(60, seed=1):
        assert ari(truth, prediction) == pytest.approx(sklearn_metrics.adjusted_rand_score(truth, prediction), abs=1e-9)
        expected = sklearn_metrics.adjusted_mutual_info_score(truth, prediction, average_method="arithmetic")
        assert ami(truth, prediction) == pytest.approx(expected, abs=1e-8)


def test_ami_of_spine_has_another_expectation():
    """SPINE puts H(truth)·H(prediction)/ln n for the expected mutual information, and is too low by that; with it in
    the place of ours the two agree."""
    different = 0
    for truth, prediction in clusterings(60, seed=2):
        table = contingency(truth, prediction)
        n = table.n_voxels
        if min(len(table.truth_sizes), len(table.prediction_sizes)) < 2:
            continue
        entropies = [-(s / n * np.log(s / n)).sum() for s in (table.truth_sizes, table.prediction_sizes)]
        information = sklearn_metrics.mutual_info_score(truth, prediction)
        expected, mean = entropies[0] * entropies[1] / np.log(n), sum(entropies) / 2
        theirs = spine_metrics.ami(truth, prediction)
        assert theirs == pytest.approx((information - expected) / (mean - expected), abs=1e-9)
        assert theirs <= ami(truth, prediction) + 1e-9
        different += abs(theirs - ami(truth, prediction)) > 0.01
    assert different > 10


def test_empty_input_is_nan_in_both():
    empty = np.empty(0, np.int64)
    for ours, theirs in (
        (ari, spine_metrics.ari), (ami, spine_metrics.ami), (sbd, spine_metrics.sbd), (purity, spine_metrics.pur),
        (efficiency, spine_metrics.eff),
    ):  # fmt: skip
        assert np.isnan(ours(empty, empty))
        assert np.isnan(theirs(empty, empty))
    one = np.zeros(1, np.int64)
    assert np.isnan(ari(one, one))
    assert np.isnan(spine_metrics.ari(one, one))


@pytest.mark.parametrize("eps", [1.1, 1.8, 1.999, 3.0])
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev"])
def test_connected_components_are_those_of_spine_and_scikit_learn(eps, metric):
    for seed in range(10):
        voxels, _ = tracks(seed)
        ours = dbscan(voxels, eps, 1, metric)
        theirs = spine_dbscan(voxels.astype(np.float32), np.float32(eps), 1, METRICS[metric])
        np.testing.assert_array_equal(ours, theirs)
        by_class = SpineDBSCAN(eps, 1, metric).fit_predict(voxels.astype(np.float32))
        np.testing.assert_array_equal(ours, by_class)
        np.testing.assert_array_equal(ours, SklearnDBSCAN(eps=eps, min_samples=1, metric=metric).fit_predict(voxels))


@pytest.mark.parametrize("min_samples", [2, 3, 5])
def test_with_more_samples_scikit_learn_is_the_peer(min_samples):
    """SPINE lets any point that a cluster reaches carry it on, and makes a cluster of every point of noise."""
    for seed in range(10):
        voxels, _ = tracks(seed, n=300)
        expected = SklearnDBSCAN(eps=1.999, min_samples=min_samples).fit_predict(voxels)
        np.testing.assert_array_equal(dbscan(voxels, 1.999, min_samples), expected)


def test_broken_clusters_are_those_of_spine():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        voxels, _ = tracks(seed)
        labels = rng.integers(0, 5, len(voxels))
        clusters = [np.flatnonzero(labels == k) for k in range(5)]
        theirs = spine_break(voxels, labels, clusters, 1.1, METRICS["chebyshev"], 2.0)
        assert ari(theirs, break_clusters(voxels, labels)) == 1.0
        assert len(np.unique(theirs)) == break_clusters(voxels, labels).max() + 1


@pytest.mark.parametrize("radius", [2.0, 5.0])
def test_masked_dbscan_is_that_of_spine(radius):
    clusterer = pytest.importorskip("spine.model.common.point_break", exc_type=ImportError).PointBreakClusterer(
        method="masked_dbscan", eps=1.999, min_samples=1, mask_radius=radius
    )
    cut = 0
    for seed in range(20):
        voxels, start = tracks(seed)
        points = np.concatenate([start, voxels[:: len(voxels) // 5] + 0.25])
        theirs = clusterer(voxels.astype(np.float32), points.astype(np.float32))
        ours = masked_dbscan(voxels, points, 1.999, mask_radius=radius)
        pairs = np.unique(np.stack([theirs, ours]), axis=1)
        assert pairs.shape[1] == len(np.unique(theirs)) == len(np.unique(ours))  # voxel by voxel the same
        cut += ours.max() > dbscan(voxels, 1.999).max()
    assert cut == 20
