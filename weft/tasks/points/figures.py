"""Figures and tables of the points report, from score tables alone.

Curves of a model add the counts of all its seeds; bands are 95 % bootstrap intervals over events.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from weft.config import BASELINE
from weft.io.products import CLASSES as NAMES
from weft.metrics.bootstrap import bootstrap
from weft.metrics.points import EDGES, MARKS, N_BINS, share_within
from weft.metrics.scores import Scores, counts
from weft.report.comparison import Difference, metric_label
from weft.report.confusion import confusion_panels
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import BASELINE_COLOR, CLASS_COLORS, CLASS_NAMES, INK, style, to_svg
from weft.report.quality import LESS, Quality, counted, events_of, quality_table, shift_rows
from weft.report.ratio_panels import ENERGY_EDGES, binned, by_energy, ratio_panels, say_too_few
from weft.report.variants import (
    DIFFERENCE,
    MODEL,
    beside,
    heading,
    pooled,
    same_events,
    seeds,
    select,
    trained,
    worst,
)
from weft.tasks.points.options import CLASSES
from weft.tasks.points.score import POINT_CLASSES, TRUE, metrics

_REPLICAS = 400
_FEWEST = 20  # points of a bin that is drawn
_FARTHEST = 12.0  # voxels, end of the axis of distance
#: Metrics of the first table.
_OVERALL = (
    Quality("f1_3", "F1 at 3 voxels"),
    Quality("efficiency_3", "efficiency at 3 voxels"),
    Quality("purity_3", "purity at 3 voxels"),
    Quality("efficiency_10", "efficiency at 10 voxels"),
    Quality("purity_10", "purity at 10 voxels"),
    Quality("efficiency_any_3", "efficiency at 3 voxels, whatever class"),
    Quality("purity_any_3", "purity at 3 voxels, whatever class"),
    Quality("type_accuracy", "right class of what was found"),
    Quality("end_accuracy", "start and end told apart, tracks"),
    Quality("copies", "copies among predicted points", LESS),
    Quality("median_distance", "median distance of what was found [voxels]", LESS),
    Quality("accuracy", "accuracy of the segmentation"),
    Quality("mean_iou", "mean IoU of the segmentation"),
)


def figures(scores: Mapping[str, Scores], split: str) -> list[Figure]:
    """Figures and tables of the report, from the scores of each variant.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline.
    split: the one that models are judged by; further ones are shifted test sets. Raises WeftError where there are no
    scores of it, and where variants were scored on different events.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [overall_table(scores, split), class_table(scores, split), distance_figure(judged), type_figure(judged)]
    made.append(energy_figure(judged))
    values = {name: metrics(part.events)["f1_3"].to_numpy() for name, part in judged.items()}
    svg = event_histogram("per-event", values, "F1 of an event at 3 voxels", "Distribution of F1 over events")
    made.append(Figure("per-event", "F1 of events", "Share of the events by F1 of efficiency and purity.", svg=svg))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split))
    return made


def overall_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Metrics over all classes beside the baseline."""
    tables, models = same_events(scores, split), trained(scores)
    available = set(metrics(counts(tables[models[0]])).columns)
    rows = [row for row in _OVERALL if row.name in available]
    found = counted(tables, metrics, [row.name for row in rows])
    return Figure(
        "overall",
        "All points",
        f"{events_of(tables)} of split {split}; {seeds(models)}. Efficiency: share of the true points with a predicted "
        "one of their class so near; purity: share of the predicted points with a true one. Copies: predicted points "
        "within 3 voxels of a true one that another one is nearer to; less is better there and of the distance. "
        f"Intervals: bootstrap over events, from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=quality_table(found, models, rows, _REPLICAS),
    )


def class_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Efficiency and purity of each class beside the baseline, at both marks, and missed and made-up points."""
    tables, models = same_events(scores, split), trained(scores)
    sums = {v: counts(table).sum() for v, table in tables.items()}
    found = counted(tables, metrics, [f"efficiency_3_{NAMES[c]}" for c in POINT_CLASSES])
    compared = found.differences(models, _REPLICAS)
    rows = []
    for c in POINT_CLASSES:
        true = int(sums[models[0]][f"true_{c}"])
        row: dict[str, object] = {"class": CLASS_NAMES[c], "true points": true}
        for kind, text in (("true", "efficiency"), ("pred", "purity")):
            for mark in MARKS:
                values = {v: _ratio(s[f"{kind}_{c}_{mark:g}"], s[f"{kind}_{c}"]) for v, s in sums.items()}
                row[f"{text} at {mark:g}{heading(tables)}"] = beside(values, 3)
        if compared:
            row["efficiency − baseline [95 %]"] = worst([Difference.of(d, c) for d in compared])
        rows.append(row)
    return Figure(
        "classes",
        "Classes",
        f"{events_of(tables)} of split {split}; {seeds(models)}. Shares within 3 and 10 voxels of a point of the same "
        f"class: what efficiency at 10 lacks was missed, what purity at 10 lacks was made up. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def distance_figure(scores: Mapping[str, Scores]) -> Figure:
    """Efficiency and purity of each class against the distance that counts as found."""
    edges = EDGES[1:-1]
    present = [c for c in POINT_CLASSES if any(_histograms(part, "efficiency")[:, c].sum() for part in scores.values())]
    with style():
        canvas = Canvas(figsize=(2.05 * max(len(present), 1) + 0.6, 4.4))
        panels = canvas.subplots(2, max(len(present), 1), squeeze=False, sharex=True, sharey=True)
        for row, curve in enumerate(("efficiency", "purity")):
            for axis, c in zip(panels[row], present, strict=False):
                for mark in MARKS:
                    axis.axvline(mark, color=INK, linewidth=0.7, linestyle=":", zorder=1)
                histograms = {name: _histograms(part, curve)[:, c] for name, part in reversed(list(scores.items()))}
                for name, histogram in histograms.items():
                    _draw_share(axis, histogram, edges, c, name)
                if all(histogram.sum() < _FEWEST for histogram in histograms.values()):
                    say_too_few(axis)
                if row == 0:
                    axis.set_title(CLASS_NAMES[c])
            panels[row][0].set_ylabel(curve)
        panels[0][0].set_xlim(0, _FARTHEST)
        panels[0][0].set_ylim(0, 1.03)
        if len(scores) > 1:
            lines = [Line2D([], [], color=INK), Line2D([], [], color=BASELINE_COLOR, linestyle="--")]
            panels[0][-1].legend(lines, [MODEL, BASELINE], loc="lower right")
        canvas.supxlabel("distance [voxels]", fontsize=9)
        svg = to_svg(canvas, "distance", "Efficiency and purity of each class against distance", gap=0.6)
    return Figure(
        "distance",
        "Efficiency and purity against distance",
        "Share of the true points with a predicted one of their class within a distance (above), and of the predicted "
        "points with a true one (below). Lines at 3 and 10 voxels. Bands: 95 % intervals over events.",
        svg=svg,
    )


def type_figure(scores: Mapping[str, Scores]) -> Figure:
    """Class of the nearest predicted point by true class, missed ones as a class of their own."""
    counts = {name: _confusion(part.events) for name, part in scores.items()}
    names = [CLASS_NAMES[c] for c in range(CLASSES)]
    labels = "class of the nearest predicted point", "true class"
    title = "Confusion of classes of points for the model and the baseline"
    rows, columns = names[: len(POINT_CLASSES)], [*names, "missed"]
    svg = confusion_panels("types", counts, rows, columns, labels, title, (3.9, 3.3))
    return Figure(
        "types",
        "Classes of points",
        "Per cent of the true points of a class (rows) by the class of the nearest predicted point, number of points "
        "below; missed: none within 3 voxels. The counts of all seeds are added.",
        svg=svg,
    )


def energy_figure(scores: Mapping[str, Scores]) -> Figure:
    """Efficiency at 3 voxels against what the particle left."""
    arrays = {}
    for name, part in scores.items():
        objects = part.objects[part.objects["kind"] == TRUE]
        found = (objects["distance"] <= MARKS[0]).to_numpy(np.float64)
        columns = np.ones(len(objects)), found
        arrays[name] = by_energy(part.events, objects, "energy_deposit", "class", columns, len(POINT_CLASSES))
    label = "energy left by the particle [MeV]"
    return Figure(
        "energy",
        "Efficiency against the energy left by the particle",
        "Share of the true points with a predicted one of their class within 3 voxels, by the energy that their "
        f"particle left; bins of fewer than {_FEWEST} points are left out. Bands: 95 % intervals over events.",
        svg=ratio_panels(arrays, ENERGY_EDGES, label, "efficiency", _FEWEST),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same models on every split that was scored, without training them again."""
    columns = [(name, metric_label(name)) for name in ("f1_3", "efficiency_3", "purity_3")]
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {seeds(trained(scores))}. Marks at 3 "
        f"voxels. Intervals: bootstrap over events. {DIFFERENCE}",
        table=shift_rows(scores, nominal, metrics, columns, _REPLICAS),
    )


def _histograms(scores: Scores, curve: str) -> np.ndarray:
    """Points by event, class and bin of distance: float [E, C, bins]."""
    rows = scores.curves[scores.curves["curve"] == curve]
    return binned(
        np.unique(scores.events["uid"]),
        rows["uid"].to_numpy(),
        rows["label"].to_numpy(),
        rows["bin"].to_numpy(),
        (rows["n"].to_numpy(),),
        len(POINT_CLASSES),
        N_BINS,
    )[..., 0]


def _draw_share(axis: Axes, histogram: np.ndarray, edges: np.ndarray, c: int, name: str) -> None:
    if histogram.sum() < _FEWEST:
        return
    interval = bootstrap(histogram, share_within, _REPLICAS)
    color = BASELINE_COLOR if name == BASELINE else CLASS_COLORS[c]
    axis.fill_between(edges, interval.low, interval.high, color=color, alpha=0.2, lw=0)
    axis.plot(edges, interval.value, "--" if name == BASELINE else "-", color=color)


def _confusion(events: pd.DataFrame) -> np.ndarray:
    """Points by true class and class of the nearest predicted one within 3 voxels, missed last: [4, 6]."""
    sums = counts(events).sum()
    found = np.array([[sums[f"type_{i}{j}"] for j in range(CLASSES)] for i in POINT_CLASSES])
    total = np.array([sums[f"true_{i}"] for i in POINT_CLASSES])
    return np.concatenate([found, (total - found.sum(axis=1))[:, None]], axis=1)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
