"""Figures of the segmentation report, from score tables alone.

Curves of a model add the counts of all its seeds; shaded bands are 95 % bootstrap intervals over events.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.metrics.scores import Scores
from weft.metrics.segmentation import accuracy
from weft.report.confusion import confusion_panels
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import CLASS_NAMES
from weft.report.ratio_panels import ENERGY_EDGES, binned, by_energy, ratio_panels
from weft.report.reliability import reliability_figure
from weft.report.variants import pooled, select
from weft.tasks.segmentation.score import CHARGE_EDGES, CONFIDENCE_BINS, confusion_of
from weft.tasks.segmentation.tables import class_table, overall_table, shift_table

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
        made.append(reliability_figure(judged, "score", CONFIDENCE_BINS, _FEWEST))
    made.append(event_figure(judged))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split))
    return made


def confusion_figure(scores: Mapping[str, Scores]) -> Figure:
    """Share of the voxels of each true class by predicted class, with the numbers of voxels."""
    counts = {name: confusion_of(part.events).sum(axis=0) for name, part in scores.items()}
    names = [CLASS_NAMES[k] for k in range(len(next(iter(counts.values()))))]
    labels, title = ("predicted class", "true class"), "Confusion matrices of the model and the baseline"
    svg = confusion_panels("confusion", counts, names, names, labels, title, (3.9, 3.5))
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


def _particle_counts(scores: Scores) -> np.ndarray:
    """Own voxels and right ones by event, class and energy bin: [E, C, bins, 2]."""
    objects, n_classes = scores.objects, confusion_of(scores.events).shape[1]
    columns = [objects[column].to_numpy() for column in ("n_own", "n_correct")]
    return by_energy(scores.events, objects, "energy_deposit", "shape", columns, n_classes)


def _voxel_counts(scores: Scores) -> np.ndarray:
    """Labelled voxels and right ones by event, class and bin of voxel energy: [E, C, bins, 2]."""
    curve, n_classes = scores.curves[scores.curves["curve"] == "charge"], confusion_of(scores.events).shape[1]
    uid, label, number, n, right = (curve[name].to_numpy() for name in ("uid", "label", "bin", "n", "n_correct"))
    return binned(np.unique(scores.events["uid"]), uid, label, number, (n, right), n_classes, len(CHARGE_EDGES) - 1)
