"""Sums of counts give the means that they are meant to."""

import numpy as np
import pandas as pd
import pytest

from weft.errors import WeftError
from weft.metrics.clustering import ari, contingency, efficiency, purity, sbd
from weft.metrics.clustering_counts import COUNTS, METRICS, clustering_counts, count_columns, metrics, suffixes_of


def events(n, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, 4, 30), rng.integers(-1, 5, 30)) for _ in range(n)]


def frame(answers):
    return pd.DataFrame([clustering_counts(contingency(t, p)) for t, p in answers])


def test_pooled_metrics_are_means_over_events_clusters_and_voxels():
    answers = events(7)
    pooled = metrics(frame(answers).sum().to_frame().T).iloc[0]
    tables = [contingency(t, p) for t, p in answers]
    assert pooled["ari"] == pytest.approx(np.mean([ari(*a) for a in answers]))
    assert pooled["sbd"] == pytest.approx(np.mean([sbd(*a) for a in answers]))
    assert pooled["event_purity"] == pytest.approx(np.mean([purity(*a) for a in answers]))
    assert pooled["event_efficiency"] == pytest.approx(np.mean([efficiency(*a) for a in answers]))
    assert pooled["purity"] == pytest.approx(np.concatenate([t.purities for t in tables]).mean())
    assert pooled["efficiency"] == pytest.approx(np.concatenate([t.efficiencies for t in tables]).mean())
    assert pooled["voxel_efficiency"] == pytest.approx(sum(t.found for t in tables) / (7 * 30))
    assert pooled["voxel_purity"] == pytest.approx(sum(t.pure for t in tables) / sum(t.n_assigned for t in tables))


def test_metrics_of_one_event_are_its_own():
    ((truth, prediction),) = events(1)
    row = metrics(frame([(truth, prediction)])).iloc[0]
    assert row["ari"] == pytest.approx(ari(truth, prediction))
    assert row["voxel_purity"] == pytest.approx(purity(truth, prediction, "voxel"))


def test_the_share_of_events_above_the_mark():
    truth = np.repeat([0, 1], 50)
    near = truth.copy()
    near[0] = 1  # ARI 0.9604
    pooled = metrics(frame([(truth, truth), (truth, near), (truth, np.zeros(100, int))]).sum().to_frame().T).iloc[0]
    assert ari(truth, near) > 0.92
    assert pooled["ari_above_092"] == pytest.approx(2 / 3)


def test_empty_events_and_single_voxels_do_not_dilute_means():
    one, none = (np.array([3]), np.array([3])), (np.array([-1]), np.array([0]))
    half = (np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0]))
    table = frame([one, none, half])
    assert table["judged_all"].tolist() == [1, 0, 1]
    assert table["paired_all"].tolist() == [0, 0, 1]
    pooled = metrics(table.sum().to_frame().T).iloc[0]
    assert pooled["ari"] == ari(*half)
    assert pooled["event_efficiency"] == 1.0
    assert metrics(table.iloc[[1]]).isna().all(axis=None)


def test_counts_are_all_there_and_finite():
    table = frame([*events(2), (np.empty(0, int), np.empty(0, int)), (np.array([0, 1]), np.array([-1, -1]))])
    assert list(table) == [f"{name}_all" for name in COUNTS] == count_columns(table)
    assert np.isfinite(table.to_numpy()).all()
    assert {c for pair in METRICS.values() for c in pair} <= set(COUNTS)


def test_classes_beside_all_and_columns_of_a_task_left_alone():
    ((truth, prediction),) = events(1)
    row = clustering_counts(contingency(truth, prediction))
    row |= clustering_counts(contingency(truth[:9], prediction[:9]), "track")
    table = pd.DataFrame([row]).assign(edges=5, uid=1)
    assert suffixes_of(table) == ["all", "track"]
    found = metrics(table)
    assert found["ari_track"][0] == pytest.approx(ari(truth[:9], prediction[:9]))
    assert set(found) == {*METRICS, *(f"{name}_track" for name in METRICS)}


def test_other_tables_are_refused():
    with pytest.raises(WeftError, match="not the scores of a clustering"):
        metrics(pd.DataFrame({"n_00": [1]}))
