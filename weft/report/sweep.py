"""A sweep in a report: which of its points the page shows in full, and all of them beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import pandas as pd

from weft.config import Run
from weft.metrics.scores import Scores, counts
from weft.report.comparison import Comparison, Difference, Judge, compare, metric_label, worst_of
from weft.report.figure import Figure
from weft.report.folds import beside_folds, fold_notes, folds_of
from weft.report.parallel import Line, parallel_coordinates, value_text
from weft.report.tables import format_number


@dataclass(frozen=True)
class Point:
    """One point of a sweep: its runs, one for each seed."""

    runs: Sequence[Run]
    validation: Sequence[float]
    """the headline metric on the validation events of each run's kept checkpoint; NaN where it was not logged"""

    @property
    def name(self) -> str:
        return self.runs[0].point

    @property
    def values(self) -> dict[str, Any]:
        return self.runs[0].swept()

    @property
    def merit(self) -> float:
        """Mean of the validation metric over seeds; without it, less than anything."""
        return -math.inf if any(map(math.isnan, self.validation)) else mean(self.validation)

    @property
    def title(self) -> str:
        """``lr = 0.001, filters = 16``"""
        return ", ".join(f"{key} = {value_text(value)}" for key, value in self.values.items() if value is not None)


def gather_points(
    models: Sequence[Run], logs: Mapping[str, pd.DataFrame], provenance: Mapping[str, Mapping[str, Any]], metric: str
) -> list[Point]:
    """The points of a swept stage, best first by the mean over seeds of the headline metric on validation events.

    The events that a report judges by must not choose the point that it shows. Points without that metric come last.
    Folds of a cross-validation stay beside each other in their order, by the mean over all of them.
    """
    groups: dict[str, list[Run]] = {}
    for run in models:
        groups.setdefault(run.point, []).append(run)
    points = [
        Point(runs, [kept_value(logs[run.variant], provenance[run.variant], metric) for run in runs])
        for runs in groups.values()
    ]
    together: dict[str, list[float]] = {}
    for point in points:
        together.setdefault(beside_folds(point.runs[0]), []).append(point.merit)
    return sorted(points, key=lambda point: -mean(together[beside_folds(point.runs[0])]))


def kept_value(log: pd.DataFrame, record: Mapping[str, Any], metric: str) -> float:
    """A validation metric of the checkpoint that was kept, from a training's log; NaN if it is not there."""
    if metric not in log:
        return float("nan")
    rows = log[(log["split"] == "val") & (log["step"] == record.get("best_step"))]
    return float(rows[metric].iloc[-1]) if len(rows) else float("nan")


def sweep_notes(points: Sequence[Point], metric: str, thing: str = "event") -> list[str]:
    """Which point of a sweep is shown in full, and why."""
    first, label = points[0], metric_label(metric)
    folds = folds_of([run for point in points for run in point.runs])
    if len(folds) == 1 and len(folds[0]) == sum(len(point.runs) for point in points):
        return fold_notes(first.runs[0], len(points), thing)
    if not math.isfinite(first.merit):
        return [f"Shown in full: {first.title}, the first of {len(points)} points. No validation logged the {label}."]
    return [
        f"Shown in full: {first.title}, of the {len(points)} points of the sweep the one with the best validation "
        f"{label}, {format_number(first.merit)}."
    ]


def sweep_figures(
    points: Sequence[Point],
    scores: Mapping[str, Scores],
    split: str,
    task: Judge,
    provenance: Mapping[str, Mapping[str, Any]],
) -> list[Figure]:
    """Parallel coordinates and table of the points; ``scores`` by variant, ``split`` the one to judge by."""
    tables = {variant: part.events[part.events["split"] == split] for variant, part in scores.items()}
    results = [_compared(point, tables, split, task) for point in points]
    best, outcome = points[0], metric_label(task.headline[0])
    lines = [
        Line(point.title, point.values, list(result.model.values()))
        for point, result in zip(points, results, strict=True)
    ]
    dots = "; small dots: seeds" if len(best.runs) > 1 else ""
    drawing = Figure(
        "sweep",
        "What was varied, and what came out",
        f"One line for each point, stronger the higher its {outcome} on the split '{split}'{dots}. The broad one is "
        "shown in full. Point at a line for its numbers.",
        svg=parallel_coordinates(lines, outcome, best.title),
    )
    rows = [
        _row(point, result, _against(point, best, tables, split, task), provenance)
        for point, result in zip(points, results, strict=True)
    ]
    frame = pd.DataFrame(rows)
    same = [key for key in ("parameters", *best.values) if frame[key].nunique(dropna=False) == 1]
    many = f"mean ± standard deviation of {len(best.runs)} seeds" if len(best.runs) > 1 else "one seed"
    table = Figure(
        "points",
        "All points",
        f"Split '{split}', {results[0].n_events} {task.thing}s; {many}. Validation: {outcome} of the kept checkpoints "
        f"on the validation {task.thing}s, which orders the points. Difference to the baseline: of the seed that does "
        "worst; to the point that is shown, and the verdict: of the counts of all seeds added up. Intervals: paired "
        f"bootstrap over {task.thing}s; of many points some differ by chance.",
        table=frame.drop(columns=same).dropna(axis="columns", how="all"),
    )
    return [drawing, table]


def _compared(point: Point, tables: Mapping[str, pd.DataFrame], split: str, task: Judge) -> Comparison:
    baseline = point.runs[0].baseline()
    models = {f"seed{run.seed}": tables[run.variant] for run in point.runs}
    judged = None if baseline is None else tables[baseline.variant]
    names, least, thing = task.headline[:1], task.claim_events, task.thing
    return compare(task.metrics, names, split, models, judged, claim_events=least, thing=thing)[0]


def _against(
    point: Point, best: Point, tables: Mapping[str, pd.DataFrame], split: str, task: Judge
) -> Difference | None:
    """Difference to the chosen point of the counts of all seeds, or None for that point itself."""
    if point is best:
        return None
    ours, theirs = (_pooled([tables[run.variant] for run in p.runs]) for p in (point, best))
    return (compare(task.metrics, task.headline[:1], split, {"point": ours}, theirs)[0].differences or {})["point"]


def _pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The counts of several models on the same events, added up event by event."""
    together = pd.concat([counts(table).assign(uid=table["uid"].to_numpy()) for table in tables])
    return together.groupby("uid", as_index=False).sum(min_count=len(tables))


def _row(
    point: Point, result: Comparison, against: Difference | None, provenance: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    records = [provenance[run.variant] for run in point.runs]
    seconds = [float(record.get("wall_time_s", "nan")) for record in records]
    differences = list((result.differences or {}).values())
    return {
        "verdict": "shown" if against is None else _verdict(against),
        **{key: "–" if value is None else value_text(value) for key, value in point.values.items()},
        "parameters": records[0].get("parameters"),
        "time [min]": f"{mean(seconds) / 60:.1f}",
        "validation": _spread(point.validation),
        result.label: _spread(list(result.model.values())),
        "− baseline [95 %]": str(worst_of(differences)) if differences else None,
        "− shown [95 %]": "–" if against is None else str(against),
    }


def _verdict(against: Difference) -> str:
    if against.high < 0:
        return "worse"
    return "better" if against.low > 0 else "even"


def _spread(values: Sequence[float]) -> str:
    text = format_number(mean(values))
    return text if len(values) == 1 else f"{text} ± {format_number(stdev(values))}"
