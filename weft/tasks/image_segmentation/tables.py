"""Tables of the report of segmented pictures: all metrics, class by class, and under shifted conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.metrics import segmentation
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores, counts
from weft.report.comparison import Difference, verdict
from weft.report.figure import Figure
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
from weft.tasks.image_segmentation.score import confusion_of, metrics

#: Metrics in the order of the table, in words.
WORDS: Mapping[str, str] = {
    "accuracy": "pixel accuracy",
    "mean_accuracy": "mean class accuracy",
    "mean_iou": "mean IoU",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "mean_dice": "mean Dice",
    "nll": "−ln probability of the true class, smaller is better",
}
_OF_CLASS = {
    "IoU": segmentation.iou,
    "Dice": segmentation.f1,
    "precision": segmentation.precision,
    "recall": segmentation.recall,
}
_REPLICAS = 1000

Statistic = Callable[[np.ndarray], np.ndarray]


def overall_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Every metric beside the baseline, with intervals over images."""
    tables = same_events(scores, split)
    models = trained(scores)
    matrices, statistic = _matrices(tables, classes, tuple(WORDS))
    found = {variant: bootstrap(matrix, statistic, _REPLICAS) for variant, matrix in matrices.items()}
    paired = differences(matrices, models, statistic)
    rows = []
    for k, (name, words) in enumerate(WORDS.items()):
        row: dict[str, object] = {"metric": words}
        row["model"] = spread([found[v].value[k] for v in models])
        row["95 % interval"] = envelope([found[v] for v in models], k)
        if BASELINE in found:
            difference = [Difference.of(interval, k) for interval in paired]
            if name == "nll":
                difference = [Difference(-d.value, -d.high, -d.low) for d in difference]
            known = all(np.isfinite([d.low, d.high]).all() for d in difference)
            row["baseline"] = number(found[BASELINE].value[k])
            row["model − baseline [95 %]"] = worst(difference)
            row["verdict"] = verdict(difference) if known else MISSING
        rows.append(row)
    together = confusion_of(tables[models[0]], len(classes)).sum(axis=0)
    absent = [name for name, n in zip(classes, together.sum(axis=0) + together.sum(axis=1), strict=True) if not n]
    left_out = (
        f" Left out of means, since neither truth nor prediction has them: {', '.join(absent)}." if absent else ""
    )
    n = len(tables[models[0]])
    return Figure(
        "overall",
        "All metrics",
        f"All pixels of the {n} images of split {split} together; {seeds(models)}. Pixels without a label are not "
        f"judged.{left_out} Intervals: bootstrap over images, from the lowest to the highest end among seeds. "
        f"{DIFFERENCE} Where smaller is better the difference is baseline − model.",
        table=pd.DataFrame(rows),
    )


def class_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Overlap of each class beside the baseline, with the paired difference of the IoU."""
    tables = same_events(scores, split)
    models = trained(scores)
    confusion = {variant: confusion_of(table, len(classes)) for variant, table in tables.items()}
    together = {variant: counted.sum(axis=0) for variant, counted in confusion.items()}
    truth = next(iter(together.values())).sum(axis=1)
    paired = differences(confusion, models, segmentation.iou)
    rows = []
    for c, name in enumerate(classes):
        row: dict[str, object] = {
            "class": name,
            "pixels": int(truth[c]),
            "share [%]": number(100 * truth[c] / max(truth.sum(), 1), 2),
        }
        for word, metric in _OF_CLASS.items():
            values = {variant: metric(counted)[c] for variant, counted in together.items()}
            row[word + heading(together)] = beside(values, 3)
        if paired:
            row["IoU − baseline [95 %]"] = worst([Difference.of(interval, c) for interval in paired])
        rows.append(row)
    return Figure(
        "classes",
        "Classes",
        f"Judged pixels of all images of split {split} together; {seeds(models)}. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str, classes: Sequence[str]) -> Figure:
    """The same models on every split that was scored, without training them again."""
    models = trained(scores)
    shown = ("mean_iou", "accuracy", "frequency_weighted_iou", "mean_dice")
    rows, reference = [], float("nan")
    for split in splits_of(scores, nominal):
        tables = same_events(scores, split)
        matrices, statistic = _matrices(tables, classes, shown)
        values = {variant: statistic(matrix.sum(axis=0)[None])[0] for variant, matrix in matrices.items()}
        mean = float(np.mean([values[v][0] for v in models]))
        reference = mean if split == nominal else reference
        row: dict[str, object] = {"split": split, "images": len(next(iter(tables.values())))}
        row["mean IoU" + heading(values)] = beside({v: value[0] for v, value in values.items()}, 3)
        row[f"against {nominal}"] = MISSING if split == nominal else signed(mean - reference)
        for k, name in enumerate(shown[1:], 1):
            row[WORDS[name]] = number(np.mean([values[v][k] for v in models]), 3)
        if BASELINE in values:
            paired = differences(matrices, models, statistic)
            row["mean IoU − baseline [95 %]"] = worst([Difference.of(interval, 0) for interval in paired])
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Images made under other conditions than those of the training; {seeds(models)}. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def _matrices(
    tables: Mapping[str, pd.DataFrame], classes: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, np.ndarray], Statistic]:
    """Counts per image [E, columns] of each variant, and what makes metrics [R, names] of sums of them [R, columns]."""
    columns = counts(next(iter(tables.values()))).columns
    matrices = {variant: table[columns].to_numpy(np.float64) for variant, table in tables.items()}

    def statistic(sums: np.ndarray) -> np.ndarray:
        return metrics(pd.DataFrame(sums, columns=columns), classes)[list(names)].to_numpy(np.float64)

    return matrices, statistic
