"""Score of hand-made answers, metrics of hand-made counts."""

import numpy as np
import pandas as pd
import pytest

from weft.errors import WeftError
from weft.metrics.binned import bin_of, half_width, quantile
from weft.metrics.scores import concat, pool
from weft.tasks.reconstruction.metrics import BINNED, RESIDUAL_EDGES, VERTEX_EDGES, bins_of, count_columns, metrics
from weft.tasks.reconstruction.score import EVENT_COLUMNS, OBJECT_COLUMNS, angle


def _counts(**values):
    return pd.DataFrame({name: [values.get(name, 0)] for name in count_columns()})


# --- binned -----------------------------------------------------------------------------------------------------


def test_quantiles_of_bins_are_linear_within_them():
    edges = np.array([0.0, 1, 2, 4, np.inf])
    counts = np.array([[2, 2, 4, 0], [0, 0, 0, 3], [0, 0, 0, 0]])
    assert quantile(counts, edges, 0.5)[0] == 2.0
    assert quantile(counts, edges, 0.75)[0] == 3.0
    assert quantile(counts, edges, 0.125)[0] == 0.5
    assert quantile(counts, edges, 0.5)[1] == 4.0
    assert np.isnan(quantile(counts, edges, 0.5)[2])


def test_half_width_of_a_gaussian_is_its_standard_deviation():
    edges = np.linspace(-1, 1, 401)
    values = np.random.default_rng(0).normal(0.1, 0.15, 200_000)
    counts = np.bincount(bin_of(values, edges), minlength=400)
    assert half_width(counts, edges) == pytest.approx(0.15, rel=0.02)
    assert quantile(counts, edges, 0.5) == pytest.approx(0.1, abs=0.002)


def test_values_on_and_beyond_edges():
    assert bin_of([-5, 0, 0.5, 1, 9], [0, 0.5, 1, 2]).tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("name", list(BINNED))
def test_edges_increase(name):
    assert (np.diff(BINNED[name][0]) > 0).all()
    assert len(bins_of(name)) == len(BINNED[name][0]) - 1


# --- metrics ----------------------------------------------------------------------------------------------------


def test_metrics_by_hand():
    counts = _counts(
        n_true_particles=10, n_reco_particles=8, n_found_particles=6,
        n_true_primaries=5, n_reco_primaries=4, n_right_primaries=3,
        n_true_interactions=4, n_reco_interactions=5, n_found_interactions=3,
        n_vertices=4, n_vertices_within_3cm=2, n_true_topologies=3, n_right_topologies=1,
        n_pid_22=3, n_pid_23=1, n_pid_44=1, n_pid_46=1,
    )  # fmt: skip
    found = metrics(counts).iloc[0]
    assert found["particle_efficiency"] == 0.6
    assert found["particle_purity"] == 0.75
    assert found["primary_efficiency"] == 0.6
    assert found["primary_purity"] == 0.75
    assert found["interaction_efficiency"] == 0.75
    assert found["interaction_purity"] == 0.6
    assert found["vertex_within_3cm"] == 0.5
    assert found["topology_accuracy"] == pytest.approx(1 / 3)
    assert found["pid_accuracy"] == pytest.approx(4 / 6)
    assert found["pid_recall_muon"] == 0.75
    assert found["pid_recall_proton"] == 0.5
    assert np.isnan(found["pid_recall_kaon"])
    assert np.isnan(found["vertex_median_cm"])


def test_resolutions_by_hand():
    """100 vertices, spread evenly over the bin from 1 to 1.26 cm; energies 10 % low to 10 % high."""
    one = int(bin_of([1.0001], VERTEX_EDGES)[0])
    low, high = bin_of([-0.0999], RESIDUAL_EDGES)[0], bin_of([0.0999], RESIDUAL_EDGES)[0]
    energies = {bins_of("csda_energy")[k]: 10 for k in range(low, high + 1)}
    found = metrics(_counts(**{bins_of("vertex")[one]: 100}, **energies)).iloc[0]
    assert found["vertex_median_cm"] == pytest.approx((1 + 10**0.1) / 2)
    assert found["vertex_68_cm"] == pytest.approx(1 + 0.68 * (10**0.1 - 1))
    assert found["csda_energy_bias"] == pytest.approx(0, abs=1e-9)
    assert found["csda_energy_resolution"] == pytest.approx(0.068)


def test_other_tables_are_refused():
    with pytest.raises(WeftError, match="not the scores of a reconstruction"):
        metrics(pd.DataFrame({"n_00": [1]}))


def test_no_events_have_no_metrics():
    assert len(metrics(pd.DataFrame(columns=count_columns(), dtype=float))) == 0


def test_angles():
    first = np.array([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [np.nan, 0, 0], [0, 0, 0]])
    second = np.array([[2.0, 0, 0], [0, 1, 0], [-1, 1e-9, 0], [1, 0, 0], [1, 0, 0]])
    assert np.allclose(angle(first, second)[:3], [0, 90, 180], atol=1e-6)
    assert np.isnan(angle(first, second)[3:]).all()


# --- scores of simulated events ---------------------------------------------------------------------------------


def test_tables_have_their_columns(scored):
    scores, n = scored["truth"], len(scored["truth"].events)
    assert n == 4
    described = {name for name in EVENT_COLUMNS if "<" not in name}
    assert described <= set(scores.events)
    assert list(scores.objects) == list(OBJECT_COLUMNS)
    assert (scores.events[count_columns()].dtypes == np.int64).all()
    assert scores.objects["same"].dtype == bool


def test_truth_scores_as_the_truth(scored, task):
    """Fed with true products all is found and right; energies and directions are still measured."""
    summary = task.summary(scored["truth"].events)
    for name in ("particle", "interaction", "primary"):
        assert summary[f"{name}_efficiency"] == summary[f"{name}_purity"] == 1.0
    assert summary["pid_accuracy"] == summary["topology_accuracy"] == 1.0
    assert summary["vertex_median_cm"] < 1.0
    objects = scored["truth"].objects
    assert objects["same"].all()
    assert (objects["iou"] == 1).all()
    truth, reco = (objects[objects["side"] == side] for side in ("truth", "prediction"))
    assert len(truth) == len(reco)
    assert truth["match"].tolist() == reco["id"].tolist()
    assert np.array_equal(truth["match_ke"], reco["ke"], equal_nan=True)
    assert np.array_equal(truth["ke"], reco["match_ke"], equal_nan=True)
    assert np.array_equal(truth["angle"], reco["angle"], equal_nan=True)


def test_objects_and_events_agree(scored):
    for part in scored.values():
        particles = part.objects[part.objects["kind"] == "particle"]
        truth, reco = (particles[particles["side"] == side] for side in ("truth", "prediction"))
        total = pool(part.events).iloc[0]
        assert total["n_true_particles"] == len(truth)
        assert total["n_reco_particles"] == len(reco)
        assert total["n_found_particles"] == truth["same"].sum() == reco["same"].sum()
        interactions = part.objects[(part.objects["kind"] == "interaction") & (part.objects["side"] == "truth")]
        assert total["n_found_interactions"] == interactions["same"].sum()
        near = (interactions["vertex_distance"] < 3) & interactions["same"]
        assert total["n_vertices_within_3cm"] <= near.sum()
        right = (truth["same"] & (truth["pid"] == truth["match_pid"]) & (truth["pid"] >= 0)).sum()
        assert right == sum(total[f"n_pid_{k}{k}"] for k in range(6))


def test_the_baseline_is_worse_where_networks_know_better(scored, task):
    truth, classical = (task.summary(scored[name].events) for name in ("truth", "baseline"))
    assert classical["pid_accuracy"] < truth["pid_accuracy"]
    assert classical["interaction_purity"] <= truth["interaction_purity"]
    assert classical["particle_efficiency"] == 1.0


def test_nothing_predicted_finds_nothing(scored, task):
    part = scored["nothing"]
    total = pool(part.events).iloc[0]
    assert total["n_reco_particles"] == total["n_found_particles"] == total["n_reco_interactions"] == 0
    assert total["n_true_particles"] > 0
    assert (part.objects["match"] == -1).all()
    assert part.objects["iou"].isna().all()
    assert (part.objects["match_pid"] == -1).all()
    assert part.objects["match_ke"].isna().all()


def test_tables_of_shards_fit_together(scored):
    both = concat([scored["truth"], scored["nothing"]])
    assert len(both.events) == 8
    for first, second in zip(scored["truth"], scored["nothing"], strict=True):
        assert (first.dtypes == second.dtypes).all()
