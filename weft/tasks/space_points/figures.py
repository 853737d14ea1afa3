"""Figures and tables of the space-points report, from score tables alone.

Curves of a model add the counts of all its seeds; bands are 95 % bootstrap intervals over events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from weft.config import BASELINE
from weft.io.larmatch_products import KEY_POINT_KINDS as KINDS
from weft.metrics.binned import quantile
from weft.metrics.bootstrap import bootstrap
from weft.metrics.points import share_within
from weft.metrics.scores import Scores, counts
from weft.report.comparison import Difference, metric_label, verdict
from weft.report.confusion import confusion_panels
from weft.report.figure import Figure
from weft.report.palette import BASELINE_COLOR, INK, SERIES_COLORS, style, to_svg
from weft.report.ratio_panels import binned, say_too_few
from weft.report.variants import (
    DIFFERENCE,
    MISSING,
    MODEL,
    beside,
    differences,
    envelope,
    heading,
    number,
    pooled,
    same_events,
    seeds,
    select,
    signed,
    splits_of,
    spread,
    trained,
    worst,
)
from weft.tasks.space_points.score import EDGES, FALSE, FOUND, MARKS, N_BINS, SAME, STAGES, TRUE, metrics

#: As a reader knows the kinds.
NAMES: Mapping[str, str] = {
    "nu_vertex": "neutrino vertex",
    "track_start": "track start",
    "track_end": "track end",
    "shower_start": "shower start",
    "michel": "Michel electron",
    "delta": "delta ray",
}
_REPLICAS = 400
_FEWEST = 10  # key points of a curve that is drawn
_FARTHEST = 12.0  # cm, end of the axis of distance
_MORE, _LESS, _NEITHER = 1, -1, 0
#: Metrics of the first table, and whether more is better.
_KEY_POINTS = {
    "f1_within_3cm": ("F1 within 3 cm", _MORE),
    **{f"efficiency_within_{mark}cm": (f"efficiency within {mark} cm", _MORE) for mark in MARKS},
    **{f"purity_within_{mark}cm": (f"purity within {mark} cm", _MORE) for mark in MARKS},
    "false_rate": (f"false: none of its kind within {FALSE} cm", _LESS),
    "any_efficiency_within_3cm": ("efficiency within 3 cm, whatever kind", _MORE),
    "any_purity_within_3cm": ("purity within 3 cm, whatever kind", _MORE),
    "median_distance": (f"median distance of what was found within {MARKS[-1]} cm [cm]", _LESS),
    "found_per_event": ("key points per event", _NEITHER),
    "false_per_event": ("false ones per event", _LESS),
    "at_vertex": (f"found within {FALSE} cm of a neutrino vertex, for each", _NEITHER),
}
_CLOUD = {
    "point_efficiency": "good triplets that are space points",
    "point_purity": "good ones among space points",
    "ghost_rejection": "ghosts that are no space points",
    "electron_completeness": "electrons at space points, of all that arrived",
}

_STAGES = {"all": "all candidates", "cut": "above the cut", "kept": "space points"}

Metric = Callable[[np.ndarray], np.ndarray]


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
    arrays, metric = _counted(tables, list(_KEY_POINTS))
    values = {v: metric(a.sum(axis=0)[None])[0] for v, a in arrays.items()}
    intervals = [bootstrap(arrays[v], metric, _REPLICAS) for v in models]
    compared = differences(arrays, models, metric)
    rows = []
    for k, (text, better) in enumerate(_KEY_POINTS.values()):
        row: dict[str, object] = {"metric": text, "model": spread([values[v][k] for v in models])}
        row["95 % interval"] = envelope(intervals, k)
        if compared:
            row["baseline"] = number(values[BASELINE][k])
            found = [Difference.of(d, k) for d in compared]
            row["model − baseline [95 %]"] = worst(found)
            turned = [Difference(-d.value, -d.high, -d.low) for d in found]
            row["verdict"] = {_MORE: verdict(found), _LESS: verdict(turned), _NEITHER: MISSING}[better]
        rows.append(row)
    return Figure(
        "key-points",
        "Key points of all kinds",
        f"{_events(tables)} of split {split}; {seeds(models)}. Efficiency: share of the true key points with a found "
        "one of their kind, of their own, so near; purity: share of the found ones with a true one. True ones of a "
        f"kind within {SAME} cm of each other count as one. Intervals: bootstrap over events, "
        f"from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def kind_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Efficiency at each distance, false rate, numbers and distance of each kind beside the baseline."""
    tables, models = same_events(scores, split), trained(scores)
    sums = {v: counts(table).sum() for v, table in tables.items()}
    histograms = {v: _histograms(select(scores[v], split), TRUE).sum(axis=0) for v in tables}
    names = [f"efficiency_within_3cm_{kind}" for kind in KINDS]
    arrays, metric = _counted(tables, names)
    intervals = [bootstrap(arrays[v], metric, _REPLICAS) for v in models]
    near = EDGES[1:] <= MARKS[-1]
    rows = []
    for k, kind in enumerate(KINDS):
        row: dict[str, object] = {"kind": NAMES[kind], "true": int(sums[models[0]][f"{TRUE}_{kind}"])}
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
        f"{_events(tables)} of split {split}; {seeds(models)}. False: none of their kind within {FALSE} cm. Median "
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
                    axis.set_title(NAMES[KINDS[k]])
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
    names = [NAMES[kind] for kind in KINDS]
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
    rows = []
    arrays, metric = _counted(tables, [f"{name}{suffix}" for suffix in ("_cut", "") for name in _CLOUD])
    intervals = [bootstrap(arrays[v], metric, _REPLICAS) for v in models]
    values = {v: metric(a.sum(axis=0)[None])[0] for v, a in arrays.items()}
    sums = {v: counts(tables[v]).sum() for v in models}
    states = [state for state in ("good", "ghost", "unknown") if sums[models[0]][f"{state}_all"]]
    for stage, text in _STAGES.items():
        row: dict[str, object] = {"triplets": text}
        for state in states:
            per_event = [s[f"{state}_{stage}"] / s["n_events"] for s in sums.values()]
            row[f"{state} per event"] = spread(per_event, 1)
        for k, name in enumerate(_CLOUD):
            column = metric_label(name)
            if stage == "all":
                s = sums[models[0]]
                whole = {"point_efficiency": 1.0, "ghost_rejection": 0.0}
                whole["point_purity"] = _ratio(s["good_all"], s["good_all"] + s["ghost_all"])
                whole["electron_completeness"] = _ratio(s["electrons_all"], s["electrons"])
                row[column] = number(whole[name], 3)
            else:
                at = k + (0 if stage == "cut" else len(_CLOUD))
                row[column] = f"{spread([values[v][at] for v in models], 3)} {envelope(intervals, at)}"
        rows.append(row)
    explained = "; ".join(f"{metric_label(name)}: {label}" for name, label in _CLOUD.items())
    return Figure(
        "cloud",
        "From candidates to space points",
        f"{_events(tables)} of split {split}; {seeds(models)}. Good: enough electrons arrived where the three wires "
        f"meet. {explained}. Above the cut: {STAGES['cut']}; space points: these, and of each pixel of a plane only "
        "the best where model.best_per_pixel names one. Intervals: bootstrap over events.",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same on every split that was scored, without training anything again."""
    models = trained(scores)
    every = metrics(counts(scores[models[0]].events).sum().to_frame().T).columns
    names = [name for name in ("f1_within_3cm", "efficiency_within_3cm", "purity_within_3cm") if name in every]
    names += ["point_efficiency", "point_purity"]
    rows = []
    reference = np.nan
    for split in splits_of(scores, nominal):
        tables = same_events(scores, split)
        arrays, metric = _counted(tables, names)
        values = {v: metric(a.sum(axis=0)[None])[0] for v, a in arrays.items()}
        row: dict[str, object] = {"split": split, "events": len(next(iter(tables.values())))}
        for k, name in enumerate(names):
            row[metric_label(name) + heading(tables)] = beside({v: value[k] for v, value in values.items()}, 3)
        mean = float(np.mean([values[v][0] for v in models]))
        reference = mean if split == nominal else reference
        row[f"{metric_label(names[0])} against {nominal}"] = MISSING if split == nominal else signed(mean - reference)
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {seeds(models)}.",
        table=pd.DataFrame(rows),
    )


def _counted(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> tuple[dict[str, np.ndarray], Metric]:
    """Counts per event [E, columns] of each variant, and the metrics of these names [R, names] of summed counts."""
    frames = {v: counts(table) for v, table in tables.items()}
    columns = next(iter(frames.values())).columns

    def metric(sums: np.ndarray) -> np.ndarray:
        return metrics(pd.DataFrame(sums, columns=columns))[list(names)].to_numpy(np.float64)

    return {v: frame[columns].to_numpy(np.float64) for v, frame in frames.items()}, metric


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


def _events(tables: Mapping[str, pd.DataFrame]) -> str:
    return f"{len(next(iter(tables.values())))} events"
