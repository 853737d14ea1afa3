"""Clusters of faces: every face once, the cap, the same again; compact."""

import numpy as np
import pytest

from weft.errors import WeftError
from weft.meshes.clusters import cluster_faces
from weft.meshes.features import cluster_centres
from weft.meshes.samples import compact_samples, covering, prediction_parts
from weft.meshes.split import balanced_split


def town(n, seed=0):
    """Points on streets, and dense ones on a few trees: as unevenly spread as faces of a town are."""
    rng = np.random.default_rng(seed)
    ground = rng.random((n - n // 2, 3)) * [200, 150, 1]
    trees = rng.integers(0, 8, n // 2)[:, None] * [23, 17, 0] + rng.normal(0, 1.5, (n // 2, 3))
    return np.concatenate([ground, trees]) + np.array([7750.95, 4750.95, 16.6])


def spread(points, clusters):
    return np.square(points - cluster_centres(points, clusters)[clusters]).sum(axis=1).mean()


@pytest.mark.parametrize("method", ["split", "kmeans", "auto"])
@pytest.mark.parametrize("seed", [None, 0, 1, 2])
@pytest.mark.parametrize(("faces", "cap"), [(1, 8), (8, 8), (9, 8), (17, 8), (700, 2), (700, 64), (3000, 50), (131, 3)])
def test_every_face_once_and_no_cluster_over_the_cap(method, seed, faces, cap):
    clusters = cluster_faces(town(faces), cap, method=method, seed=seed)
    assert clusters.dtype == np.int32
    counts = np.bincount(clusters)
    assert len(clusters) == counts.sum() == faces
    assert 1 <= counts.min() <= counts.max() <= cap
    assert len(counts) == 1 or len(counts) * cap <= 2 * faces  # padding


@pytest.mark.parametrize("method", ["split", "kmeans"])
def test_the_same_again_and_others_for_other_seeds(method):
    points = town(2000)
    assert np.array_equal(cluster_faces(points, 50, method=method), cluster_faces(points.copy(), 50, method=method))
    kinds = [cluster_faces(points, 50, method=method, seed=seed) for seed in (None, 0, 1)]
    assert np.array_equal(kinds[1], cluster_faces(points, 50, method=method, seed=0))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        pairs = len(np.unique(kinds[a] * 10_000 + kinds[b]))
        assert pairs > 1.5 * max(kinds[a].max(), kinds[b].max())  # borders lie elsewhere
        assert spread(points, kinds[b]) < 2 * spread(points, kinds[a])


@pytest.mark.parametrize("method", ["split", "kmeans"])
def test_where_the_mesh_lies_does_not_matter(method):
    points = np.round(town(1500) - 7000, 1)
    moved = points + np.array([4096, -2048, 512])
    given, after = (cluster_faces(each, 40, method=method) for each in (points, moved))
    assert len(np.unique(given * 10_000 + after)) < 1.1 * (given.max() + 1)


def test_clusters_are_compact():
    points = town(4000)
    random = np.random.default_rng(0).permutation(4000) // 50
    split, kmeans = (cluster_faces(points, 50, method=method) for method in ("split", "kmeans"))
    assert spread(points, split) < 0.02 * spread(points, random.astype(np.int32))
    assert spread(points, kmeans) < spread(points, split)


def test_duplicated_faces_and_faces_in_one_place_are_cut_too():
    points = np.repeat(np.array([[0.0, 0, 0], [1, 0, 0]]), [70, 30], axis=0)
    for method in ("split", "kmeans"):
        counts = np.bincount(cluster_faces(points, 16, method=method))
        assert counts.max() <= 16
        assert counts.sum() == 100


def test_what_cannot_be_clustered_is_said():
    assert cluster_faces(np.zeros((0, 3)), 16).shape == (0,)
    with pytest.raises(WeftError, match="at least 2, got 1"):
        cluster_faces(np.zeros((5, 3)), 1)
    with pytest.raises(WeftError, match="centre of face 1 is not finite"):
        cluster_faces(np.array([[0.0, 0, 0], [0, np.nan, 0]]), 8)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 16, 100, 333])
def test_parts_of_a_split_differ_by_one_point(parts):
    points = town(333)
    for rng in (None, np.random.default_rng(5)):
        counts = np.bincount(balanced_split(points, parts, rng), minlength=parts)
        assert len(counts) == parts
        assert counts.max() - counts.min() <= 1


def test_a_line_is_cut_into_runs():
    points = np.outer(np.arange(12), [1.0, 2, 0.5])
    parts = balanced_split(points[::-1], 4)[::-1]
    assert (np.diff(parts) != 0).sum() == 3


# ---------------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize(("clusters", "per_sample"), [(1, 4), (4, 4), (5, 4), (100, 8), (100, 1)])
def test_a_pass_sees_every_cluster(clusters, per_sample):
    samples = compact_samples(np.random.default_rng(0).random((clusters, 3)), per_sample)
    assert samples.shape == (clusters, min(per_sample, clusters))
    assert all(len(set(sample.tolist())) == len(sample) for sample in samples)
    cores = covering(samples, seed=3)
    assert set(samples[cores].reshape(-1).tolist()) == set(range(clusters))
    assert np.array_equal(cores, covering(samples, seed=3))


def test_a_sample_is_a_core_and_the_nearest_around_it():
    centres = np.random.default_rng(0).random((100, 3))
    sample = compact_samples(centres, 8)[17]
    away = np.linalg.norm(centres - centres[17], axis=1)
    assert sample.tolist() == np.argsort(away)[:8].tolist()


def test_clusters_in_one_place_are_the_core_of_their_own_sample():
    samples = compact_samples(np.zeros((40, 3)), 4)
    assert samples[:, 0].tolist() == list(range(40))
    assert all(len(set(sample.tolist())) == 4 for sample in samples)


def test_other_passes_have_other_samples():
    samples = compact_samples(np.random.default_rng(0).random((100, 3)), 8)
    first, second = (covering(samples, seed) for seed in (0, 1))
    assert set(first.tolist()) != set(second.tolist())
    # not the double of what one pass takes
    assert len(first) < 3 * 100 / 8


@pytest.mark.parametrize(("clusters", "context"), [(1, 0), (8, 3), (9, 3), (200, 3), (200, 0), (200, 7)])
def test_every_cluster_is_predicted_once(clusters, context):
    centres = np.random.default_rng(0).random((clusters, 3))
    parts = prediction_parts(centres, 8, context)
    assert sorted(np.concatenate([part.core for part in parts]).tolist()) == list(range(clusters))
    for part in parts:
        assert not set(part.core.tolist()) & set(part.context.tolist())
        assert len(part.core) + len(part.context) <= 8
        assert len(part.context) == (0 if clusters <= 8 else context)


def test_context_is_what_is_nearest_to_the_core():
    centres = np.random.default_rng(0).random((60, 3))
    for core, context in prediction_parts(centres, 10, 4):
        rest = np.setdiff1d(np.arange(60), core)
        away = np.linalg.norm(centres[rest][:, None] - centres[core], axis=2).min(axis=1)
        assert set(context.tolist()) == set(rest[np.argsort(away)[:4]].tolist())


def test_wrong_sizes_of_samples_are_errors():
    assert prediction_parts(np.zeros((0, 3)), 4, 1) == []
    with pytest.raises(WeftError, match="from 0 to 3, got 4"):
        prediction_parts(np.zeros((9, 3)), 4, 4)
    with pytest.raises(WeftError, match="at least 1, got 0"):
        compact_samples(np.zeros((9, 3)), 0)
    assert compact_samples(np.zeros((0, 3)), 4).shape == (0, 0)
