"""Figures and tables of the space-points report, from score tables alone.

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
from weft.io.larmatch_products import KEY_POINT_KINDS as KINDS
from weft.io.larmatch_products import KEY_POINT_NAMES
from weft.metrics.binned import quantile
from weft.metrics.bootstrap import bootstrap
from weft.metrics.points import share_within
from weft.metrics.scores import Scores, counts
from weft.report.comparison import metric_label
from weft.report.confusion import confusion_panels
from weft.report.figure import Figure
from weft.report.palette import BASELINE_COLOR, INK, SERIES_COLORS, style, to_svg
from weft.report.quality import LESS, NEITHER, Quality, counted, events_of, quality_table, shift_rows
from weft.report.ratio_panels import binned, say_too_few
from weft.report.variants import (
    DIFFERENCE,
    MODEL,
    beside,
    envelope,
    heading,
    pooled,
    same_events,
    seeds,
    select,
    spread,
    trained,
)
from weft.tasks.space_points.score import EDGES, FALSE, FOUND, MARKS, N_BINS, SAME, STAGES, SUFFIXES, TRUE, metrics

_REPLICAS = 400
_FEWEST = 10  # key points of a curve that is drawn
_FARTHEST = 12.0  # cm, end of the axis of distance
#: Metrics of the first table.
_KEY_POINTS = (
    Quality("f1_within_3cm", "F1 within 3 cm"),
    *(Quality(f"efficiency_within_{mark}cm", f"efficiency within {mark} cm") for mark in MARKS),
    *(Quality(f"purity_within_{mark}cm", f"purity within {mark} cm") for mark in MARKS),
    Quality("false_rate", f"false: none of its kind within {FALSE} cm", LESS),
    Quality("any_efficiency_within_3cm", "efficiency within 3 cm, whatever kind"),
    Quality("any_purity_within_3cm", "purity within 3 cm, whatever kind"),
    Quality("median_distance", f"median distance of what was found within {MARKS[-1]} cm [cm]", LESS),
    Quality("found_per_event", "key points per event", NEITHER),
    Quality("false_per_event", "false ones per event", LESS),
    Quality("at_vertex", f"found within {FALSE} cm of a neutrino vertex, for each", NEITHER),
)
_CLOUD = {
    "point_efficiency": "good triplets that are space points",
    "point_purity": "good ones among space points",
    "ghost_rejection": "ghosts that are no space points",
    "electron_completeness": "electrons at space points, of all that arrived",
}

_STAGES = {
    "all": "all candidates",
    "possible": "one of each pixel, at most",
    "cut": "above the cut",
    "kept": "space points",
}


def figures(scores: Mapping[str, Scores], split: str) -> list[Figure]:
    """Figures and tables of the report, from the scores of each variant.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline.
    split: the one that models are judged by; further ones are shifted test sets. Raises WeftError where there are no
    scores of it, and where variants were scored on different events.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = []
    if f"{TRUE}_{KINDS[0]}" in judged[MODEL].events:
        made += [overall_table(scores, split), kind_table(scores, split)]
        made += [distance_figure(judged), kind_figure(judged)]
    made.append(cloud_table(scores, split))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split))
    return made


def overall_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Metrics of the key points of all kinds beside the baseline."""
    tables, models = same_events(scores, split), trained(scores)
    found = counted(tables, metrics, [row.name for row in _KEY_POINTS])
    return Figure(
        "key-points",
        "Key points of all kinds",
        f"{events_of(tables)} of split {split}; {seeds(models)}. Efficiency: share of the true key points with a found "
        "one of their kind, of their own, so near; purity: share of the found ones with a true one. True ones of a "
        f"kind within {SAME} cm of each other count as one. Intervals: bootstrap over events, "
        f"from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=quality_table(found, models, _KEY_POINTS, _REPLICAS),
    )


def kind_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Efficiency at each distance, false rate, numbers and distance of each kind beside the baseline."""
    tables, models = same_events(scores, split), trained(scores)
    sums = {v: counts(table).sum() for v, table in tables.items()}
    histograms = {v: _histograms(select(scores[v], split), TRUE).sum(axis=0) for v in tables}
    names = [f"efficiency_within_3cm_{kind}" for kind in KINDS]
    intervals = counted(tables, metrics, names).intervals(models, _REPLICAS)
    near = EDGES[1:] <= MARKS[-1]
    rows = []
    for k, kind in enumerate(KINDS):
        row: dict[str, object] = {"kind": KEY_POINT_NAMES[kind], "true": int(sums[models[0]][f"{TRUE}_{kind}"])}
        for mark in MARKS:
            values = {v: _ratio(s[f"{TRUE}_{kind}_{mark}"], s[f"{TRUE}_{kind}"]) for v, s in sums.items()}
            row[f"efficiency {mark} cm{heading(tables)}"] = beside(values, 3)
        row["[95 %] at 3 cm"] = envelope(intervals, k)
        values = {v: 1 - _ratio(s[f"{FOUND}_{kind}_{FALSE}"], s[f"{FOUND}_{kind}"]) for v, s in sums.items()}
        row[f"false{heading(tables)}"] = beside(values, 3)
        values = {v: _ratio(s[f"{FOUND}_{kind}"], s["n_events"]) for v, s in sums.items()}
        row[f"per event{heading(tables)}"] = beside(values, 2)
        values = {v: float(quantile(h[k, near], EDGES[: near.sum() + 1], 0.5)) for v, h in histograms.items()}
        row[f"median distance [cm]{heading(tables)}"] = beside(values, 2)
        values = {v: _ratio(s[f"vertex_{kind}"], s[f"{TRUE}_nu_vertex"]) for v, s in sums.items()}
        row[f"at a vertex{heading(tables)}"] = beside(values, 2)
        rows.append(row)
    return Figure(
        "kinds",
        "Kinds of key points",
        f"{events_of(tables)} of split {split}; {seeds(models)}. False: none of their kind within {FALSE} cm. Median "
        f"distance: of true key points to the found ones of their kind, up to {MARKS[-1]} cm. At a vertex: found "
        f"within {FALSE} cm of a true neutrino vertex, for each vertex.",
        table=pd.DataFrame(rows),
    )


def distance_figure(scores: Mapping[str, Scores]) -> Figure:
    """Efficiency and purity of each kind against the distance that counts as found."""
    curves = {side: {name: _histograms(part, side) for name, part in scores.items()} for side in (TRUE, FOUND)}
    present = [k for k in range(len(KINDS)) if any(h[:, k].sum() for c in curves.values() for h in c.values())]
    columns = max(len(present), 1)
    with style():
        canvas = Canvas(figsize=(1.65 * columns + 0.6, 4.4))
        panels = canvas.subplots(2, columns, squeeze=False, sharex=True, sharey=True)
        for row, (side, name) in enumerate(((TRUE, "efficiency"), (FOUND, "purity"))):
            for axis, k in zip(panels[row], present, strict=False):
                for mark in MARKS:
                    axis.axvline(mark, color=INK, linewidth=0.7, linestyle=":", zorder=1)
                for variant, histogram in reversed(list(curves[side].items())):
                    _draw_share(axis, histogram[:, k], SERIES_COLORS[k], variant)
                if all(histogram[:, k].sum() < _FEWEST for histogram in curves[side].values()):
                    say_too_few(axis)
                if row == 0:
                    axis.set_title(KEY_POINT_NAMES[KINDS[k]])
            panels[row][0].set_ylabel(name)
        panels[0][0].set_xlim(0, _FARTHEST)
        panels[0][0].set_ylim(0, 1.03)
        if len(scores) > 1:
            lines = [Line2D([], [], color=INK), Line2D([], [], color=BASELINE_COLOR, linestyle="--")]
            panels[0][-1].legend(lines, [MODEL, BASELINE], loc="lower right")
        canvas.supxlabel("distance [cm]", fontsize=9)
        svg = to_svg(canvas, "distance", "Efficiency and purity of each kind of key points against distance", gap=0.6)
    return Figure(
        "distance",
        "Efficiency and purity against distance",
        "Share of the true key points with a found one of their kind within a distance (above), and of the found ones "
        f"with a true one (below). Lines at {', '.join(map(str, MARKS[:-1]))} and {MARKS[-1]} cm. Bands: 95 % "
        f"intervals over events; kinds of fewer than {_FEWEST} key points are left out.",
        svg=svg,
    )


def kind_figure(scores: Mapping[str, Scores]) -> Figure:
    """What was found at true key points of each kind, missed ones as a kind of their own."""
    shape = len(KINDS), len(KINDS) + 1
    matrices = {}
    for name, part in scores.items():
        true = part.objects[part.objects["side"] == TRUE]
        called = np.where(true["distance_any"] <= MARKS[1], true["kind_any"], len(KINDS))
        called = np.where(true["distance"] <= MARKS[1], true["kind"], called).astype(np.int64)
        pairs = true["kind"].to_numpy(np.int64) * shape[1] + called
        matrices[name] = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
    names = [KEY_POINT_NAMES[kind] for kind in KINDS]
    svg = confusion_panels(
        "kinds", matrices, names, [*names, "missed"], ("kind of what was found", "true kind"),
        "Confusion of kinds of key points for the model and the baseline", (4.6, 3.8),
    )  # fmt: skip
    return Figure(
        "confusion",
        "Kinds told apart",
        f"Per cent of the true key points of a kind (rows) by what was found within {MARKS[1]} cm: one of their kind, "
        "else one of any, else they were missed; number below. The counts of all seeds are added.",
        svg=svg,
    )


def cloud_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Good triplets and ghosts before and after the cut and the choice of the best of each pixel."""
    tables, models = same_events(scores, split), trained(scores)
    sums = {v: counts(tables[v]).sum() for v in models}
    first = sums[models[0]]
    states = [state for state in ("good", "ghost", "unknown") if first[f"{state}_all"]]
    chosen = any(first[f"{state}_possible"] != first[f"{state}_all"] for state in states)
    stages = {stage: text for stage, text in _STAGES.items() if chosen or stage != "possible"}
    names = [f"{name}{SUFFIXES[stage]}" for stage in stages for name in _CLOUD]
    found = counted({v: tables[v] for v in models}, metrics, names)
    values, intervals = found.pooled(), found.intervals(models, _REPLICAS)
    rows = []
    for s, (stage, text) in enumerate(stages.items()):
        row: dict[str, object] = {"triplets": text}
        for state in states:
            row[f"{state} per event"] = spread([one[f"{state}_{stage}"] / one["n_events"] for one in sums.values()], 1)
        for k, name in enumerate(_CLOUD):
            at = s * len(_CLOUD) + k
            row[metric_label(name)] = beside({v: values[v][at] for v in models}, 3, intervals, at)
        rows.append(row)
    explained = "; ".join(f"{metric_label(name)}: {label}" for name, label in _CLOUD.items())
    possible = (
        " One of each pixel, at most: what a choice of the best candidate of each pixel keeps that knows the truth; "
        "several of a pixel can be good."
    )
    return Figure(
        "cloud",
        "From candidates to space points",
        f"{events_of(tables)} of split {split}; {seeds(models)}. Good: enough electrons arrived where the three wires "
        f"meet. {explained}.{possible if chosen else ''} Above the cut: {STAGES['cut']}; space points: these, and of "
        "each pixel of a plane only the best where model.best_per_pixel names one. Intervals: bootstrap over events.",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same on every split that was scored, without training anything again."""
    every = metrics(counts(next(iter(scores.values())).events).sum().to_frame().T).columns
    names = [name for name in ("f1_within_3cm", "efficiency_within_3cm", "purity_within_3cm") if name in every]
    columns = [(name, metric_label(name)) for name in (*names, "point_efficiency", "point_purity")]
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {seeds(trained(scores))}. Intervals: "
        f"bootstrap over events. {DIFFERENCE}",
        table=shift_rows(scores, nominal, metrics, columns, _REPLICAS),
    )


def _histograms(scores: Scores, side: str) -> np.ndarray:
    """Key points by event, kind and bin of distance: float [E, kinds, bins]."""
    rows = scores.curves[scores.curves["side"] == side]
    return binned(
        np.unique(scores.events["uid"]),
        rows["uid"].to_numpy(),
        rows["kind"].to_numpy(),
        rows["bin"].to_numpy(),
        (rows["n"].to_numpy(),),
        len(KINDS),
        N_BINS,
    )[..., 0]


def _draw_share(axis: Axes, histogram: np.ndarray, color: str, variant: str) -> None:
    if histogram.sum() < _FEWEST:
        return
    interval = bootstrap(histogram, share_within, _REPLICAS)
    color, line = (BASELINE_COLOR, "--") if variant == BASELINE else (color, "-")
    axis.fill_between(EDGES[1:-1], interval.low, interval.high, color=color, alpha=0.2, lw=0)
    axis.plot(EDGES[1:-1], interval.value, line, color=color)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
