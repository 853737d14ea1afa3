from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from judged_events import ALL_HEADS, CLASSES, MemoryStore, answer, by_hand, store_of
from sklearn.metrics import average_precision_score, roc_auc_score
from wire_events import event, nothing, single_plane

from weft.errors import WeftError
from weft.io.products import SHOWER, TRACK, Filtered
from weft.io.wire_products import PIXELS
from weft.metrics.scores import concat, pool, read_scores, write_scores
from weft.metrics.separation import SCORE_BINS, first_bin, score_bin
from weft.tasks.larmatch.charge_ratio import charge_agreement, charge_score, plane_scales, scaled_charges
from weft.tasks.larmatch.counting import (
    ANGLE_EDGES,
    DISTANCE_BINS,
    angle_between,
    best_candidate_distance,
    best_possible_distance,
    distance_counts,
    event_counts,
    ghost_distance,
)
from weft.tasks.larmatch.event_curves import CURVE_COLUMNS, event_curves
from weft.tasks.larmatch.options import Options
from weft.tasks.larmatch.parts import COARSE, COARSE_EDGES, drift_part
from weft.tasks.larmatch.score import (
    EVENT_COLUMNS,
    OBJECT_COLUMNS,
    classes_of,
    confusion,
    histograms,
    metrics,
    score_shard,
)
from weft.tasks.larmatch.without_training import agreement_counts, values_without_training


@pytest.fixture(scope="module")
def events():
    return [event(1), event(2, dead=40), nothing(), single_plane(), event(3, particles=1)]


@pytest.fixture(scope="module")
def scored(events):
    return score_shard(store_of(events), "test", "0000", ALL_HEADS)


def hand_counts(judged=None):
    judged = judged or by_hand()
    return event_counts(judged, ghost_distance(judged))


def nonzero(counts, name, n):
    return {k: float(counts[f"{name}_{k}"]) for k in range(n) if counts[f"{name}_{k}"]}


# ------------------------------------------------------------------------------------------------- counts by hand


def test_scores_are_counted_by_truth():
    counts = hand_counts()
    assert (counts["triplets"], counts["written"], counts["unknown"]) == (5, 5, 1)
    high, low = score_bin(np.float32(0.9)), score_bin(np.float32(0.25))
    assert nonzero(counts, "good", SCORE_BINS) == {int(high): 1, int(low): 1}
    assert nonzero(counts, "ghost", SCORE_BINS) == {
        int(score_bin(np.float32(0.6))): 1,
        int(score_bin(np.float32(0.55))): 1,
    }


def test_cells_and_electrons():
    counts = hand_counts()
    assert (counts["cells"], counts["found"]) == (3, 2)
    assert (counts["electrons"], counts["electrons_found"]) == (8000, 4000)
    assert [counts[f"electrons_{t}"] for t in (20, 30, 50)] == [4000, 1000, 1000]
    assert (counts["energy"], counts["energy_found"]) == (4, 2)  # that of lost electrons is in no true cell


def test_charge_of_pixels_with_a_kept_good_triplet():
    counts = hand_counts()
    assert counts["charge"] == 50 + 100 + 50 + 100 + 40
    assert counts["charge_found"] == 50 + 50 + 40 + 100  # of both; the dead pixel has none
    assert [counts[f"charge_{t}"] for t in (20, 30, 50)] == [240, 140, 140]


def test_distances():
    judged = by_hand()
    assert ghost_distance(judged).tolist() == pytest.approx([4, np.sqrt(3**2 + 49**2)])
    # Triplet 0 is the best on its pixel of the last plane; on that of 2 the one of unknown truth is, 2 cm away.
    assert best_candidate_distance(judged).tolist() == [0, 2]
    assert best_possible_distance(judged).tolist() == [0, 0]
    counts = hand_counts()
    assert sum(nonzero(counts, "ghost_distance", DISTANCE_BINS).values()) == 2
    assert counts["best_0"] == 1
    assert distance_counts(np.array([0.0, 0.005, 5000.0, np.inf]))[[0, -1]].tolist() == [2, 2]


def test_one_good_triplet_of_a_pixel_can_be_the_best():
    """Triplets 0 and 4 share their pixel of the last plane, 50 cm apart; 4 has more electrons."""
    judged = by_hand()
    judged.labels.good[4], judged.truth["electrons"][4] = 1, 5000
    assert best_possible_distance(judged).tolist() == [50, 0, 0]
    values = metrics(pd.DataFrame([{name: float(value) for name, value in hand_counts(judged).items()}])).iloc[0]
    assert values["best_at_most_right"] == pytest.approx(2 / 3)
    assert values["best_at_most_within_1cm"] == pytest.approx(2 / 3)


def test_best_candidates_that_were_not_written_are_infinitely_far():
    judged = by_hand()
    few = replace(judged, said=judged.said[[1]], row=np.array([1]))
    # Of the first pixel the ghost is left, of the other none.
    assert best_candidate_distance(few).tolist() == [4, np.inf]
    assert best_candidate_distance(replace(judged, said=judged.said[:0], row=judged.row[:0])).tolist() == [np.inf] * 2


def test_equal_scores_go_to_the_first_row():
    judged = by_hand()
    said = judged.said.copy()
    said["larmatch"] = 0.5
    assert best_candidate_distance(replace(judged, said=said)).tolist() == [0, 0]


def test_calibration_is_of_what_is_known():
    counts = hand_counts()
    assert nonzero(counts, "sure", 20) == {
        5: 1,
        11: 1,
        12: 1,
        17: 1,
    }  # in single precision 0.9 is just below, 0.6 above
    assert sum(nonzero(counts, "sure_good", 20).values()) == 2
    assert sum(nonzero(counts, "sure_sum", 20).values()) == pytest.approx(0.9 + 0.6 + 0.25 + 0.55)


def test_heads():
    counts = hand_counts()
    # The muon is kept and found; the proton's triplet has a score below 0.5.
    assert counts["class_muon_as_muon"] == 1
    assert counts["class_proton_as_missed"] == 1
    assert sum(value for name, value in counts.items() if name.startswith("class_")) == 2
    assert set(nonzero(counts, "angle", len(ANGLE_EDGES) - 1)) <= {11, 12}  # 30°, an edge
    assert counts["key_points"] == 1
    assert counts["key_error_nu_vertex"] == pytest.approx(0.25**2)
    assert counts["key_error_shower_start"] == pytest.approx(0.25**2)
    assert [counts[f"key_{what}_nu_vertex"] for what in ("near", "said", "both")] == [1, 1, 1]
    assert [counts[f"key_{what}_shower_start"] for what in ("near", "said", "both")] == [0, 0, 0]
    assert (counts["shift_nu_vertex"], counts["shift_track_end"]) == (1, 0)
    assert counts["shift_error_nu_vertex"] == pytest.approx(np.sqrt(2))


def test_key_points_that_are_not_known_are_not_judged():
    judged = by_hand()
    judged.labels.key_points[0] = np.nan
    counts = hand_counts(judged)
    assert {name: value for name, value in counts.items() if name.startswith("key_") and value} == {}


def test_metrics_by_hand():
    values = metrics(pd.DataFrame([{name: float(value) for name, value in hand_counts().items()}])).iloc[0]
    expected = {
        "efficiency_at_0.5": 1 / 2,
        "efficiency_at_0.2": 1,
        "purity_at_0.5": 1 / 3,
        "purity_at_0.2": 2 / 4,
        "all_efficiency_at_0.5": 1 / 3,
        "electron_efficiency_at_0.5": 1000 / 8000,
        "charge_completeness_at_0.5": 140 / 340,
        "charge_reachable": 240 / 340,
        "candidate_efficiency": 2 / 3,
        "candidate_electrons": 1 / 2,
        "candidate_energy": 2 / 4,
        "good_share": 1 / 2,
        "roc_auc": 2 / 4,
        "average_precision": (1 + 2 / 4) / 2,
        "ghost_rejection_95": 0,
        "best_right": 1 / 2,
        "best_within_1cm": 1 / 2,
        "mean_recall": 1 / 2,
        "recall_muon": 1,
        "recall_proton": 0,
        "iou_muon": 1,
        "affinity_within_20deg": 0,
        "key_rms_nu_vertex": 0.25,
        "key_recall_nu_vertex": 1,
        "shift_error_nu_vertex": np.sqrt(2),
    }
    for name, value in expected.items():
        # A lone triplet is spread over its bin of the score.
        assert values[name] == pytest.approx(value, abs=0.1 if name == "average_precision" else 1e-6), name
    assert np.isnan(values["recall_photon"])
    assert np.isnan(values["shift_error_track_end"])
    assert 4 < values["ghost_distance_median"] < 42


def test_angles_of_lines_are_those_of_vectors_folded_at_a_right_angle():
    rng = np.random.default_rng(0)
    angles = {"first": [1.0, 9.0, 31.0, 171.0, 179.0], "second": np.degrees(np.arccos(rng.uniform(-1, 1, 20_000)))}
    rows = []
    for found in angles.values():
        counts = {name: float(value) for name, value in hand_counts().items()}
        n = len(ANGLE_EDGES) - 1
        binned = np.histogram(found, ANGLE_EDGES)[0]
        rows.append(counts | {f"angle_{k}": float(binned[k]) for k in range(n)})
    values = metrics(pd.DataFrame(rows))
    assert values["affinity_within_20deg"][0] == 2 / 5
    assert values["affinity_axis_within_20deg"][0] == 4 / 5
    assert 7.5 <= values["affinity_axis_median"][0] <= 10
    # At random a direction is within 20° with (1 − cos 20°)/2, a line with twice that; the medians are 90° and 60°.
    chance = 1 - np.cos(np.radians(20))
    assert values["affinity_within_20deg"][1] == pytest.approx(chance / 2, abs=0.005)
    assert values["affinity_axis_within_20deg"][1] == pytest.approx(chance, abs=0.007)
    assert values["affinity_median"][1] == pytest.approx(90, abs=1)
    assert values["affinity_axis_median"][1] == pytest.approx(60, abs=1)


def test_angles():
    first = np.array([[1.0, 0, 0], [2, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    second = np.array([[0.0, 3, 0], [1, 0, 0], [-1, -1, 0], [1, 0, 0], [np.nan, 0, 0]])
    assert angle_between(first, second) == pytest.approx([90, 0, 180, np.nan, np.nan], nan_ok=True)


# ---------------------------------------------------------------------------------------------- agreement of charges


def charged(*rows):
    return np.array(list(rows), PIXELS.dtype)


def test_agreement_by_hand():
    charges = np.array([[50, 100, 80], [60, 60, 60], [50, np.nan, 100], [0, 10, 10], [np.nan] * 3])
    assert charge_agreement(charges).tolist() == [0.5, 1, 0.5, 0, 0]
    assert charge_agreement(charges[:0]).shape == (0,)


def test_three_live_wires_rank_before_two():
    charges = np.array([[50, 100, 80], [1, 1000, 60], [0, 10, 10], [50, np.nan, 100], [7, 7, np.nan], [np.nan] * 3])
    np.testing.assert_allclose(charge_score(charges), [0.5, 0.01, 0.01, 0.005, 0.01, 0], rtol=1e-6)
    assert charge_score(charges[:0]).shape == (0,)


def test_the_agreement_is_counted_with_and_without_dead_wires():
    of = event(3, dead=40)
    judged = score_shard(store_of([of]), "test", "0", ALL_HEADS)
    uids = judged.events["uid"].to_numpy()
    whole, live, dead = (agreement_counts(judged.curves, uids, part) for part in (None, 0, 1))
    np.testing.assert_array_equal(whole, live + dead)
    members = np.stack([of["triplets"][f"pixel_{p}"] for p in range(3)], axis=1)
    alive = ~(of["pixels"]["dead"] != 0)[members].any(axis=1)
    assert 0 < live.sum() <= alive.sum() < len(alive)
    assert 0 < dead.sum() <= (~alive).sum()
    assert not dead[..., first_bin(0.02) :].any()
    assert not live[..., : first_bin(0.01)].any()


def test_gains_of_planes_do_not_matter():
    of = event(4)
    gains = np.array([1.0, 0.5, 2.5])
    other = of["pixels"].copy()
    other["charge"] *= gains[other["plane"]]
    one, two = (charge_agreement(scaled_charges(p, of["triplets"])) for p in (of["pixels"], other))
    np.testing.assert_allclose(one, two, rtol=1e-5)
    ratio = plane_scales(other)[0] / plane_scales(of["pixels"])[0]
    np.testing.assert_allclose(ratio / ratio[0], gains, rtol=1e-6)


def test_scales_are_medians_over_rows():
    rows = [(0, p, row, 3, (10, 20, 40)[p], 0) for row in range(5) for p in range(3)]
    rows += [(0, 0, 9, 3, 1000, 0), (0, 1, 9, 3, 1, 0), (0, 2, 9, 3, 1, 0)]  # a row that is no rule
    rows += [(0, 0, 11, 3, 1000, 0), (0, 2, 12, 3, 0, 1)]  # rows without charge in all planes
    assert plane_scales(charged(*rows))[0] == pytest.approx([0.5, 1, 2])
    assert plane_scales(charged((1, 0, 3, 3, 7, 0))).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert plane_scales(charged()).shape == (0, 3)


def test_points_that_are_alone_agree():
    of = event(5, particles=1)
    judged = score_shard(store_of([of]), "test", "0", ALL_HEADS)
    found = values_without_training(judged.curves, judged.events["uid"].to_numpy(), ["roc_auc", "average_precision"])
    assert found["charge agreement"]["roc_auc"] > 0.6
    assert found["all candidates"]["roc_auc"] == 0.5
    share = metrics(pool(judged.events))["good_share"].iloc[0]
    assert found["all candidates"]["average_precision"] == pytest.approx(share)
    assert np.isnan(values_without_training(judged.curves, judged.events["uid"].to_numpy(), ["ece"])
                    ["all candidates"]["ece"])  # fmt: skip


# ------------------------------------------------------------------------------------------------------- slices


def test_parts_add_up_to_the_whole():
    judged = by_hand()
    rows = {part.curve: part for part in event_curves(judged, ghost_distance(judged))}
    assert (rows["planes"].good.sum(), rows["planes"].ghost.sum()) == (2, 2)
    assert rows["planes"].part[rows["planes"].good > 0].tolist() == [0, 1]
    assert (rows["charge"].good.sum(), rows["charge"].ghost.sum()) == (2, 2)
    assert (rows["angle"].good.sum(), rows["angle"].ghost.sum()) == (2, 0)
    assert (rows["all_ghosts"].ghost.sum(), rows["ratio"].good.sum()) == (2, 2)
    assert rows["ratio_ghosts"].ghost.sum() <= 2


def test_angles_to_the_drift_do_not_know_the_sense():
    directions = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [np.cos(0.5), np.sin(0.5), 0], [np.nan] * 3])
    assert drift_part(directions).tolist() == [0, 0, 5, 1, -1]


def test_coarse_bins_keep_the_thresholds():
    assert {first_bin(t) for t in (0.2, 0.3, 0.5)} <= set(COARSE.tolist())
    assert (np.diff(COARSE_EDGES) > 0).all()
    assert COARSE[0] == 0


# ----------------------------------------------------------------------------------------------------- whole shards


def test_areas_are_those_of_all_triplets_together(events, scored):
    good, score = [], []
    for k, of in enumerate(events):
        said = answer(of, 1.5, k)
        whole = np.zeros(len(of["triplets"]), np.float32)
        whole[said.index] = said.values["larmatch"]
        score.append(whole)
        from weft.triplets.truth import label_triplets

        good.append(label_triplets(of["pixels"], of["triplets"], of["truth/wire_deposits"], 0)["good"] == 1)
    good, score = np.concatenate(good), np.concatenate(score)
    found = metrics(pool(scored.events)).iloc[0]
    assert found["roc_auc"] == pytest.approx(roc_auc_score(good, score), abs=1e-3)
    # Ties of what was not written are steps to scikit-learn, and a slope here: at the very end of the curve.
    assert found["average_precision"] == pytest.approx(average_precision_score(good, score), abs=5e-3)
    assert found["efficiency_at_0.5"] == pytest.approx((score[good] >= 0.5).mean())
    assert found["purity_at_0.5"] == pytest.approx(good[score >= 0.5].mean())


def test_true_lines_are_candidates(scored):
    found = metrics(scored.events)
    assert found["candidate_efficiency"].iloc[0] == 1
    assert found["charge_reachable"].iloc[0] == pytest.approx(1)
    assert 0.5 < found["candidate_efficiency"].iloc[1] <= 1  # dead wires


def test_shards_add_up(events, scored):
    parts = [store_of(events[:2]), store_of(events[2:], seed=2, first=2)]
    made = concat([score_shard(part, "test", str(k), ALL_HEADS) for k, part in enumerate(parts)])
    together = metrics(pool(made.events)).iloc[0]
    pd.testing.assert_series_equal(together, metrics(pool(scored.events)).iloc[0])
    pd.testing.assert_frame_equal(made.curves, scored.curves)
    pd.testing.assert_frame_equal(made.objects, scored.objects)


def test_events_without_anything_count_nothing(scored):
    for k in (2, 3):
        numbers = scored.events.iloc[k]
        assert numbers["triplets"] == 0
        assert histograms(scored.events.iloc[[k]])[0].sum() == 0
    found = metrics(scored.events).iloc[2]
    assert np.isnan(found["average_precision"])
    assert np.isnan(found["charge_completeness_at_0.5"])
    alone = score_shard(store_of([nothing()]), "test", "0", ALL_HEADS)
    assert len(alone.objects) == len(alone.curves) == 0


def test_particles_have_their_triplets(scored):
    objects = scored.objects
    assert objects.groupby("uid")["n_good"].sum().tolist() == [
        int(n) for n in histograms(scored.events)[0].sum(axis=1) if n
    ]
    assert (objects["n_20"] >= objects["n_30"]).all()
    assert (objects["n_30"] >= objects["n_50"]).all()
    assert (objects["n_good"] >= objects["n_20"]).all()
    assert objects["pdg"].isin([11, 13]).all()
    assert (objects["shape"] == np.where(objects["pdg"] == 13, TRACK, SHOWER)).all()
    assert objects["class"].isin([CLASSES.index("electron"), CLASSES.index("muon")]).all()


def test_columns_are_described(scored):
    def family(name):
        return name in EVENT_COLUMNS or any(
            known.partition("<")[0] and name.startswith(known.partition("<")[0]) for known in EVENT_COLUMNS
        )

    assert all(family(name) for name in scored.events.columns)
    assert list(scored.curves.columns) == list(CURVE_COLUMNS)
    assert {name for name in OBJECT_COLUMNS if "<" not in name} <= set(scored.objects.columns)
    assert scored.events.attrs["columns"] == dict(EVENT_COLUMNS)


def test_tables_of_empty_and_full_shards_have_one_form(events, tmp_path, scored):
    empty = score_shard(store_of([]), "test", "1", ALL_HEADS)
    assert [len(table) for table in empty] == [0, 0, 0]
    write_scores(tmp_path, iter([scored, empty, score_shard(store_of([nothing()]), "test", "2", ALL_HEADS)]))
    again = read_scores(tmp_path)
    assert len(again.events) == len(events) + 1
    assert metrics(pool(again.events)).iloc[0]["average_precision"] == pytest.approx(
        metrics(pool(scored.events)).iloc[0]["average_precision"]
    )


def test_a_network_with_one_head_has_no_metrics_of_others(events):
    options = Options.model_validate({"model": {"heads": {"larmatch": [4]}}})
    made = score_shard(store_of(events[:1], options=options), "test", "0", options)
    found = metrics(made.events)
    assert "average_precision" in found
    assert not [name for name in found if name.startswith(("recall", "key", "affinity", "shift", "mean_"))]
    assert classes_of(made.events) == []


def test_confusion_has_the_classes_of_the_schema(scored):
    assert tuple(classes_of(scored.events)) == CLASSES
    matrix = confusion(pool(scored.events), CLASSES)
    assert matrix.shape == (1, len(CLASSES), len(CLASSES) + 1)
    assert matrix.sum() == histograms(scored.events)[0].sum()


def test_low_scores_are_as_if_not_written(events):
    of = events[0]
    said = answer(of, 1.5)
    kept = said.values["larmatch"] >= 0.3
    fewer = Filtered(said.values[kept], said.index[kept])
    one, two = (
        metrics(score_shard(MemoryStore([of], [answers]), "test", "0", ALL_HEADS).events).iloc[0]
        for answers in (said, fewer)
    )
    for name in ("efficiency_at_0.3", "purity_at_0.5", "charge_completeness_at_0.3", "mean_iou", "ghost_distance_90"):
        assert one[name] == two[name]
    assert two["efficiency_at_0.2"] == two["efficiency_at_0.3"] < one["efficiency_at_0.2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: Filtered(s.values, s.index + 10**6), "triplet_scores of row"),
        (lambda s: Filtered(_with(s.values, 1.5), s.index), "a larmatch score is 1.5, expected a probability"),
        (lambda s: Filtered(_with(s.values, np.nan), s.index), "a larmatch score is nan"),
    ],
)
def test_answers_that_do_not_fit_are_refused(events, change, message):
    store = MemoryStore([events[0]], [change(answer(events[0], 1.0))])
    with pytest.raises(WeftError, match=r"shard 0007: event 0/0/0: .*" + message):
        score_shard(store, "test", "0007", ALL_HEADS)


def _with(values, score):
    values = values.copy()
    values["larmatch"][0] = score
    return values
