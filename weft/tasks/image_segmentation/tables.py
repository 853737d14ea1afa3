"""Tables of the report of segmented pictures: all metrics, class by class, and under shifted conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from weft.metrics import segmentation
from weft.metrics.scores import Scores
from weft.report.comparison import Difference
from weft.report.figure import Figure
from weft.report.quality import LESS, MORE, Quality, counted, quality_table, shift_rows
from weft.report.variants import (
    DIFFERENCE_OVER,
    beside,
    differences,
    heading,
    number,
    same_events,
    seeds,
    trained,
    worst,
)
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
_DIFFERENCE = DIFFERENCE_OVER.format("image")


def overall_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Every metric beside the baseline, with intervals over images."""
    tables = same_events(scores, split)
    models = trained(scores)
    qualities = [Quality(name, words, LESS if name == "nll" else MORE) for name, words in WORDS.items()]
    what = counted(tables, lambda rows: metrics(rows, classes), tuple(WORDS))
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
        f"{_DIFFERENCE}",
        table=quality_table(what, models, qualities, _REPLICAS),
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
        f"Judged pixels of all images of split {split} together; {seeds(models)}. {_DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str, classes: Sequence[str]) -> Figure:
    """The same models on every split that was scored, without training them again."""
    columns = [(name, WORDS[name]) for name in ("mean_iou", "accuracy", "frequency_weighted_iou", "mean_dice")]
    table = shift_rows(scores, nominal, lambda rows: metrics(rows, classes), columns, _REPLICAS)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Images made under other conditions than those of the training; {seeds(trained(scores))}. {_DIFFERENCE}",
        table=table.rename(columns={"events": "images"}),
    )
