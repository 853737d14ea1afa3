"""Tables of the report of segmented stacks: all metrics, class by class, and under shifted conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weft.metrics.overlap import dice, iou, precision, recall
from weft.metrics.scores import Scores
from weft.report.comparison import Difference
from weft.report.figure import Figure
from weft.report.quality import LESS, MORE, Quality, counted, quality_table
from weft.report.variants import (
    DIFFERENCE_OVER,
    MISSING,
    beside,
    differences,
    heading,
    number,
    same_events,
    seeds,
    signed,
    splits_of,
    trained,
    worst,
)  # fmt: skip
from weft.tasks.volume_segmentation.score import FOUND, TOLERANCE, confusion_of, metrics

_DIFFERENCE = DIFFERENCE_OVER.format("stack")

#: Metrics in the order of the table, in words; those of which smaller is better say so.
_WORDS: Mapping[str, str] = {
    "dice": "Dice, all voxels",
    "dice_per_image": "Dice, mean over stacks",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "voxel accuracy",
    "surface_dice": f"surface Dice within {TOLERANCE:g} µm",
    "hd95": "95 % Hausdorff distance [µm], smaller is better",
    "assd": "mean surface distance [µm], smaller is better",
    "centreline_dice": "centre-line Dice",
    "object_f1": f"objects, F1 at IoU {FOUND:g}",
    "object_ap": "objects, average precision over IoU 0.1 to 0.9",
    "nll": "−ln probability of the true class, smaller is better",
}
_SMALLER = ("hd95", "assd", "nll")
_CLASS_METRICS = {"Dice": dice, "IoU": iou, "precision": precision, "recall": recall}
_REPLICAS = 1000


def overall_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Every metric beside the baseline, with intervals over stacks."""
    tables = same_events(scores, split)
    models = trained(scores)
    qualities = [Quality(name, words, LESS if name in _SMALLER else MORE) for name, words in _WORDS.items()]
    what = counted(tables, lambda rows: metrics(rows, classes), tuple(_WORDS))
    n = len(next(iter(tables.values())))
    return Figure(
        "overall",
        "All metrics",
        f"Over {n} stack{'s' if n != 1 else ''} of split {split}, means over the classes but the background; "
        f"{seeds(models)}. Voxels that the cost map leaves out are not judged; a stack without a class of which "
        "nothing is called so counts as right. Intervals: bootstrap over stacks, from the lowest to the highest end "
        f"among seeds. {_DIFFERENCE}",
        table=quality_table(what, models, qualities, _REPLICAS),
    )


def class_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Overlap of each class beside the baseline, with the paired difference of the Dice."""
    tables = same_events(scores, split)
    models = trained(scores)
    confusion = {variant: confusion_of(table) for variant, table in tables.items()}
    pooled = {variant: counted.sum(axis=0) for variant, counted in confusion.items()}
    truth = next(iter(pooled.values())).sum(axis=1)
    paired = differences(confusion, models, dice)
    rows = []
    for c in range(1, len(classes)):
        row: dict[str, object] = {
            "class": classes[c],
            "voxels": int(truth[c]),
            "share [%]": number(100 * truth[c] / max(truth.sum(), 1), 2),
        }
        for name, metric in _CLASS_METRICS.items():
            values = {variant: metric(counted)[c] for variant, counted in pooled.items()}
            row[name + heading(pooled)] = beside(values, 3)
        if paired:
            row["Dice − baseline [95 %]"] = worst([Difference.of(interval, c) for interval in paired])
        rows.append(row)
    return Figure(
        "classes",
        "Classes",
        f"Judged voxels of all stacks of split {split} together; {seeds(models)}. {_DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str, classes: Sequence[str]) -> Figure:
    """The same models on every split that was scored, without training them again."""
    models = trained(scores)
    shown = ("dice", "surface_dice", "centreline_dice", "object_f1")
    rows, reference = [], float("nan")
    for split in splits_of(scores, nominal):
        tables = same_events(scores, split)
        what = counted(tables, lambda rows: metrics(rows, classes), shown)
        values, against = what.pooled(), what.differences(models, _REPLICAS)
        mean = float(np.mean([values[v][0] for v in models]))
        reference = mean if split == nominal else reference
        row: dict[str, object] = {"split": split, "stacks": len(next(iter(tables.values())))}
        row["Dice" + heading(values)] = beside({v: value[0] for v, value in values.items()}, 3)
        row[f"against {nominal}"] = MISSING if split == nominal else signed(mean - reference)
        for k, name in enumerate(shown[1:], 1):
            row[_WORDS[name]] = number(np.mean([values[v][k] for v in models]), 3)
        if against:
            row["Dice − baseline [95 %]"] = worst([Difference.of(interval, 0) for interval in against])
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Stacks made under other conditions than those of the training; {seeds(models)}. {_DIFFERENCE}",
        table=pd.DataFrame(rows),
    )
