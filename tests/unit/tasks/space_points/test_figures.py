"""Every figure and table of the report, of tables that are scored from stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from space_point_stores import as_found, events, inputs, opened, true_points, write

from weft import tasks
from weft.errors import WeftError
from weft.metrics.scores import Scores, concat
from weft.report.figure import Figure
from weft.tasks.space_points.figures import figures

TASK = tasks.build("space_points", {})


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scores]:
    folder = tmp_path_factory.mktemp("stores")
    made = events(4)
    files = inputs(folder, made)
    baseline = TASK.baseline()
    found = {}
    for name in ("seed0", "baseline"):
        products = []
        for one in made:
            predicted = baseline.predict(one) if name == "baseline" else TASK.predict_event(one)
            if name == "seed0":
                predicted = predicted | {"key_points": as_found(true_points(one), (1.5, 0, 0))}
            products.append(predicted)
        prediction = write(folder / f"{name}.h5", TASK.makes, products, list(files.values()))
        store = opened(files, prediction)
        found[name] = concat([TASK.score(store, split, "0") for split in ("test", "test_noise")])
    return found


def by_key(made: list[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in made}


def test_every_figure_is_drawn_and_tables_hold_the_metrics(scores: dict[str, Scores]) -> None:
    made = by_key(figures(scores, "test"))
    assert list(made) == ["key-points", "kinds", "distance", "confusion", "cloud", "shifts"]
    overall = made["key-points"].table
    assert overall is not None
    row = overall.set_index("metric").loc["efficiency within 3 cm"]
    assert row["model"] == "1.0000"
    assert row["verdict"] == "beats"
    assert overall.set_index("metric").loc["efficiency within 1 cm", "model"] == "0.0000"
    kinds = made["kinds"].table
    assert kinds is not None
    table = kinds.set_index("kind")
    assert table.loc["track start", "median distance [cm], model / baseline"].startswith("1.")
    assert table.loc["track end", "false, model / baseline"].startswith("0.000 / ")
    assert table.loc["Michel electron", "true"] == 0
    for key in ("distance", "confusion"):
        assert (made[key].svg or "").startswith("<svg")
    assert "neutrino vertex" not in (made["distance"].svg or "")  # there is none in these events
    cloud = made["cloud"].table
    assert cloud is not None
    assert cloud["point purity"].iloc[-1].startswith("1.000")
    shifts = made["shifts"].table
    assert shifts is not None
    assert shifts["split"].tolist() == ["test", "test_noise"]


def test_a_model_without_key_points_or_baseline_has_the_cloud_alone(tmp_path: Path) -> None:
    task = tasks.build("space_points", {"model": {"heads": [], "key_points": None}})
    made = events(3)
    files = inputs(tmp_path, made)
    prediction = write(tmp_path / "p.h5", task.makes, [task.predict_event(one) for one in made], list(files.values()))
    scores = {"seed0": task.score(opened(files, prediction), "test", "0")}
    assert list(by_key(task.figures(scores, "test"))) == ["cloud"]


def test_seeds_and_empty_splits(scores: dict[str, Scores]) -> None:
    both = {"seed0": scores["seed0"], "seed1": scores["seed0"]}
    overall = by_key(figures(both, "test"))["key-points"].table
    assert overall is not None
    assert overall["model"].str.contains("±").sum() > 5
    assert "baseline" not in overall
    with pytest.raises(WeftError, match="no scored events of the split 'val'"):
        figures(both, "val")


def test_nothing_found_at_all_is_drawn(scores: dict[str, Scores]) -> None:
    none = scores["seed0"].events.copy()
    found = [name for name in none.columns if name.startswith(("found_", "vertex_")) or name[-2:] in ("_1", "_3", "_5")]
    none[[name for name in found if none[name].dtype.kind == "i"]] = 0
    objects = scores["seed0"].objects
    objects = objects[objects["side"] == "true"].assign(distance=np.inf, distance_any=np.inf, kind_any=-1)
    curves = scores["seed0"].curves
    empty = Scores(none, objects.astype({"kind_any": "i1"}), curves[curves["side"] == "true"])
    made = by_key(figures({"seed0": empty}, "test"))
    overall = made["key-points"].table
    assert overall is not None
    values = overall.set_index("metric")["model"]
    assert values["F1 within 3 cm"] == values["efficiency within 3 cm"] == "0.0000"
    assert values["purity within 3 cm"] == "–"
