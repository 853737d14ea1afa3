"""The report of a sweep: the point that is shown, the table and the drawing of all points."""

import re
from pathlib import Path

import invented
import numpy as np
import pandas as pd
import pytest
from invented_sweep import EVENTS, GRID, Accuracy, log_of, make, rows

from weft.config import BASELINE, plan
from weft.report.curves import learning_curves
from weft.report.experiment import report_experiment
from weft.report.index import read_summary
from weft.report.palette import BASELINE_COLOR, SERIES_COLORS
from weft.report.parallel import BOTTOM, Line, parallel_coordinates, value_text
from weft.report.sweep import gather_points, kept_value, sweep_notes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sweep"), sweep=GRID)


@pytest.fixture(scope="module")
def written(finished):
    experiment, dataset, layout = finished
    task, path = Accuracy(), Path(layout.report(experiment.id))
    report_experiment(experiment, dataset, {"net": task}, layout, path)
    return task, path


def test_validation_chooses_the_point_that_is_shown(written):
    task, path = written
    page = path.read_text()
    assert task.drawn == ["seed0", "seed1", BASELINE]
    assert "Shown in full: lr = 0.00001, filters = 32, of the 4 points of the sweep" in page
    assert read_summary(path)["stages"][0]["sentence"].startswith(
        "net with lr = 0.00001, filters = 32 beats the baseline"
    )
    assert "--variant seed0-lr=1e-05-filters=32" in page


def test_every_point_has_a_row(written):
    head, *body = rows(written[1].read_text(), "points")
    table = pd.DataFrame(body, columns=head)
    assert table["lr"].tolist() == ["0.00001", "0.001", "0.001", "0.00001"]
    assert table["filters"].tolist() == ["32", "32", "16", "16"]
    assert table["parameters"].str.replace("\u2009", "").tolist() == ["32000", "32000", "16000", "16000"]
    assert table["verdict"].tolist() == ["shown", "better", "worse", "worse"]
    seeds = [invented.event_scores(seed, 0.95, EVENTS) for seed in (0, 1)]
    values = [seed["right"].sum() / seed["n"].sum() for seed in seeds]
    assert table["accuracy"][0] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    assert (table["− baseline [95 %]"].str.split(" ").str[0].astype(float) > 0.05).all()


def test_the_difference_to_the_shown_point_adds_up_the_seeds(written):
    head, *body = rows(written[1].read_text(), "points")
    pooled = []
    for quality in (0.93, 0.95):
        tables = [invented.event_scores(seed, quality, EVENTS) for seed in (0, 1)]
        pooled.append(sum(t["right"].sum() for t in tables) / sum(t["n"].sum() for t in tables))
    found = dict(zip(head, body[2], strict=True))["− shown [95 %]"]
    assert found.startswith(f"{pooled[0] - pooled[1]:.4f}".replace("-", "−"))


def test_without_the_metric_in_validation_the_first_point_is_shown_and_it_is_said(finished, tmp_path):
    experiment, dataset, layout = finished
    runs = [run for run in plan(experiment, dataset, layout) if not run.is_baseline]
    logs = {run.variant: log_of(run) for run in runs}
    records = {run.variant: {"best_step": 1250} for run in runs}
    points = gather_points(runs, logs, records, "accuracy")
    assert points[0].name == "lr=1e-05-filters=32"
    logs[points[0].runs[1].variant] = logs[points[0].runs[1].variant].drop(columns="accuracy")
    assert gather_points(runs, logs, records, "accuracy")[-1].name == "lr=1e-05-filters=32"
    unlogged = gather_points(runs, logs, records, "purity")
    assert unlogged[0].name == "lr=1e-05-filters=16"
    assert "the first of 4 points. No validation logged the purity" in sweep_notes(unlogged, "purity")[0]


def test_the_kept_checkpoint_is_what_counts():
    log = pd.DataFrame({"step": [5, 5, 10], "split": ["train", "val", "val"], "iou": [np.nan, 0.4, 0.3]})
    assert kept_value(log, {"best_step": 5}, "iou") == 0.4
    assert np.isnan(kept_value(log, {"best_step": 7}, "iou"))
    assert np.isnan(kept_value(log, {}, "iou"))


def test_a_sweep_with_a_baseline_for_each_way_of_reading(tmp_path):
    experiment, dataset, layout = make(tmp_path, sweep={"data.charge": ["log", "linear"]})
    task = Accuracy()
    path = tmp_path / "r.html"
    report_experiment(experiment, dataset, {"net": task}, layout, path)
    assert task.drawn == ["seed0", "seed1", BASELINE]
    assert "baseline-charge=linear" in path.read_text()


# --- parallel coordinates -----------------------------------------------------------------------------------


def curves_of(svg: str) -> dict[str, np.ndarray]:
    """Heights of each line on each axis, by its name."""
    found = {}
    for group in re.findall(r'<g class="line[^"]*">(.*?)</text></g>', svg):
        path = re.search(r'<path d="M([^"]*)"', group)[1]
        numbers = [float(x) for x in re.findall(r"[-\d.]+", path)]
        pairs = np.array(numbers).reshape(-1, 2)
        found[re.search(r'class="said"[^>]*>([^:]*):', group)[1]] = pairs[::3, 1]
    return found


def test_lines_pass_through_their_values():
    lines = [
        Line(f"{a} {b}", {"a": a, "b": b, "same": 1}, [score])
        for (a, b, score) in [(1, "x", 0.2), (2, "x", 0.4), (4, "y", 0.6), (1, "y", 0.8)]
    ]
    svg = parallel_coordinates(lines, "accuracy", "1 y")
    assert "same" not in re.sub(r"<title>.*?</title>", "", svg)
    curves = curves_of(svg)
    assert {len(heights) for heights in curves.values()} == {3}
    assert curves["1 x"][0] == pytest.approx(curves["1 y"][0], abs=12)
    assert curves["1 x"][0] > curves["2 x"][0] > curves["4 y"][0]
    assert curves["1 x"][1] != curves["2 x"][1], "side by side, to be followed"
    outcome = [curves[name][2] for name in ("1 x", "2 x", "4 y", "1 y")]
    assert np.diff(outcome) == pytest.approx([np.diff(outcome)[0]] * 3, abs=0.2)
    assert all(0 < height <= BOTTOM + 15 for heights in curves.values() for height in heights)
    assert svg.count('class="line chosen"') == 1


def test_many_values_get_a_scale():
    """A random search: a learning rate over decades is drawn by its logarithm."""
    rates = np.geomspace(1e-5, 1e-1, 17)
    svg = parallel_coordinates([Line(f"{r:g}", {"lr": float(r)}, [k / 20]) for k, r in enumerate(rates)], "iou", "")
    heights = np.array([curves_of(svg)[f"{r:g}"][0] for r in rates])
    assert np.diff(heights) == pytest.approx(np.full(16, np.diff(heights).mean()), abs=0.2)
    assert 4 <= len(re.findall(r">0\.\d+</text>", svg.split('class="axis"')[1])) <= 12


def test_names_are_escaped():
    svg = parallel_coordinates([Line("<b>", {"a": "<i>"}, [1.0]), Line("c", {"a": "d"}, [2.0])], "<u>", "c")
    assert not re.search("<[biu]>", svg)


def test_values_are_written_out():
    assert [value_text(v) for v in (1e-5, 0.001, 16, 2.0, None, True, "SGD", [0.9, 0.99])] == [
        "0.00001", "0.001", "16", "2", "none", "yes", "SGD", "[0.9, 0.99]",
    ]  # fmt: skip


# --- learning curves ------------------------------------------------------------------------------------------


def test_a_point_has_one_color_and_the_last_points_are_grey():
    logs = {f"seed{k}-p{p}": invented.log(k, 400) for p in range(9) for k in (0, 1)}
    groups = {variant: f"p = {variant[-1]}" for variant in logs}
    svg = learning_curves("k", logs, [], groups=groups).svg
    drawn = {
        color: len(re.findall(f"<path[^>]*fill: none; stroke: {color}", svg))
        for color in (*SERIES_COLORS, BASELINE_COLOR)
    }
    assert drawn == dict.fromkeys(SERIES_COLORS, 2 + 1) | {BASELINE_COLOR: 2 * 3 + 1}, "seeds, and one in the legend"
    assert "3 others" in svg
    assert "opacity: 0.22" not in svg
