"""Tables of the segmentation report: per class, with and without low-energy deposits, and under shifted conditions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.io.products import LOW_ENERGY
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores
from weft.metrics.segmentation import SCALAR_METRICS, Metric, iou, mean_iou, precision, recall, without_class
from weft.report.comparison import Difference, verdict
from weft.report.figure import Figure
from weft.report.palette import CLASS_NAMES
from weft.report.variants import (
    DIFFERENCE,
    MISSING,
    beside,
    differences,
    envelope,
    heading,
    number,
    same_events,
    seeds,
    signed,
    splits_of,
    spread,
    trained,
    worst,
)  # fmt: skip
from weft.tasks.segmentation.score import confusion_of

_METRIC_NAMES = {
    "accuracy": "accuracy",
    "mean_iou": "mean IoU",
    "macro_f1": "macro F1",
    "mean_recall": "mean recall",
}
_CLASS_METRICS: Mapping[str, Metric] = {"recall": recall, "precision": precision, "IoU": iou}


def event_counts(scores: Mapping[str, Scores], split: str) -> dict[str, np.ndarray]:
    """Confusion counts [E, C, C] of each variant on one split, the same event in the same row of all.

    Raises WeftError where there are no events, and where variants were scored on different ones.
    """
    return {variant: confusion_of(table) for variant, table in same_events(scores, split).items()}


def class_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Recall, precision and IoU of each class beside the baseline, with the paired difference of the IoU.

    F1 says no more than IoU: it is 2 IoU / (1 + IoU).
    """
    counts = event_counts(scores, split)
    models = trained(scores)
    pooled = {variant: c.sum(axis=0) for variant, c in counts.items()}
    truth = next(iter(pooled.values())).sum(axis=1)
    difference = differences(counts, models, iou)
    both = heading(pooled)
    rows = []
    for k, n in enumerate(truth):
        row: dict[str, object] = {
            "class": CLASS_NAMES[k],
            "voxels": int(n),
            "share [%]": number(100 * n / truth.sum(), 2),
        }
        for name, metric in _CLASS_METRICS.items():
            row[name + both] = beside({variant: metric(c)[k] for variant, c in pooled.items()}, 3)
        if difference:
            row["IoU − baseline [95 %]"] = worst([Difference.of(d, k) for d in difference])
        rows.append(row)
    return Figure(
        "classes",
        "Classes",
        f"Pooled over the {_events(counts)} of split {split}; {seeds(models)}. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def overall_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Metrics over all classes, with low-energy deposits kept and removed, since published figures differ in that."""
    counts = event_counts(scores, split)
    models = trained(scores)
    rows = []
    for kept, selected in (
        ("kept", counts),
        ("removed", {v: without_class(c, LOW_ENERGY) for v, c in counts.items()}),
    ):
        for name, metric in SCALAR_METRICS.items():
            row: dict[str, object] = {"metric": _METRIC_NAMES[name], "low-energy": kept}
            row["model"] = spread([metric(selected[v].sum(axis=0)) for v in models])
            row["95 % interval"] = envelope([bootstrap(selected[v], metric) for v in models])
            if BASELINE in counts:
                row["baseline"] = number(metric(selected[BASELINE].sum(axis=0)))
                difference = [Difference.of(d) for d in differences(selected, models, metric)]
                row["model − baseline [95 %]"] = worst(difference)
                row["verdict"] = verdict(difference)
            per_event = [np.nanmean(metric(selected[v])) if len(selected[v]) else np.nan for v in models]
            row["mean over events"] = spread(per_event)
            rows.append(row)
    return Figure(
        "overall",
        "All classes",
        f"Pooled over the {_events(counts)} of split {split}; {seeds(models)}. "
        f"Intervals: bootstrap over events, from the lowest to the highest end among seeds. {DIFFERENCE} "
        "Removed: voxels whose true class is low-energy are left out, others called low-energy stay as errors. "
        "Mean over events: the metric of each event, averaged; small events weigh as much as large ones.",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same models on every split that was scored, without training them again."""
    models = trained(scores)
    both = heading(scores)
    reference = _pooled_mean_iou(event_counts(scores, nominal), models)
    rows = []
    for split in splits_of(scores, nominal):
        counts = event_counts(scores, split)
        pooled = {v: c.sum(axis=0) for v, c in counts.items()}
        row: dict[str, object] = {"split": split, "events": len(next(iter(counts.values())))}
        row["mean IoU" + both] = beside({variant: mean_iou(c) for variant, c in pooled.items()}, 3)
        change = _pooled_mean_iou(counts, models) - reference
        row[f"against {nominal}"] = MISSING if split == nominal else signed(change)
        for k in range(next(iter(pooled.values())).shape[0]):
            row[f"IoU {CLASS_NAMES[k]}"] = number(np.mean([iou(pooled[v])[k] for v in models]), 3)
        if BASELINE in pooled:
            difference = [Difference.of(d) for d in differences(counts, models, mean_iou)]
            row["model − baseline [95 %]"] = worst(difference)
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {seeds(models)}. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def _pooled_mean_iou(counts: Mapping[str, np.ndarray], models: list[str]) -> float:
    return float(np.mean([mean_iou(counts[v].sum(axis=0)) for v in models]))


def _events(counts: Mapping[str, np.ndarray]) -> str:
    return f"{len(next(iter(counts.values())))} events"
