"""Tables of the segmentation report: per class, with and without low-energy deposits, and under shifted conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.errors import WeftError
from weft.io.products import LOW_ENERGY
from weft.metrics.bootstrap import Interval, bootstrap, paired_bootstrap
from weft.metrics.scores import Scores
from weft.metrics.segmentation import SCALAR_METRICS, Metric, iou, mean_iou, precision, recall, without_class
from weft.report.comparison import Difference, verdict
from weft.report.figure import Figure
from weft.report.palette import CLASS_NAMES
from weft.tasks.segmentation.score import confusion_of

_METRIC_NAMES = {
    "accuracy": "accuracy",
    "mean_iou": "mean IoU",
    "macro_f1": "macro F1",
    "mean_recall": "mean recall",
}
_CLASS_METRICS: Mapping[str, Metric] = {"recall": recall, "precision": precision, "IoU": iou}
_MISSING = "–"
_DIFFERENCE = "Difference: of the seed that does worst against the baseline, paired bootstrap over events."


def trained(scores: Mapping[str, Scores]) -> list[str]:
    """The variants that are not the baseline."""
    return [variant for variant in scores if variant != BASELINE]


def event_counts(scores: Mapping[str, Scores], split: str) -> dict[str, np.ndarray]:
    """Confusion counts [E, C, C] of each variant on one split, the same event in the same row of all.

    Raises WeftError where there are no events, and where variants were scored on different ones.
    """
    tables = {v: s.events[s.events["split"] == split].sort_values("uid") for v, s in scores.items()}
    first, *others = tables
    if not len(tables[first]):
        raise WeftError(f"{first} has no scored events of the split '{split}': run `weft evaluate` again")
    for other in others:
        if not np.array_equal(tables[first]["uid"], tables[other]["uid"]):
            raise WeftError(
                f"split {split}: {first} was scored on {len(tables[first])} events and {other} on "
                f"{len(tables[other])} others: deploy and evaluate all variants on the same events"
            )
    return {variant: confusion_of(table) for variant, table in tables.items()}


def class_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Recall, precision and IoU of each class beside the baseline, with the paired difference of the IoU.

    F1 says no more than IoU: it is 2 IoU / (1 + IoU).
    """
    counts = event_counts(scores, split)
    models = trained(scores)
    pooled = {variant: c.sum(axis=0) for variant, c in counts.items()}
    truth = next(iter(pooled.values())).sum(axis=1)
    difference = _differences(counts, models, iou)
    beside = ", model / baseline" if BASELINE in pooled else ""
    rows = []
    for k, n in enumerate(truth):
        row: dict[str, object] = {
            "class": CLASS_NAMES[k],
            "voxels": int(n),
            "share [%]": _number(100 * n / truth.sum(), 2),
        }
        for name, metric in _CLASS_METRICS.items():
            row[name + beside] = _beside({variant: metric(c)[k] for variant, c in pooled.items()}, 3)
        if difference:
            row["IoU − baseline [95 %]"] = _worst([Difference.of(d, k) for d in difference])
        rows.append(row)
    return Figure(
        "classes",
        "Classes",
        f"Pooled over the {_events(counts)} of split {split}; {_seeds(models)}. {_DIFFERENCE}",
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
            row["model"] = _spread([metric(selected[v].sum(axis=0)) for v in models])
            row["95 % interval"] = _envelope([bootstrap(selected[v], metric) for v in models])
            if BASELINE in counts:
                row["baseline"] = _number(metric(selected[BASELINE].sum(axis=0)))
                difference = [Difference.of(d) for d in _differences(selected, models, metric)]
                row["model − baseline [95 %]"] = _worst(difference)
                row["verdict"] = verdict(difference)
            per_event = [np.nanmean(metric(selected[v])) if len(selected[v]) else np.nan for v in models]
            row["mean over events"] = _spread(per_event)
            rows.append(row)
    return Figure(
        "overall",
        "All classes",
        f"Pooled over the {_events(counts)} of split {split}; {_seeds(models)}. "
        f"Intervals: bootstrap over events, from the lowest to the highest end among seeds. {_DIFFERENCE} "
        "Removed: voxels whose true class is low-energy are left out, others called low-energy stay as errors. "
        "Mean over events: the metric of each event, averaged; small events weigh as much as large ones.",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same models on every split that was scored, without training them again."""
    models = trained(scores)
    splits = next(iter(scores.values())).events["split"].unique().tolist()
    beside = ", model / baseline" if BASELINE in scores else ""
    reference = _pooled_mean_iou(event_counts(scores, nominal), models)
    rows = []
    for split in sorted(splits, key=lambda name: name != nominal):
        counts = event_counts(scores, split)
        pooled = {v: c.sum(axis=0) for v, c in counts.items()}
        row: dict[str, object] = {"split": split, "events": len(next(iter(counts.values())))}
        row["mean IoU" + beside] = _beside({variant: mean_iou(c) for variant, c in pooled.items()}, 3)
        change = _pooled_mean_iou(counts, models) - reference
        row[f"against {nominal}"] = _MISSING if split == nominal else _signed(change)
        for k in range(next(iter(pooled.values())).shape[0]):
            row[f"IoU {CLASS_NAMES[k]}"] = _number(np.mean([iou(pooled[v])[k] for v in models]), 3)
        if BASELINE in pooled:
            difference = [Difference.of(d) for d in _differences(counts, models, mean_iou)]
            row["model − baseline [95 %]"] = _worst(difference)
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {_seeds(models)}. {_DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def _differences(counts: Mapping[str, np.ndarray], models: list[str], metric: Metric) -> list[Interval]:
    if BASELINE not in counts:
        return []
    return [paired_bootstrap(counts[v], counts[BASELINE], metric) for v in models]


def _pooled_mean_iou(counts: Mapping[str, np.ndarray], models: list[str]) -> float:
    return float(np.mean([mean_iou(counts[v].sum(axis=0)) for v in models]))


def _number(value: Any, decimals: int = 4) -> str:
    return f"{value:.{decimals}f}".replace("-", "−") if np.isfinite(value) else _MISSING


def _signed(value: Any) -> str:
    return f"{value:+.4f}".replace("-", "−") if np.isfinite(value) else _MISSING


def _spread(values: Sequence[Any], decimals: int = 4) -> str:
    """Mean, and standard deviation where there are several seeds."""
    text = _number(np.mean(values), decimals)
    if len(values) == 1 or not np.isfinite(values).all():
        return text
    return f"{text} ± {_number(np.std(values, ddof=1), decimals)}"


def _beside(values: Mapping[str, Any], decimals: int = 4) -> str:
    """The values of the models and, behind a slash, that of the baseline."""
    text = _spread([value for variant, value in values.items() if variant != BASELINE], decimals)
    return f"{text} / {_number(values[BASELINE], decimals)}" if BASELINE in values else text


def _worst(differences: list[Difference]) -> str:
    """The difference of the seed whose interval begins lowest: where that one is above zero, all are."""
    worst = min(differences, key=lambda d: d.low)
    return f"{_signed(worst.value)} [{_signed(worst.low)}, {_signed(worst.high)}]"


def _envelope(intervals: list[Interval]) -> str:
    return f"[{_number(min(i.low for i in intervals))}, {_number(max(i.high for i in intervals))}]"


def _events(counts: Mapping[str, np.ndarray]) -> str:
    return f"{len(next(iter(counts.values())))} events"


def _seeds(models: list[str]) -> str:
    if len(models) == 1:
        return f"one variant, {models[0]}"
    return f"mean ± standard deviation of {len(models)} variants ({', '.join(models)})"
