"""Figures of the report of segmented pictures, from score tables alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weft.metrics.scores import Scores
from weft.report.confusion import confusion_panels
from weft.report.event_scatter import event_scatter
from weft.report.figure import Figure
from weft.report.reliability import reliability_figure
from weft.report.variants import pooled, same_events, select
from weft.tasks.image_segmentation.score import CONFIDENCE_BINS, confusion_of, metrics
from weft.tasks.image_segmentation.tables import class_table, overall_table, shift_table

_FEWEST = 50  # pixels of a bin of the reliability diagram


def figures(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> list[Figure]:
    """Figures and tables of the report.

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline. split: the one that
    models are judged by; further ones are shifted test sets. classes: their names.
    Raises WeftError where there are no scores of the split, and where variants were scored on different images.
    """
    of_split = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [overall_table(scores, split, classes), class_table(scores, split, classes)]
    tables = same_events(scores, split)
    values = {name: metrics(table, classes)["mean_iou"].to_numpy() for name, table in tables.items()}
    made += [confusion_figure(of_split, classes), event_scatter("per-image", values, "mean IoU", "image")]
    if all(len(part.curves) for part in of_split.values()):
        made.append(reliability_figure(of_split, "probability", CONFIDENCE_BINS, _FEWEST, "pixels"))
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split, classes))
    return made


def confusion_figure(scores: Mapping[str, Scores], classes: Sequence[str]) -> Figure:
    """What pixels of each class are taken for."""
    counts = {name: confusion_of(part.events, len(classes)).sum(axis=0) for name, part in scores.items()}
    side = max(2.6, 0.52 * len(classes) + 1.2)
    svg = confusion_panels(
        "confusion", counts, classes, classes, ("called", "true"), "Confusion of the classes", (side, side)
    )
    return Figure(
        "confusion",
        "Confusion",
        "Per cent of the pixels of each true class, below their number; of all images, the model's of all seeds.",
        svg=svg,
    )
