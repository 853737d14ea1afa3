import numpy as np
import pandas as pd
import pytest
from point_events import LINES, LOW, SIZE, Store, event, random_event

from weft import tasks
from weft.errors import WeftError
from weft.io.reco_products import POINTS
from weft.metrics.points import EDGES
from weft.metrics.scores import pool, read_scores, write_scores
from weft.tasks.points.score import EVENT_COLUMNS, metrics, score_shard

PLAIN = tasks.build("points", {}).options


def points(rows):
    """rows: (position in voxel units, class, end score)."""
    made = np.zeros(len(rows), POINTS.dtype)
    for k, (position, label, end) in enumerate(rows):
        for axis, value in zip("xyz", position, strict=True):
            made[k][axis] = LOW + SIZE * value
        made[k]["class"], made[k]["score"], made[k]["end_score"], made[k]["occupancy"] = label, 0.9, end, 4
    return made


# Two tracks, a shower and a delta ray: true points at (5, 5, 5), (40, 8, 30), (30, 50, 10), (12, 15, 6), each plus a
# half, and ends of tracks at (28, 28, 5) and (40, 27, 49).
PREDICTED = [
    ((5.5, 5.5, 6.5), 1, 0.2),  # 1 from the first track's start
    ((5.5, 5.5, 7.5), 1, 0.9),  # 2 from it: a copy
    ((28.5, 28.5, 5.5), 1, 0.1),  # at its end, which it calls a start
    ((40.5, 8.5, 34.5), 1, 0.1),  # 4 from the second one's start
    ((30.5, 50.5, 10.5), 2, np.nan),  # at the shower's start, but called Michel
    ((60.5, 60.5, 60.5), 0, np.nan),  # nowhere
]


def scores(events=None, predictions=None, options=PLAIN):
    events = [event(LINES)] if events is None else events
    predictions = [{"points": points(PREDICTED)}] if predictions is None else predictions
    return score_shard(Store(events, predictions), "test", "a", options)


def test_events_table_by_hand():
    row = scores().events.iloc[0]
    assert row[["true_0", "true_1", "true_2", "true_3"]].tolist() == [1, 4, 0, 1]
    assert row[["pred_0", "pred_1", "pred_2", "pred_3", "pred_4"]].tolist() == [1, 4, 1, 0, 0]
    assert row["true_1_3"] == 2
    assert row["true_1_10"] == 3
    assert row["pred_1_3"] == 3
    assert row["pred_1_10"] == 4
    assert row["true_0_10"] == row["pred_0_10"] == row["pred_2_3"] == 0
    assert row["true_any_3"] == 3
    assert row["pred_any_3"] == 4
    assert row["copies"] == 1
    assert row[["type_11", "type_02", "type_00", "type_33"]].tolist() == [2, 1, 0, 0]
    assert row[["ends", "ends_right"]].tolist() == [2, 1]
    assert row[[f"eff_{k}" for k in range(len(EDGES) - 1)]].sum() == 6
    assert row["n_voxels"] == 64
    assert (row["uid"], row["split"], row["shard"]) == (100, "test", "a")


def test_metrics_by_hand():
    values = metrics(pool(scores().events)).iloc[0]
    assert values["efficiency_3"] == pytest.approx(2 / 6)
    assert values["purity_3"] == pytest.approx(3 / 6)
    assert values["f1_3"] == pytest.approx(2 / (3 + 2))
    assert values["efficiency_10"] == pytest.approx(3 / 6)
    assert values["purity_10"] == pytest.approx(4 / 6)
    assert values["efficiency_any_3"] == pytest.approx(3 / 6)
    assert values["purity_any_3"] == pytest.approx(4 / 6)
    assert values["copies"] == pytest.approx(1 / 6)
    assert values["type_accuracy"] == pytest.approx(2 / 3)
    assert values["end_accuracy"] == pytest.approx(1 / 2)
    assert values["efficiency_3_track"] == pytest.approx(2 / 4)
    assert values["purity_3_michel"] == 0
    assert np.isnan(values["efficiency_3_michel"])
    # Found at 0 and at 1: the half of the two is where the bin of 0 ends.
    assert values["median_distance"] == pytest.approx(0.05)


def test_objects_by_hand():
    objects = scores().objects
    true, predicted = objects[objects["kind"] == "true"], objects[objects["kind"] == "predicted"]
    start = true[(true["class"] == 1) & (true["end"] == 0)]
    assert start["distance"].tolist() == pytest.approx([1, 4], abs=1e-4)
    assert start["energy_deposit"].tolist() == [24, 20]
    assert start["n_voxels"].tolist() == [24, 20]
    assert true["voxel_distance"].max() < 1e-4
    assert predicted["copy"].tolist() == [False, True, False, False, False, False]
    assert predicted["class_any"].tolist() == [1, 1, 1, 1, 0, 1]
    assert predicted["x"].tolist() == pytest.approx([LOW + SIZE * p[0][0] for p in PREDICTED])
    assert predicted["voxel_distance"].iloc[0] == pytest.approx(1, abs=1e-4)
    assert predicted["particle"].tolist() == [-1] * 6


def test_curves_hold_every_point_once():
    table = scores()
    for curve, kind in (("efficiency", "true"), ("purity", "predicted")):
        part = table.curves[table.curves["curve"] == curve]
        objects = table.objects[table.objects["kind"] == kind]
        assert part["n"].sum() == len(objects)
        for label, rows in part.groupby("label"):
            distance = objects["distance"][objects["class"] == label]
            for row in rows.itertuples():
                inside = ((distance > row.low) | ((row.low == 0) & (distance == 0))) & (distance <= row.high)
                assert inside.sum() == row.n


def test_every_column_is_explained():
    table = scores()
    for part in (table.objects, table.curves):
        assert list(part.columns) == list(part.attrs["columns"])
    known = [name.partition("<")[0] for name in EVENT_COLUMNS]
    assert all(any(column.startswith(name) for name in known) for column in table.events.columns)


def test_a_start_and_an_end_in_one_place_are_both_found():
    made = event([(1, (5, 5, 5), (1, 0, 0), 10), (1, (15, 6, 5), (0, 1, 0), 10)])
    table = scores([made], [{"points": points([((14.8, 5.6, 5.5), 1, 0.5)])}])
    row = table.events.iloc[0]
    assert row["true_1_3"] == 2
    assert row["pred_1_3"] == 1
    assert row["copies"] == 0


def test_low_energy_points_are_wrong_points():
    row = scores(predictions=[{"points": points([((5.5, 5.5, 5.5), 4, np.nan)])}]).events
    values = metrics(pool(row)).iloc[0]
    assert values["purity_3"] == 0
    assert values["purity_any_3"] == 1
    assert row["type_14"].item() == 1


def test_the_segmentation_of_a_joint_network_is_scored():
    options = tasks.build("points", {"model": {"semantic": True}}).options
    made = event(LINES)
    called = made["semantics"].copy()
    called[made["semantics"] == 3] = 1
    prediction = {"points": points(PREDICTED), "semantics": called}
    values = metrics(pool(scores([made], [prediction], options).events)).iloc[0]
    assert values["accuracy"] == pytest.approx(59 / 64)
    assert values["mean_iou"] == pytest.approx((1 + 44 / 49 + 0) / 3)
    assert "accuracy" not in metrics(pool(scores().events))


@pytest.mark.parametrize("data", [{"min_voxels": 10}, {"min_energy": 10.0}])
def test_points_of_particles_without_labels_are_not_asked_for(data):
    options = tasks.build("points", {"data": data}).options
    assert scores(options=options).events["true_3"].item() == 0


def test_empty_events_and_shards_join_the_others(tmp_path):
    nothing = {"points": points([])}
    shards = [scores(), scores([], []), scores([event([]), event(LINES)], [nothing, nothing])]
    write_scores(tmp_path / "scores", shards)
    read = read_scores(tmp_path / "scores")
    assert len(read.events) == 3
    values = metrics(read.events)
    assert np.isnan(values["f1_3"].iloc[1])  # nothing to find
    assert values["f1_3"].iloc[2] == 0  # nothing found
    assert np.isnan(metrics(pool(shards[1].events))["f1_3"].item())
    for table, empty in zip(shards[0], shards[1], strict=True):
        assert table.dtypes.to_dict() == empty.dtypes.to_dict()


def test_metrics_of_many_rows_are_those_of_each():
    events = [random_event(k) for k in range(4)]
    rng = np.random.default_rng(0)
    made = [{"points": points([(rng.uniform(0, 60, 3), int(rng.integers(4)), 0.3) for _ in range(9)])} for _ in events]
    table = scores(events, made).events
    every = metrics(table)
    for k in range(len(table)):
        single = metrics(pool(table.iloc[k : k + 1]))
        pd.testing.assert_frame_equal(every.iloc[[k]].reset_index(drop=True), single.reset_index(drop=True))


@pytest.mark.parametrize("broken", [((np.nan, 0, 0), 1, 0.5), ((1, 1, 1), 7, 0.5)])
def test_points_that_are_none_are_refused(broken):
    with pytest.raises(WeftError, match="shard a: event 1/0/0: prediction/points has a position"):
        scores(predictions=[{"points": points([broken])}])
