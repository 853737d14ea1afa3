"""Tables of what a network says of good triplets besides that they are good: classes and key points."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINT_NAMES
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores, counts
from weft.metrics.segmentation import Metric, iou, recall
from weft.report.comparison import Difference
from weft.report.figure import Figure
from weft.report.quality import counted, events_of
from weft.report.variants import DIFFERENCE, beside, differences, heading, number, same_events, seeds, trained, worst
from weft.tasks.larmatch.score import classes_of, confusion, metrics

_REPLICAS = 400
_CLASS_METRICS: Mapping[str, Metric] = {"recall": recall, "IoU": iou}


def class_table(scores: Mapping[str, Scores], split: str) -> Figure | None:
    """Recall and IoU of each semantic class; None where nothing is said of them."""
    tables, models = same_events(scores, split), trained(scores)
    classes = classes_of(tables[models[0]])
    if not classes:
        return None
    arrays = {v: confusion(table, classes) for v, table in tables.items()}
    pooled = {v: a.sum(axis=0) for v, a in arrays.items()}
    intervals = {
        what: [bootstrap(arrays[v], metric, _REPLICAS) for v in models] for what, metric in _CLASS_METRICS.items()
    }
    found = differences(arrays, models, iou)
    truth = pooled[models[0]].sum(axis=1)
    rows = []
    for c, name in enumerate(classes):
        row: dict[str, object] = {"class": name, "good triplets": int(truth[c])}
        row["share [%]"] = number(100 * truth[c] / max(truth.sum(), 1), 2)
        for what, metric in _CLASS_METRICS.items():
            values = {v: metric(matrix)[c] for v, matrix in pooled.items()}
            row[what + heading(tables)] = beside(values, 3, intervals[what], c)
        if found:
            row["IoU − baseline [95 %]"] = worst([Difference.of(d, c) for d in found], decimals=3)
        rows.append(row)
    return Figure(
        "classes",
        "Semantic classes",
        f"Good triplets by the class of the particle that most of their electrons come from; {events_of(tables)} of "
        f"split {split}; {seeds(models)}. One with a score below 0.5 is missed, whatever class was said. Intervals: "
        f"bootstrap over events. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def key_point_table(scores: Mapping[str, Scores], split: str) -> Figure | None:
    """How well the scores of key points are said; None where there are none."""
    tables, models = same_events(scores, split), trained(scores)
    known = set(metrics(counts(tables[models[0]])).columns)
    parts = [
        (prefix, text)
        for prefix, text in (
            ("key_rms", "rms error of the score"),
            ("key_recall", "near ones said to be near"),
            ("key_purity", "said ones that are near"),
            ("shift_error", "error of the place [cm]"),
        )
        if f"{prefix}_{KEY_POINT_KINDS[0]}" in known
    ]
    if not parts:
        return None
    names = [f"{prefix}_{kind}" for kind in KEY_POINT_KINDS for prefix, _ in parts]
    found = counted(tables, metrics, names)
    pooled, intervals = found.pooled(), found.intervals(models, _REPLICAS)
    rows = []
    for c, kind in enumerate(KEY_POINT_KINDS):
        row: dict[str, object] = {"key point": KEY_POINT_NAMES[kind]}
        if f"key_near_{kind}" in tables[models[0]]:
            row["near triplets"] = int(tables[models[0]][f"key_near_{kind}"].sum())
        for k, (_, text) in enumerate(parts):
            at = len(parts) * c + k
            row[text + heading(tables)] = beside({v: values[at] for v, values in pooled.items()}, 3, intervals, at)
        rows.append(row)
    return Figure(
        "key-points",
        "Key-point scores of triplets",
        f"Good triplets with a score of at least 0.5; {events_of(tables)} of split {split}; {seeds(models)}. Near: a "
        "key-point score of at least 0.5. Intervals: bootstrap over events. Points made of these scores are judged in "
        "the stage that makes them.",
        table=pd.DataFrame(rows),
    )
