"""Scores of space points and key points against counts made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from space_point_stores import PROVIDERS, as_found, events, inputs, opened, true_points, write

from weft import tasks
from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS as KINDS
from weft.io.larmatch_products import TRUE_KEY_POINTS
from weft.io.lartpc import particle_rows
from weft.io.store import EventStore
from weft.metrics.scores import Scores, counts, pool
from weft.reco.feed import FedStore
from weft.tasks.space_points.score import CURVE_COLUMNS, EDGES, OBJECT_COLUMNS, _true_points, count_columns, metrics
from weft.triplets.truth import label_triplets

TASK = tasks.build("space_points", {})


def scored(folder: Path, found: list[np.ndarray] | None = None, **options: Any) -> tuple[Scores, list[dict[str, Any]]]:
    """Scores of three events, the second without anything; `found`: key points in place of those of the task."""
    task = tasks.build("space_points", {"model": options}) if options else TASK
    made = events()
    files = inputs(folder, made)
    products = [task.predict_event(one) for one in made]
    if found is not None:
        products = [one | {"key_points": points} for one, points in zip(products, found, strict=True)]
    prediction = write(folder / "points.h5", task.makes, products, list(files.values()))
    return task.score(opened(files, prediction), "test", "0000"), made


def test_counts_of_the_cloud(tmp_path: Path) -> None:
    scores, made = scored(tmp_path, min_score=0.25, best_per_pixel=2, heads=["key_points"])
    table = scores.events
    assert list(table.columns[:6]) == ["run", "subrun", "event", "uid", "split", "shard"]
    assert list(table.columns[6:]) == count_columns(key_points=True)
    assert table["uid"].tolist() == [100, 101, 102]
    for i, one in enumerate(made):
        truth = label_triplets(one["pixels"], one["triplets"], one["truth/wire_deposits"], 0)
        good, row = truth["good"] == 1, table.iloc[i]
        written = np.isin(np.arange(len(good)), one["triplet_scores"].index)
        assert (row["good_all"], row["ghost_all"]) == (good.sum(), (~good).sum())
        assert (row["good_cut"], row["ghost_cut"]) == ((good & written).sum(), (~good & written).sum())
        assert row["good_kept"] <= row["good_cut"]
        # A pixel has one space point, so of its good candidates one: at best that with most electrons.
        of_pixel = pd.DataFrame({"pixel": one["triplets"]["pixel_2"], "good": good, "electrons": truth["electrons"]})
        best = of_pixel[of_pixel["good"]].groupby("pixel")["electrons"].max()
        assert row["good_possible"] == len(best) <= row["good_all"]
        assert row["ghost_possible"] == of_pixel["pixel"].nunique() - len(best)
        assert row["electrons_possible"] == pytest.approx(best.sum())
        assert row["good_kept"] + row["ghost_kept"] == len(np.unique(one["triplets"]["pixel_2"][written]))
        assert row["unknown_all"] == 0
        deposits = one["truth/wire_deposits"]
        assert row["electrons"] == pytest.approx(deposits["electrons"].sum(dtype=float))
        assert row["electrons_all"] == pytest.approx(truth["electrons"].sum(dtype=float))
    assert table.iloc[1].loc["good_all":].sum() == 0  # type: ignore[misc]
    values = metrics(pool(table)).iloc[0]
    total = counts(table).sum()
    assert values["point_purity"] == total["good_kept"] / (total["good_kept"] + total["ghost_kept"])
    assert values["ghost_rejection"] == 1 - total["ghost_kept"] / total["ghost_all"]
    assert values["point_efficiency"] == total["good_kept"] / total["good_all"] < values["point_efficiency_cut"] == 1
    assert values["point_purity_cut"] < values["point_purity"]
    assert values["point_efficiency_all"] == 1 > values["point_efficiency_possible"] >= values["point_efficiency"]
    assert values["points_per_event"] == (total["good_kept"] + total["ghost_kept"]) / 3
    assert values["electron_completeness_cut"] == total["electrons_cut"] / total["electrons"]


def test_true_key_points_are_found_and_nothing_is_false(tmp_path: Path) -> None:
    true = [true_points(one) for one in events()]
    scores, _ = scored(tmp_path, [as_found(points) for points in true])
    values = metrics(pool(scores.events)).iloc[0]
    n = sum(len(points) for points in true)
    for mark in (1, 3, 5, 10):
        assert values[f"efficiency_within_{mark}cm"] == values[f"purity_within_{mark}cm"] == 1
    assert values["false_rate"] == values["false_per_event"] == 0
    assert values["median_distance"] <= EDGES[1]
    assert values["found_per_event"] == pytest.approx(n / 3)
    assert values["f1_within_3cm"] == 1
    assert np.isnan(values["at_vertex"])  # there is none in these events
    assert np.isnan(values["efficiency_within_3cm_michel"])
    sides = scores.objects.groupby("side").size()
    assert sides.to_dict() == {"true": n, "found": n}
    assert list(scores.objects.columns) == list(OBJECT_COLUMNS)
    assert list(scores.curves.columns) == list(CURVE_COLUMNS)
    assert scores.curves["n"].sum() == 2 * n
    assert (scores.objects["kind"] == scores.objects["kind_any"]).all()
    of_particles = scores.objects[scores.objects["side"] == "true"]
    assert set(of_particles["pdg"]) == {13, 11}


def test_counts_at_each_distance_by_hand(tmp_path: Path) -> None:
    made = events()
    true = [true_points(one) for one in made]
    start, end = KINDS.index("track_start"), KINDS.index("track_end")
    first = true[0]
    chosen = first[first["kind"] == start][:1]
    # Of the first event: one start, moved by 2 cm, and an end where there is none within 10 cm.
    found = [as_found(chosen, (2.0, 0.0, 0.0)), as_found(first[:0]), as_found(first[:0])]
    lost = as_found(chosen, (500.0, 0.0, 0.0))
    lost["kind"] = end
    found[0] = np.concatenate([found[0], lost])
    scores, _ = scored(tmp_path, found)
    row = scores.events.iloc[0]
    starts = first[first["kind"] == start]
    near = np.abs(np.linalg.norm(
        np.stack([starts[a] - chosen[a] for a in "xyz"], 1) - np.array([2.0, 0, 0]), axis=1
    ))  # fmt: skip
    for mark in (1, 3, 5, 10):
        assert row[f"true_track_start_{mark}"] == (near <= mark).sum()
        assert row[f"found_track_start_{mark}"] == (mark >= 2)
        assert row[f"found_track_end_{mark}"] == 0
    assert (row["found_track_start"], row["found_track_end"]) == (1, 1)
    assert row["true_track_end"] == (first["kind"] == end).sum()
    assert sum(row[f"distance_{k}"] for k in range(len(EDGES) - 1)) == len(first)
    values = metrics(pool(scores.events)).iloc[0]
    assert values["false_rate"] == 0.5
    assert values["purity_within_1cm"] == 0
    assert values["false_per_event"] == pytest.approx(1 / 3)
    assert values["found_per_event"] == pytest.approx(2 / 3)
    alone = scores.objects[(scores.objects["side"] == "found") & (scores.objects["kind"] == end)].iloc[0]
    assert alone["distance"] > 100
    assert alone["distance_any"] > 100


def test_one_found_key_point_stands_for_one_true_one(tmp_path: Path) -> None:
    first = true_points(events()[0])
    start = first[first["kind"] == KINDS.index("track_start")][:1]
    # The same true start found three times, 0, 1 and 2 cm off: one of them is right.
    found = np.concatenate([as_found(start, (shift, 0.0, 0.0)) for shift in (1.0, 0.0, 2.0)])
    scores, _ = scored(tmp_path, [found, found[:0], found[:0]])
    row = scores.events.iloc[0]
    mine = scores.objects[(scores.objects["side"] == "found") & (scores.objects["distance"] <= 0.01)]
    assert mine["x"].tolist() == pytest.approx(start["x"].tolist())
    for mark in (1, 3):
        assert row[f"true_track_start_{mark}"] == row[f"found_track_start_{mark}"]
    assert row["found_track_start_1"] == 1
    assert row["found_track_start"] == 3


def test_true_key_points_in_one_place_count_once() -> None:
    """Two tracks and a shower from a vertex: two kinds of starts; that of the more energetic track stands."""
    points = np.zeros(4, TRUE_KEY_POINTS.dtype)
    points["kind"] = [KINDS.index(kind) for kind in ("track_start", "track_start", "track_start", "shower_start")]
    points["particle"], points["x"] = [0, 1, 2, 3], [0.0, 0.3, 0.9, 0.0]
    particles = particle_rows(
        4, {"pdg": np.array([13, 2212, 211, 11]), "energy_deposit": np.array([50.0, 80.0, 10.0, 5.0])}
    )
    left = _true_points(points, particles)
    assert left.kind.tolist() == points["kind"][1:].tolist()
    assert left.table["pdg"].tolist() == [2212, 211, 11]
    assert left.table["energy_deposit"].tolist() == [80.0, 10.0, 5.0]
    assert left.position[:, 0].tolist() == pytest.approx([0.3, 0.9, 0.0])


def test_key_points_at_a_vertex_are_counted_by_kind() -> None:
    names = count_columns(key_points=True)
    row = dict.fromkeys(names, 0) | {"n_events": 2, "true_nu_vertex": 2, "vertex_track_start": 5, "vertex_nu_vertex": 1}
    assert metrics(pd.DataFrame([row])).iloc[0]["at_vertex"] == 3.0


def test_nothing_found_is_an_f1_of_zero(tmp_path: Path) -> None:
    none = as_found(true_points(events()[0])[:0])
    scores, _ = scored(tmp_path, [none, none, none])
    values = metrics(counts(scores.events))
    assert values["f1_within_3cm"].tolist()[::2] == [0.0, 0.0]
    assert np.isnan(values["f1_within_3cm"][1])  # nothing was to be found there
    assert values["efficiency_within_10cm"][0] == 0
    assert np.isnan(values["purity_within_3cm"][0])
    assert np.isnan(values["median_distance"][0])


def test_metrics_add_up_over_events(tmp_path: Path) -> None:
    scores, _ = scored(tmp_path)
    table = counts(scores.events)
    both = metrics(table.iloc[[0, 2]].sum().to_frame().T).iloc[0]
    each = metrics(table.iloc[[0, 2]])
    assert both["points_per_event"] == pytest.approx(each["points_per_event"].mean())
    assert both["found_per_event"] == pytest.approx(each["found_per_event"].mean())


def test_without_key_points_the_cloud_is_scored(tmp_path: Path) -> None:
    scores, _ = scored(tmp_path, heads=[], key_points=None)
    assert list(scores.events.columns[6:]) == count_columns(key_points=False)
    assert len(scores.objects) == len(scores.curves) == 0
    values = metrics(pool(scores.events)).iloc[0]
    assert "f1_within_3cm" not in values
    assert values["point_purity"] == 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    made = events()
    files = inputs(tmp_path, made)
    products = [TASK.predict_event(one) for one in made]
    products[2]["space_points"]["triplet"][-1] = 10**6
    prediction = write(tmp_path / "far.h5", TASK.makes, products, list(files.values()))
    with pytest.raises(WeftError, match=r"shard 7: event 1/0/2: a space point is triplet 1000000, but there are"):
        TASK.score(opened(files, prediction), "test", "7")
    products = [TASK.predict_event(one) for one in made]
    products[0]["key_points"]["x"] = np.nan
    prediction = write(tmp_path / "nan.h5", TASK.makes, products, list(files.values()))
    with pytest.raises(WeftError, match=r"shard 7: event 1/0/0: key_points .* not finite"):
        TASK.score(opened(files, prediction), "test", "7")
    bare = {alias: path for alias, path in files.items() if alias != "truth"}
    store = FedStore(EventStore.open({**bare, "prediction": prediction}), PROVIDERS)
    with pytest.raises(WeftError, match="shard 7: no product wire_deposits: space points cannot be scored"):
        TASK.score(store, "test", "7")
