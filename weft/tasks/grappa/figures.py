"""Figures of a GrapPA report: the clustering, as for every clustering, and the answers of the heads beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores
from weft.report.clustering import clustering_figures
from weft.report.comparison import Difference, verdict
from weft.report.confusion import confusion_panels
from weft.report.figure import Figure
from weft.report.variants import (
    DIFFERENCE,
    differences,
    envelope,
    number,
    pooled,
    same_events,
    seeds,
    select,
    spread,
    trained,
    worst,
)  # fmt: skip
from weft.tasks.grappa.options import ModelOptions
from weft.tasks.grappa.score import COLUMNS, CONFUSION, TYPES, VERTEX_MARKS, metrics

#: What the report calls the groups of each instance.
GROUPS = {"shower": "showers", "track": "tracks", "particle": "particles", "interaction": "interactions"}
#: head: (metric, its name, whether more is better)
_ROWS: Mapping[str, Sequence[tuple[str, str, bool]]] = {
    "edge": [
        ("edge_accuracy", "pairs answered rightly", True),
        ("edge_recall", "pairs found that belong together", True),
    ],
    "primary": [
        ("primary_groups", "groups with the right primary", True),
        ("primary_accuracy", "nodes, primary or not, told rightly", True),
        ("primary_recall", "primary nodes found", True),
    ],
    "pid": [
        ("pid_accuracy", "types told rightly", True),
        ("pid_mean_recall", "types told rightly, mean of the types", True),
        *((f"pid_recall_{name}", f"of each {name}", True) for name in TYPES),
    ],
    "orientation": [("orientation_accuracy", "directions of tracks told rightly", True)],
    "momentum": [
        ("momentum_error", "mean size of the relative residual of p", False),
        ("momentum_bias", "mean relative residual of p", False),
    ],
    "vertex": [
        ("vertex_distance", "mean distance of the vertex [cm]", False),
        *((f"vertex_within_{mark}cm", f"vertices within {mark} cm", True) for mark in VERTEX_MARKS),
    ],
}


def figures(scores: Mapping[str, Scores], split: str, options: ModelOptions) -> list[Figure]:
    """Tables and drawings from the scores of each variant; split: the one to judge by."""
    made = [answer_table(scores, split, options)]
    if "edge" in options.heads:
        made = [*clustering_figures(scores, split, GROUPS[options.instance]), *made]
    if "pid" in options.heads:
        made.append(confusion_figure({name: select(part, split) for name, part in pooled(scores).items()}))
    return made


def answer_table(scores: Mapping[str, Scores], split: str, options: ModelOptions) -> Figure:
    """What the heads say of pairs and nodes, with intervals, beside the baseline."""
    tables, models = same_events(scores, split), trained(scores)
    asked = [
        (head, *row)
        for head in options.heads
        for row in _ROWS[head]
        if row[0] != "primary_groups" or options.nodes == "fragments"
    ]
    statistic = _Statistic([metric for _, metric, _, _ in asked], tables[models[0]])
    counts = {v: table[statistic.columns].to_numpy(np.float64) for v, table in tables.items()}
    values = {v: statistic(c.sum(0)[None])[0] for v, c in counts.items()}
    intervals = [bootstrap(counts[v], statistic) for v in models]
    against = differences(counts, models, statistic)
    rows = []
    for k, (head, _, label, more) in enumerate(asked):
        row: dict[str, object] = {"head": head, "metric": label, "model": spread([values[v][k] for v in models])}
        row["95 % interval"] = envelope(intervals, k)
        if against:
            row["baseline"] = number(values[BASELINE][k])
            difference = [Difference.of(d, k) for d in against]
            row["model − baseline [95 %]"] = worst(difference)
            row["verdict"] = verdict(difference) if more else "lower is better"
        rows.append(row)
    return Figure(
        "answers",
        "Pairs and nodes",
        f"What was said of each judged pair and node, {len(tables[models[0]])} events of split {split}; "
        f"{seeds(models)}. Intervals: bootstrap over events, from the lowest to the highest end among seeds. "
        f"{DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def confusion_figure(scores: Mapping[str, Scores]) -> Figure:
    """Share of the nodes of each true type by predicted type, with their numbers."""
    shape = len(TYPES), len(TYPES)
    counts = {name: part.events[CONFUSION].sum().to_numpy(np.int64).reshape(shape) for name, part in scores.items()}
    labels, title = ("predicted type", "true type"), "Particle types of the model and the baseline"
    svg = confusion_panels("pid", counts, TYPES, TYPES, labels, title, (3.9, 3.5))
    return Figure(
        "pid",
        "Particle types",
        "Per cent of the particles of a true type (rows) by predicted type, their number below; the counts of all "
        "seeds are added.",
        svg=svg,
    )


class _Statistic:
    """Some metrics of counts as arrays, for a bootstrap: [R, counts] to [R, metrics]."""

    def __init__(self, names: Sequence[str], events: pd.DataFrame) -> None:
        self.names, self.columns = list(names), list(COLUMNS)
        # Counts of the clustering, which these metrics do not depend on but the function of all metrics asks for.
        self._others = [str(name) for name in events.select_dtypes("number") if str(name).endswith("_all")]

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame(sums, columns=self.columns)
        frame[self._others] = 0.0
        return metrics(frame)[self.names].to_numpy(np.float64)
