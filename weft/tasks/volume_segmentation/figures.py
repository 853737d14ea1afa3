"""Figures of the report of segmented stacks, from score tables alone.

Curves of a model add the counts of all its seeds; shaded bands are 95 % bootstrap intervals over stacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from weft.config import BASELINE
from weft.metrics.bootstrap import Interval, bootstrap
from weft.metrics.instances import THRESHOLDS, average_precision, f1
from weft.metrics.scores import Scores
from weft.metrics.shares import share
from weft.report.event_scatter import event_scatter
from weft.report.figure import Figure
from weft.report.palette import RULE, style, to_svg
from weft.report.ratio_panels import say_too_few
from weft.report.reliability import reliability_figure
from weft.report.variants import color_of, pooled, same_events, select
from weft.tasks.volume_segmentation.score import CONFIDENCE_BINS, DISTANCE_EDGES, FOUND, TOLERANCE, matches_of, metrics
from weft.tasks.volume_segmentation.tables import class_table, overall_table, shift_table

_REPLICAS = 400
_FEWEST = 20  # voxels of a bin of the reliability diagram
_FEWEST_OBJECTS = 5  # true objects of a bin that is drawn


def figures(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> list[Figure]:
    """Figures and tables of the report.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline. split: the one that
    models are judged by; further ones are shifted test sets. classes: names, background first.
    Raises WeftError where there are no scores of the split, and where variants were scored on different stacks.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [overall_table(scores, split, classes)]
    if len(classes) > 2:
        made.append(class_table(scores, split, classes))
    made.append(stack_figure(scores, split, classes))
    if any((part.curves["curve"] == "surface").any() for part in judged.values()):
        made.append(surface_figure(judged))
    if any(matches_of(part.events).any() for part in judged.values()):
        made.append(object_figure(judged))
    if all(len(part.objects) and np.isfinite(part.objects["volume"]).any() for part in judged.values()):
        made.append(size_figure(judged))
    if all((part.curves["curve"] == "reliability").any() for part in judged.values()):
        made.append(reliability_figure(judged, "probability", CONFIDENCE_BINS, _FEWEST))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split, classes))
    return made


def stack_figure(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Dice of every stack: the model against the baseline, or alone how it is distributed."""
    tables = same_events(scores, split)
    values = {name: metrics(table, classes)["dice"].to_numpy() for name, table in tables.items()}
    return event_scatter("per-stack", values, "Dice", "stack")


def surface_figure(scores: Mapping[str, Scores]) -> Figure:
    """Surface Dice against the tolerance."""
    edges = DISTANCE_EDGES[1:-1]
    with style():
        canvas = Canvas(figsize=(4.6, 3.1))
        axis = canvas.subplots()
        axis.axvline(TOLERANCE, color=RULE, linewidth=1.2, zorder=1)
        for name, part in scores.items():
            counted = _by_stack(part, "surface", len(DISTANCE_EDGES) - 1)
            interval = bootstrap(counted, _cumulative_share, _REPLICAS)
            _band(axis, name, edges, interval, slice(len(edges)))
        axis.set_xscale("log")
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("tolerance [µm]")
        axis.set_ylabel("surface Dice")
        axis.legend(loc="lower right")
        svg = to_svg(canvas, "surfaces", "Surface Dice against the tolerance")
    return Figure(
        "surfaces",
        "Distance of the surfaces",
        "Share of the surface voxels of truth and prediction that lie within a distance of the other surface, all "
        f"stacks and classes together. Vertical line: the tolerance of the tables, {TOLERANCE:g} µm.",
        svg=svg,
    )


def object_figure(scores: Mapping[str, Scores]) -> Figure:
    """F1 and average precision of objects against the IoU from which two count as the same."""
    with style():
        canvas = Canvas(figsize=(7.4, 3.0))
        axes = canvas.subplots(1, 2, sharey=True)
        for axis, metric, words in ((axes[0], f1, "F1"), (axes[1], average_precision, "average precision")):
            for name, part in scores.items():
                interval = bootstrap(matches_of(part.events), metric, _REPLICAS)
                _band(axis, name, np.array(THRESHOLDS), interval)
            axis.set_xlabel("IoU threshold")
            axis.set_title(words)
            axis.set_ylim(0, 1.02)
        axes[0].legend(loc="lower left")
        svg = to_svg(canvas, "objects", "F1 and average precision of objects against the IoU threshold", gap=2)
    totals = {name: matches_of(part.events).sum(axis=0)[0] for name, part in scores.items()}
    n = {name: f"{int(t[0] + t[2])} true and {int(t[0] + t[1])} predicted ({name})" for name, t in totals.items()}
    return Figure(
        "objects",
        "Objects",
        f"Objects matched one with one: {'; '.join(n.values())}. F1 = 2 TP / (2 TP + FP + FN), average precision = "
        "TP / (TP + FP + FN); the model's counts are those of all seeds.",
        svg=svg,
    )


def size_figure(scores: Mapping[str, Scores]) -> Figure:
    """Share of the true objects that are found, by their size."""
    volumes = np.concatenate([part.objects["volume"].to_numpy(np.float64) for part in scores.values()])
    volumes = volumes[np.isfinite(volumes) & (volumes > 0)]
    low, high = np.log10(volumes.min()) - 1e-9, np.log10(volumes.max()) + 1e-9
    edges = np.logspace(low, high if high - low > 0.1 else low + 0.1, 9)
    centres = np.sqrt(edges[1:] * edges[:-1])
    with style():
        canvas = Canvas(figsize=(4.6, 3.1))
        axis = canvas.subplots()
        axis.set_xscale("log")
        axis.set_xlim(edges[0], edges[-1])
        for name, part in scores.items():
            counted = _found_by_size(part, edges)
            interval = bootstrap(counted, lambda sums: share(sums[..., 1], sums[..., 0]), _REPLICAS)
            seen = counted[..., 0].sum(axis=0) >= _FEWEST_OBJECTS
            if seen.any():
                _band(axis, name, centres[seen], interval, seen)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("volume of the true object [µm³]")
        axis.set_ylabel("share found")
        if axis.lines:
            axis.legend(loc="lower right")
        else:
            say_too_few(axis)
        svg = to_svg(canvas, "sizes", "Share of true objects that are found against their volume")
    return Figure(
        "sizes",
        "Objects by size",
        f"True objects with a match at an IoU of {FOUND:g}; bins of fewer than {_FEWEST_OBJECTS} are left out.",
        svg=svg,
    )


def _by_stack(part: Scores, curve: str, n_bins: int) -> np.ndarray:
    """float64 [E, bins]: what was counted, all classes together."""
    rows = part.curves[part.curves["curve"] == curve]
    uids = np.unique(part.events["uid"])
    counted = np.zeros((len(uids), n_bins))
    np.add.at(counted, (np.searchsorted(uids, rows["uid"]), rows["bin"].to_numpy()), rows["n"].to_numpy())
    return counted


def _cumulative_share(sums: np.ndarray) -> np.ndarray:
    return share(np.cumsum(sums, axis=-1), sums.sum(axis=-1, keepdims=True))


def _found_by_size(part: Scores, edges: np.ndarray) -> np.ndarray:
    """float64 [E, bins, 2]: true objects, and those that were found."""
    objects = part.objects[part.objects["volume"] > 0]
    uids = np.unique(part.events["uid"])
    number = np.clip(np.searchsorted(edges, objects["volume"], side="right") - 1, 0, len(edges) - 2)
    counted = np.zeros((len(uids), len(edges) - 1, 2))
    place = (np.searchsorted(uids, objects["uid"]), number)
    np.add.at(counted[..., 0], place, 1)
    np.add.at(counted[..., 1], place, objects["found"].to_numpy(np.float64))
    return counted


def _band(axis: Axes, name: str, x: np.ndarray, interval: Interval, kept: Any = slice(None)) -> None:
    """A line with its interval; kept: the entries that are drawn."""
    dashed = "--" if name == BASELINE else "-"
    axis.fill_between(x, interval.low[kept], interval.high[kept], color=color_of(name), alpha=0.18, linewidth=0)
    axis.plot(x, interval.value[kept], dashed, color=color_of(name), marker="o", markersize=3, label=name)
