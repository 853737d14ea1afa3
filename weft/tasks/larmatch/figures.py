"""Figures of the LArMatch report, from score tables alone.

Curves of a model add the counts of all its seeds; bands are 95 % bootstrap intervals over events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from weft.config import BASELINE
from weft.io.products import LOW_ENERGY
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores, counts
from weft.metrics.separation import SCORE_EDGES, average_precision, kept, roc_auc
from weft.metrics.shares import share
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import INK, RULE, SERIES_COLORS, style, to_svg
from weft.report.ratio_panels import ENERGY_EDGES, by_energy, ratio_panels
from weft.report.reliability import reliability_diagram
from weft.report.variants import MODEL, color_of, pooled, select, splits_of
from weft.tasks.larmatch.counting import DISTANCE_BINS, DISTANCE_EDGES, THRESHOLDS
from weft.tasks.larmatch.event_curves import ALL_GHOSTS, RATIO_GHOSTS
from weft.tasks.larmatch.head_figures import affinity_figure, confusion_figure
from weft.tasks.larmatch.head_tables import class_table, key_point_table
from weft.tasks.larmatch.options import Options
from weft.tasks.larmatch.part_views import slice_figure, slice_table
from weft.tasks.larmatch.quality_tables import bounds_table, charge_table, overall_table, shift_table
from weft.tasks.larmatch.score import calibration, classes_of, histograms, metrics
from weft.tasks.larmatch.without_training import agreement_counts, ghost_distances

_REPLICAS = 300
_FEWEST = 50  # triplets of a bin that is drawn
_GRID = np.concatenate([[0.005, 0.01, 0.02], np.linspace(0.04, 0.96, 47), np.linspace(0.97, 1.0, 7)])
CHARGE, ALL, AT_MOST = "charge agreement", "all candidates", "at most"
_COLORS = {CHARGE: SERIES_COLORS[1], ALL: SERIES_COLORS[5], AT_MOST: INK}


def figures(scores: Mapping[str, Scores], split: str, options: Options) -> list[Figure]:
    """Figures and tables of the report, from the scores of each variant.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline.
    split: the one that models are judged by; further ones are shifted test sets. Raises WeftError where there are no
    scores of it, and where variants were scored on different events.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [
        overall_table(scores, split),
        bounds_table(scores, split),
        curve_figure(judged),
        charge_table(scores, split),
    ]
    made += [threshold_figure(judged, options.data.min_score), distance_figure(judged), calibration_figure(judged)]
    made += [event_figure(judged), slice_figure(judged), slice_table(judged)]
    if all((part.objects["energy_deposit"] > 0).any() for part in judged.values()):
        made.append(energy_figure(judged))
    classes = classes_of(judged[MODEL].events)
    if classes:
        made.append(confusion_figure(judged, classes))
    if "angle_0" in judged[MODEL].events:
        made.append(affinity_figure(judged))
    made += [table for table in (class_table(scores, split), key_point_table(scores, split)) if table is not None]
    if len(splits_of(scores, split)) > 1:
        made.append(shift_table(scores, split))
    return made


def curve_figure(judged: Mapping[str, Scores]) -> Figure:
    """Share of the ghosts that stay, and purity, against the share of the good triplets that stay."""
    drawn = {name: np.stack(histograms(part.events), axis=1) for name, part in judged.items()}
    drawn[CHARGE] = _agreement(judged)
    with style():
        canvas = Canvas(figsize=(8.4, 3.6))
        roc, precision = canvas.subplots(1, 2)
        roc.plot([0, 1], [0, 1], color=RULE, linewidth=1.2, zorder=1)
        for name, array in reversed(list(drawn.items())):
            interval = bootstrap(array, _curves, _REPLICAS)
            total = array.sum(axis=0)
            areas = float(roc_auc(total[0], total[1])), float(average_precision(total[0], total[1]))
            label = f"{name}: {areas[0]:.3f}, {areas[1]:.3f}"
            for k, axis in enumerate((roc, precision)):
                value, low, high = (part[k] for part in (interval.value, interval.low, interval.high))
                look: dict[str, Any] = {"color": _color(name), "alpha": 0.2, "linewidth": 0}
                if k == 0:  # ghosts to the right, good triplets up
                    axis.fill_betweenx(_GRID, low, high, **look)
                    axis.plot(value, _GRID, **_line(name))
                else:
                    axis.fill_between(_GRID, low, high, **look)
                    axis.plot(_GRID, value, **_line(name), label=label)
        total = drawn[MODEL].sum(axis=(0, 2))
        share = total[0] / max(total.sum(), 1)
        precision.axhline(share, color=RULE, linewidth=1.2, zorder=1)
        precision.plot(
            [1], [share], "D", color=_COLORS[ALL], markersize=5, label=f"{ALL}: 0.5, {share:.3f}", clip_on=False
        )
        _mark_thresholds(roc, precision, drawn[MODEL].sum(axis=0))
        roc.set_xlabel("share of the ghosts that stay")
        roc.set_ylabel("share of the good triplets that stay")
        precision.set_xlabel("share of the good triplets that stay")
        precision.set_ylabel("purity")
        for axis in (roc, precision):
            axis.set_xlim(0, 1)
            axis.set_ylim(0, 1.02)
        handles, labels = precision.get_legend_handles_labels()
        canvas.legend(handles[-2::-1] + handles[-1:], labels[-2::-1] + labels[-1:], loc="upper center", ncols=4,
                      bbox_to_anchor=(0.5, 0.03))  # fmt: skip
        svg = to_svg(canvas, "separation", "ROC and precision-recall curves of model and baselines", gap=2)
    return Figure(
        "separation",
        "ROC and precision-recall",
        "Of good candidates and ghosts, with the areas below both curves. Baseline: what is known of a triplet by "
        "itself. Charge agreement: the smallest of its charges over the largest. Circles: scores of 0.2, 0.3 and 0.5 "
        "of the model. Straight ends: triplets that were not written for their low score, taken as tied.",
        svg=svg,
    )


def _mark_thresholds(roc: Axes, precision: Axes, total: np.ndarray) -> None:
    cut = kept(total[0], total[1])
    for t in THRESHOLDS:
        at = int(np.searchsorted(SCORE_EDGES, np.float32(t)))
        good, bad = cut.good[at], cut.bad[at]
        if good and cut.bad[0]:
            looks: dict[str, Any] = {"color": _color(MODEL), "markersize": 4.5, "markerfacecolor": "none"}
            roc.plot([bad / cut.bad[0]], [good / cut.good[0]], "o", **looks)
            precision.plot([good / cut.good[0]], [good / (good + bad)], "o", **looks)


def _curves(sums: np.ndarray) -> np.ndarray:
    """[R, 2, bins] → [R, 2, grid]: share of the ghosts that stay, and purity, at shares of the good ones."""
    cut = kept(sums[:, 0], sums[:, 1])
    made = np.full((len(sums), 2, len(_GRID)), np.nan)
    for r, (good, bad) in enumerate(zip(cut.good[:, ::-1], cut.bad[:, ::-1], strict=True)):
        if good[-1] > 0:
            left = np.interp(_GRID * good[-1], good, bad)
            made[r, 0] = left / bad[-1] if bad[-1] > 0 else np.nan
            made[r, 1] = _GRID * good[-1] / (_GRID * good[-1] + left)
    return made


def threshold_figure(judged: Mapping[str, Scores], min_score: float) -> Figure:
    """Efficiency and purity of what has at least some score."""
    with style():
        canvas = Canvas(figsize=(8.0, 3.1))
        axes = canvas.subplots(1, 2)
        shown = SCORE_EDGES[:-1] >= np.float32(min_score)
        x = SCORE_EDGES[:-1][shown]
        for name, part in reversed(list(judged.items())):
            interval = bootstrap(np.stack(histograms(part.events), axis=1), _above, _REPLICAS)
            for k, axis in enumerate(axes):
                low, high, value = (a[k][shown] for a in (interval.low, interval.high, interval.value))
                axis.fill_between(x, low, high, color=_color(name), alpha=0.2, linewidth=0)
                axis.plot(x, value, **_line(name), label=name)
        for axis, text in zip(axes, ("efficiency, of good candidates", "purity"), strict=True):
            for t in THRESHOLDS:
                axis.axvline(t, color=RULE, linewidth=1.0, zorder=1)
            axis.set_xlim(0, 1)
            axis.set_ylim(0, 1.02)
            axis.set_xlabel("smallest score that is kept")
            axis.set_ylabel(text)
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].legend(handles[::-1], labels[::-1], loc="lower left")
        svg = to_svg(canvas, "thresholds", "Efficiency and purity against the smallest score that is kept", gap=2)
    return Figure(
        "thresholds",
        "Efficiency and purity against the threshold",
        (f"Scores below {min_score:g} are not written. " if min_score > 0 else "") + "Lines: 0.2, 0.3 and 0.5.",
        svg=svg,
    )


def _above(sums: np.ndarray) -> np.ndarray:
    """[R, 2, bins] → [R, 2, bins]: efficiency and purity from each lower edge on."""
    cut = kept(sums[:, 0], sums[:, 1])
    good, bad = cut.good[:, :-1], cut.bad[:, :-1]
    return np.stack([share(good, good[:, :1]), share(good, good + bad)], axis=1)


def distance_figure(judged: Mapping[str, Scores]) -> Figure:
    """How far ghosts are from true charge, and the best candidate of a pixel from the true one."""
    uids = np.unique(judged[MODEL].events["uid"])
    curves = judged[MODEL].curves
    seeds = max(1, len(judged[MODEL].events) // max(len(uids), 1))
    ghosts = {ALL: ghost_distances(_one_seed(curves, seeds), uids, ALL_GHOSTS)}
    ghosts[CHARGE] = ghost_distances(_one_seed(curves, seeds), uids, RATIO_GHOSTS)
    ghosts |= {name: _distances(part.events, "ghost_distance") for name, part in reversed(list(judged.items()))}
    best = {AT_MOST: _distances(judged[MODEL].events, "best_at_most")}
    best |= {name: _distances(part.events, "best") for name, part in reversed(list(judged.items()))}
    titles = "from a kept ghost to true charge [cm]", "from the best candidate of a pixel to the true one [cm]"
    with style():
        canvas = Canvas(figsize=(8.4, 3.3))
        axes = canvas.subplots(1, 2)
        for axis, drawn, title in zip(axes, (ghosts, best), titles, strict=True):
            for name, array in drawn.items():
                _draw_shares(axis, array, name)
            axis.set_xscale("log")
            axis.set_xlim(0.03, 100)
            axis.set_ylim(0, 1.02)
            axis.set_xlabel("distance " + title)
            axis.set_ylabel("share within")
            handles, labels = axis.get_legend_handles_labels()
            axis.legend(handles[::-1], labels[::-1], loc="lower right")
        svg = to_svg(canvas, "distances", "Distances of ghosts and of best candidates from the truth", gap=2)
    return Figure(
        "distances",
        "Distances from the truth",
        "Left: ghosts with a score of at least 0.5, those of three live wires whose charges agree to a factor of two, "
        "and all. Right: for "
        "each good triplet the candidate with the highest score on its pixel of the last plane; curves begin with the "
        "share where that is the true one, and end below 1 where no candidate was written. At most: of a score that "
        "is always right, highest for the one with most electrons; where a pixel has several good candidates, all but "
        "one are missed.",
        svg=svg,
    )


def _one_seed(curves: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """Rows that say nothing of a model are the same in all seeds: those of the first."""
    return curves.drop_duplicates(["uid", "curve", "part", "bin"]) if seeds > 1 else curves


def _agreement(judged: Mapping[str, Scores]) -> np.ndarray:
    part = judged[MODEL]
    uids = np.unique(part.events["uid"])
    return agreement_counts(_one_seed(part.curves, len(part.events) // max(len(uids), 1)), uids)


def _distances(events: pd.DataFrame, name: str) -> np.ndarray:
    return events[[f"{name}_{k}" for k in range(DISTANCE_BINS)]].to_numpy(np.float64)


def _draw_shares(axis: Axes, array: np.ndarray, name: str) -> None:
    if array.sum() < _FEWEST:
        return
    interval = bootstrap(array, _share_within, _REPLICAS)
    x = DISTANCE_EDGES[1:]
    axis.fill_between(x, interval.low, interval.high, color=_color(name), alpha=0.2, linewidth=0)
    axis.plot(x, interval.value, **_line(name), label=name)


def _share_within(sums: np.ndarray) -> np.ndarray:
    """[R, bins] → [R, bins − 1]: share within each upper edge but that of the last bin, which has none."""
    return share(np.cumsum(sums, axis=1)[:, :-1], sums.sum(axis=1, keepdims=True))


def calibration_figure(judged: Mapping[str, Scores]) -> Figure:
    """How many of the triplets with some score are good."""
    bins = {}
    for name, part in judged.items():
        n, good, total = (column.sum(axis=0) for column in calibration(part.events))
        bins[name] = n, good, total
    title = "Share of good triplets against their score"
    svg = reliability_diagram("calibration", bins, "triplets", "good triplets", "score", title, _FEWEST, 3)
    return Figure(
        "calibration",
        "Calibration",
        "A calibrated score is the share of good triplets among those that have it (the diagonal). Error: expected "
        "calibration error, the mean distance from the diagonal over triplets that were written.",
        svg=svg,
    )


def event_figure(judged: Mapping[str, Scores]) -> Figure:
    """Distribution of the average precision over events."""
    values = {
        name: metrics(counts(part.events))["average_precision"].to_numpy(np.float64) for name, part in judged.items()
    }
    svg = event_histogram("per-event", values, "average precision of an event", "Average precision over events")
    caption = (
        "Share of the events by the average precision of their triplets; events below the axis are in its first bin."
    )
    return Figure("per-event", "Average precision of events", caption, svg=svg)


def energy_figure(judged: Mapping[str, Scores]) -> Figure:
    """Share of the good triplets of particles that is kept, by the energy that the particle left."""
    arrays = {}
    for name, part in judged.items():
        columns = [part.objects[column].to_numpy(np.float64) for column in ("n_good", "n_50")]
        arrays[name] = by_energy(part.events, part.objects, "energy_deposit", "shape", columns, LOW_ENERGY + 1)
    return Figure(
        "energy",
        "Efficiency against the energy left by the particle",
        "Share of the good candidates with a score of at least 0.5, by the particle that most of their electrons come "
        f"from and by its energy; bins of fewer than {_FEWEST} candidates are left out. Bands: 95 % intervals over "
        "events.",
        svg=ratio_panels(arrays, ENERGY_EDGES, "energy left by the particle [MeV]", "efficiency at 0.5", _FEWEST),
    )


def _color(name: str) -> str:
    return _COLORS.get(name) or color_of(name)


def _line(name: str) -> dict[str, Any]:
    dashes = {BASELINE: "--", CHARGE: "-.", ALL: ":", AT_MOST: ":"}
    return {"color": _color(name), "linestyle": dashes.get(name, "-"), "linewidth": 1.6 if name == MODEL else 1.3}
