"""Figures of the report of segmented meshes, from score tables alone.

Counts of a model are those of all its seeds; shaded bands are 95 % bootstrap intervals over tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weft.metrics.scores import Scores
from weft.report.confusion import confusion_panels
from weft.report.event_scatter import event_scatter
from weft.report.figure import Figure
from weft.report.mesh_colours import class_colours
from weft.report.ratio_panels import binned, ratio_panels
from weft.report.reliability import reliability_figure
from weft.report.variants import pooled, same_events, select
from weft.tasks.mesh_segmentation.score import AREA_EDGES, CONFIDENCE_BINS, confusion_of, metrics
from weft.tasks.mesh_segmentation.tables import class_table, overall_table, shift_table

_FEWEST = 20  # faces of a bin that is drawn


def figures(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> list[Figure]:
    """Figures and tables of the report.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline. split: the one that
    models are judged by; further ones are other test sets. classes: their names.
    Raises WeftError where there are no scores of the split, and where variants were scored on different meshes.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [overall_table(scores, split, classes)]
    made += [class_table(scores, split, classes, weighting) for weighting in ("n", "a")]
    made += [confusion_figure(judged, classes), size_figure(judged, classes)]
    values = {name: metrics(table, classes)["mean_f1"].to_numpy() for name, table in same_events(scores, split).items()}
    made.append(event_scatter("per-mesh", values, "mean F1", "tile"))
    if all((part.curves["curve"] == "reliability").any() for part in judged.values()):
        made.append(reliability_figure(judged, "probability", CONFIDENCE_BINS, _FEWEST, "faces"))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split, classes))
    return made


def confusion_figure(scores: Mapping[str, Scores], classes: Sequence[str]) -> Figure:
    """Share of the faces of each true class by predicted class, with their numbers."""
    counts = {name: confusion_of(part.events).sum(axis=0) for name, part in scores.items()}
    labels, title = ("predicted class", "true class"), "Confusion matrices of the model and the baseline"
    side = 1.4 + 0.5 * len(classes)
    svg = confusion_panels("confusion", counts, classes, classes, labels, title, (side, 0.9 * side))
    return Figure(
        "confusion",
        "Confusion",
        "Per cent of the faces of a true class (rows) by predicted class, number of faces below; the counts of all "
        "seeds are added.",
        svg=svg,
    )


def size_figure(scores: Mapping[str, Scores], classes: Sequence[str]) -> Figure:
    """Recall of each class against the area of a face."""
    counts = {name: _by_size(part, len(classes)) for name, part in scores.items()}
    colours = class_colours(classes)
    svg = ratio_panels(counts, AREA_EDGES, "area of the face [m²]", "recall", _FEWEST, colours)
    return Figure(
        "sizes",
        "Recall against the size of a face",
        f"Share of the faces of a true class that were called so, by their area; bins of fewer than {_FEWEST} faces "
        "are left out. Bands: 95 % intervals over tiles.",
        svg=svg,
    )


def _by_size(scores: Scores, n_classes: int) -> np.ndarray:
    """Judged faces and right ones by mesh, class and bin: [E, C, bins, 2]."""
    rows = scores.curves[scores.curves["curve"] == "size"]
    uid, label, number, n, right = (rows[name].to_numpy() for name in ("uid", "label", "bin", "n", "n_correct"))
    return binned(np.unique(scores.events["uid"]), uid, label, number, (n, right), n_classes, len(AREA_EDGES) - 1)
