"""Figures of the segmentation report, from score tables alone.

Curves of a model add the counts of all its seeds; shaded bands are 95 % bootstrap intervals over events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weft.metrics.scores import Scores
from weft.metrics.segmentation import accuracy
from weft.report.confusion import confusion_panels
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import CLASS_NAMES
from weft.report.ratio_panels import binned, ratio_panels
from weft.report.reliability import reliability_diagram
from weft.report.variants import pooled, select
from weft.tasks.segmentation.score import CHARGE_EDGES, CONFIDENCE_BINS, confusion_of
from weft.tasks.segmentation.tables import class_table, overall_table, shift_table

#: Edges of the bins of energy left by a particle, MeV.
ENERGY_EDGES = np.geomspace(0.3, 3000.0, 13)

_FEWEST = 20  # voxels of a bin that is drawn


def figures(scores: Mapping[str, Scores], split: str) -> list[Figure]:
    """Figures and tables of the report, from the scores of each variant.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline.
    split: the one that models are judged by; further ones are shifted test sets. Raises WeftError where there are no
    scores of it, and where variants were scored on different events.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [overall_table(scores, split), class_table(scores, split), confusion_figure(judged)]
    if any(len(part.objects) for part in judged.values()):
        counts = {name: _particle_counts(part) for name, part in judged.items()}
        made.append(recall_figure("energy", "true particles", "energy left by the particle", ENERGY_EDGES, counts))
    counts = {name: _voxel_counts(part) for name, part in judged.items()}
    made.append(recall_figure("charge", "a true class", "energy of the voxel", CHARGE_EDGES, counts))
    if all((part.curves["curve"] == "reliability").any() for part in judged.values()):
        made.append(reliability_figure(judged))
    made.append(event_figure(judged))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split))
    return made


def confusion_figure(scores: Mapping[str, Scores]) -> Figure:
    """Share of the voxels of each true class by predicted class, with the numbers of voxels."""
    counts = {name: confusion_of(part.events).sum(axis=0) for name, part in scores.items()}
    names = [CLASS_NAMES[k] for k in range(len(next(iter(counts.values()))))]
    labels, title = ("predicted class", "true class"), "Confusion matrices of the model and the baseline"
    svg = confusion_panels("confusion", counts, names, names, labels, title, (3.9, 3.5), _short)
    return Figure(
        "confusion",
        "Confusion",
        "Per cent of the voxels of a true class (rows) by predicted class, number of voxels below; "
        "the counts of all seeds are added.",
        svg=svg,
    )


def recall_figure(key: str, of: str, energy: str, edges: np.ndarray, counts: Mapping[str, np.ndarray]) -> Figure:
    """Recall of each class against an energy; counts: labelled and right voxels by variant, [E, C, bins, 2]."""
    return Figure(
        key,
        f"Recall against the {energy}",
        f"Share of the voxels of {of} that got the right class, by the {energy}; bins of fewer than {_FEWEST} voxels "
        "are left out. Bands: 95 % intervals over events.",
        svg=ratio_panels(counts, edges, f"{energy} [MeV]", "recall", _FEWEST),
    )


def reliability_figure(scores: Mapping[str, Scores]) -> Figure:
    """How often an answer is right that was given with some confidence."""
    bins = {}
    for name, part in scores.items():
        curve = part.curves[part.curves["curve"] == "reliability"]
        sums = curve.groupby("bin")[["n", "n_correct", "sum_confidence"]].sum()
        sums = sums.reindex(range(CONFIDENCE_BINS), fill_value=0)
        n, right, confidence = (sums[column].to_numpy() for column in sums)
        bins[name] = n, right, confidence
    words = "voxels", "right answers", "score of the predicted class"
    svg = reliability_diagram("reliability", bins, *words, "Reliability diagram", _FEWEST, 4)
    return Figure(
        "reliability",
        "Calibration",
        "A calibrated model is right as often as its score says (the diagonal). Error: expected calibration error, the "
        "mean distance from the diagonal over voxels.",
        svg=svg,
    )


def event_figure(scores: Mapping[str, Scores]) -> Figure:
    """Distribution of the accuracy over events."""
    values = {name: accuracy(confusion_of(part.events)) for name, part in scores.items()}
    svg = event_histogram("per-event", values, "accuracy of an event", "Distribution of the accuracy over events")
    return Figure(
        "per-event",
        "Accuracy of events",
        "Share of the events by the share of their voxels that got the right class; events below the axis are in its "
        "first bin.",
        svg=svg,
    )


def _short(n: int) -> str:
    """At most four characters: 987, 1.2k, 34k, 5.6M."""
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.1f}{unit}" if n < 10 * size else f"{n / size:.0f}{unit}"
    return str(n)


def _particle_counts(scores: Scores) -> np.ndarray:
    """Own voxels and right ones by event, class and energy bin: [E, C, bins, 2]."""
    objects = scores.objects
    shape = objects["shape"].to_numpy()
    number = np.searchsorted(ENERGY_EDGES, objects["energy_deposit"].to_numpy(), side="right") - 1
    number = np.clip(number, 0, len(ENERGY_EDGES) - 2)
    return _event_counts(scores, objects, shape, number, len(ENERGY_EDGES) - 1, ("n_own", "n_correct"))


def _voxel_counts(scores: Scores) -> np.ndarray:
    """Labelled voxels and right ones by event, class and bin of voxel energy: [E, C, bins, 2]."""
    curve = scores.curves[scores.curves["curve"] == "charge"]
    label, number = curve["label"].to_numpy(), curve["bin"].to_numpy()
    return _event_counts(scores, curve, label, number, len(CHARGE_EDGES) - 1, ("n", "n_correct"))


def _event_counts(
    scores: Scores, rows: pd.DataFrame, label: np.ndarray, number: np.ndarray, n_bins: int, columns: Sequence[str]
) -> np.ndarray:
    n_classes = confusion_of(scores.events).shape[1]
    uids, values = np.unique(scores.events["uid"]), [rows[column].to_numpy() for column in columns]
    return binned(uids, rows["uid"].to_numpy(), label, number, values, n_classes, n_bins)
