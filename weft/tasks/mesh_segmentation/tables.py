"""Tables of the report of segmented meshes: metrics by number and by area of faces, class by class, other splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weft.metrics.scores import Scores
from weft.metrics.segmentation import f1, iou, precision, recall
from weft.report.comparison import Difference
from weft.report.figure import Figure
from weft.report.quality import LESS, Quality, counted, quality_table, shift_rows
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
from weft.tasks.mesh_segmentation.score import WEIGHTINGS, confusion_of, metrics

_REPLICAS = 1000
_DIFFERENCE = DIFFERENCE_OVER.format("tile")
_WORDS: Mapping[str, str] = {
    "mean_f1": "mean F1",
    "mean_iou": "mean IoU",
    "accuracy": "overall accuracy",
    "mean_accuracy": "mean class accuracy",
    "weighted_iou": "frequency-weighted IoU",
}
_CLASS_METRICS = {"F1": f1, "IoU": iou, "precision": precision, "recall": recall}
#: What a face counts, in words, by weighting.
_COUNTED = {"n": "faces", "a": "area"}


def overall_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str]) -> Figure:
    """Metrics over all classes beside the baseline, with intervals over tiles."""
    tables = same_events(scores, split)
    qualities = [
        Quality(f"{prefix}{name}", f"{words}, {_COUNTED[weighting]}")
        for weighting, prefix in WEIGHTINGS.items()
        for name, words in _WORDS.items()
    ]
    qualities.append(Quality("nll", "−ln probability of the true class, smaller is better", LESS))
    what = counted(tables, lambda rows: metrics(rows, classes), [quality.name for quality in qualities])
    models = trained(scores)
    return Figure(
        "overall",
        "All classes",
        f"Over {_tiles(tables)} of split {split}, their faces together; {seeds(models)}. Faces: every labelled face "
        "counts once; area: by its area in m², as the evaluation of SUM counts. "
        f"{absent(tables, classes)}Intervals: bootstrap over tiles, from the lowest to the highest end among seeds. "
        f"{_DIFFERENCE}",
        table=quality_table(what, models, qualities, _REPLICAS),
    )


def absent(tables: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> str:
    """Which classes no mean is over, in words; nothing where there are none.

    tables: events tables, by variant.
    """
    said = []
    for variant, table in tables.items():
        confusion = confusion_of(table).sum(axis=0)
        missing = [classes[c] for c in range(len(classes)) if confusion[c].sum() + confusion[:, c].sum() == 0]
        if missing:
            said.append(f"{', '.join(missing)} ({variant})")
    if not said:
        return ""
    return f"Left out of means, as neither truth nor prediction has a face of them: {'; '.join(said)}. "


def class_table(scores: Mapping[str, Scores], split: str, classes: Sequence[str], weighting: str) -> Figure:
    """Each class beside the baseline, with the paired difference of the F1; weighting: n by faces, a by area."""
    tables = same_events(scores, split)
    models, both = trained(scores), heading(tables)
    confusion = {variant: confusion_of(table, weighting) for variant, table in tables.items()}
    pooled = {variant: counts.sum(axis=0) for variant, counts in confusion.items()}
    truth = next(iter(pooled.values())).sum(axis=1)
    paired = differences(confusion, models, f1)
    by_area = weighting == "a"
    rows = []
    for c, name in enumerate(classes):
        row: dict[str, object] = {"class": name}
        row |= {"area [m²]": float(truth[c])} if by_area else {"faces": int(truth[c])}
        row["share [%]"] = number(100 * truth[c] / truth.sum() if truth.sum() else np.nan, 2)
        for words, metric in _CLASS_METRICS.items():
            row[words + both] = beside({variant: metric(counts)[c] for variant, counts in pooled.items()}, 3)
        if paired:
            row["F1 − baseline [95 %]"] = worst([Difference.of(interval, c) for interval in paired], decimals=3)
        rows.append(row)
    by = "area, as the evaluation of SUM counts" if by_area else "number of faces"
    return Figure(
        "classes-by-area" if by_area else "classes",
        "Classes by area" if by_area else "Classes",
        f"By {by}, over {_tiles(tables)} of split {split}; {seeds(models)}. The F1 of a class is its Dice. "
        f"{_DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str, classes: Sequence[str]) -> Figure:
    """The same models on every split that was scored, without training them again."""
    columns = [("mean_f1", "mean F1"), ("area_mean_iou", "mean IoU by area"), ("accuracy", "accuracy")]
    table = shift_rows(scores, nominal, lambda rows: metrics(rows, classes), columns, _REPLICAS)
    return Figure(
        "shifts",
        "Other splits",
        f"Tiles that differ from those of the training; {seeds(trained(scores))}. {_DIFFERENCE}",
        table=table.rename(columns={"events": "tiles"}),
    )


def _tiles(tables: Mapping[str, pd.DataFrame]) -> str:
    n = len(next(iter(tables.values())))
    return f"{n} tile{'' if n == 1 else 's'}"
