"""Tables and figures of any clustering, from the score tables of :mod:`weft.reco.clustering_scores`.

Curves of a model add the counts of all its seeds; shaded bands are 95 % bootstrap intervals over events.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.io.products import CLASSES
from weft.metrics.bootstrap import bootstrap
from weft.metrics.clustering_counts import GOOD_ARI, count_columns, metrics, suffixes_of
from weft.metrics.scores import Scores
from weft.report.comparison import Difference, verdict
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import CLASS_NAMES
from weft.report.ratio_panels import ENERGY_EDGES, binned, ratio_panels
from weft.report.variants import (
    DIFFERENCE,
    MISSING,
    beside,
    differences,
    envelope,
    heading,
    number,
    pooled,
    same_events,
    seeds,
    select,
    signed,
    splits_of,
    spread,
    trained,
    worst,
)  # fmt: skip

#: (metric, its name, what it is the mean of)
_ROWS = (
    ("ari", "ARI", "events"),
    ("ari_above_092", f"share with ARI > {GOOD_ARI}", "events"),
    ("ami", "AMI", "events"),
    ("sbd", "SBD", "events"),
    ("purity", "purity", "predicted clusters"),
    ("voxel_purity", "purity", "voxels"),
    ("event_purity", "purity", "events, predicted clusters in each"),
    ("efficiency", "efficiency", "true clusters"),
    ("voxel_efficiency", "efficiency", "voxels"),
    ("event_efficiency", "efficiency", "events, true clusters in each"),
)
_CLASS_ROWS = {"ari": "ARI", "purity": "purity", "efficiency": "efficiency", "sbd": "SBD"}
#: Edges of the bins of voxels of a cluster; what lies outside joins the first or last bin.
SIZE_EDGES = np.geomspace(1.0, 10_000.0, 13)
_FEWEST = 10  # clusters of a bin that is drawn


def clustering_figures(scores: Mapping[str, Scores], split: str, what: str = "fragments") -> list[Figure]:
    """Tables (all, per class, shifted conditions) and figures (ARI of events, efficiency and purity by size, energy).

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline.
    split: the one to judge by; further ones are shifted test sets. what: the clusters' name in captions, in the plural.
    Raises WeftError where there are no scores of the split, and where variants were scored on different events.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    made = [overall_table(scores, split, what), class_table(scores, split, what), ari_figure(judged)]
    if any(len(part.objects) for part in judged.values()):
        for side in ("truth", "prediction"):
            made += [share_figure(judged, side, "voxels", what), share_figure(judged, side, "energy", what)]
    if len(splits_of(scores, split)) > 1:
        made.append(shift_table(scores, split, what))
    return made


def overall_table(scores: Mapping[str, Scores], split: str, what: str) -> Figure:
    """Every metric of all judged voxels, with intervals, beside the baseline."""
    counts, statistic = _counts(scores, split)
    models, values = trained(scores), statistic.of(counts)
    intervals = [bootstrap(counts[v], statistic) for v in models]
    against = differences(counts, models, statistic)
    rows = []
    for metric, label, of in _ROWS:
        k = statistic.names.index(metric)
        row: dict[str, object] = {
            "metric": label,
            "mean over": of,
            "model": spread([values[v][metric] for v in models]),
        }
        row["95 % interval"] = envelope(intervals, k)
        if against:
            row["baseline"] = number(values[BASELINE][metric])
            difference = [Difference.of(d, k) for d in against]
            row["model − baseline [95 %]"] = worst(difference)
            row["verdict"] = verdict(difference)
        rows.append(row)
    return Figure(
        "overall",
        f"All {what}",
        f"Voxels of {what} of all classes, {_events(counts)} of split {split}; {seeds(models)}. ARI, AMI, SBD: "
        "adjusted Rand index, adjusted mutual information, symmetric best Dice. Purity: share of a predicted cluster "
        "from the true one that it has most of; efficiency: share of a true cluster in the predicted one that has most "
        f"of it. Intervals: bootstrap over events, from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def class_table(scores: Mapping[str, Scores], split: str, what: str) -> Figure:
    """The main metrics of each class, both clusterings restricted to its voxels, with the paired difference in ARI."""
    counts, statistic = _counts(scores, split)
    models, values, both = trained(scores), statistic.of(counts), heading(scores)
    against = differences(counts, models, statistic)
    first = dict(zip(statistic.columns, counts[models[0]].sum(axis=0), strict=True))
    rows = []
    for k, name in CLASSES.items():
        if f"ari_{name}" not in statistic.names:
            continue
        row: dict[str, object] = {"class": CLASS_NAMES[k]}
        row[f"true {what}"], row["voxels"] = int(first[f"true_{name}"]), int(first[f"voxels_{name}"])
        for metric, label in _CLASS_ROWS.items():
            row[label + both] = beside({v: value[f"{metric}_{name}"] for v, value in values.items()}, 3)
        if against:
            place = statistic.names.index(f"ari_{name}")
            row["ARI − baseline [95 %]"] = worst([Difference.of(d, place) for d in against])
        rows.append(row)
    return Figure(
        "classes",
        "Classes",
        f"True and predicted {what} restricted to the voxels of a true class; {_events(counts)} of split {split}; "
        f"{seeds(models)}. ARI, SBD: means over events; purity, efficiency: means over clusters. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str, what: str) -> Figure:
    """The same models on every split that was scored, without training them again."""
    models, both = trained(scores), heading(scores)
    rows, reference = [], np.nan
    for split in splits_of(scores, nominal):
        counts, statistic = _counts(scores, split)
        values = statistic.of(counts)
        row: dict[str, object] = {"split": split, "events": len(next(iter(counts.values())))}
        for metric, label in _CLASS_ROWS.items():
            row[label + both] = beside({v: value[metric] for v, value in values.items()}, 3)
        mean = float(np.mean([values[v]["ari"] for v in models]))
        reference = mean if split == nominal else reference
        row[f"ARI against {nominal}"] = MISSING if split == nominal else signed(mean - reference)
        if BASELINE in counts:
            place = statistic.names.index("ari")
            against = [Difference.of(d, place) for d in differences(counts, models, statistic)]
            row["ARI, model − baseline [95 %]"] = worst(against)
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"{what[:1].upper()}{what[1:]} of events made under other detector conditions than those of the training; "
        f"{seeds(models)}. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def ari_figure(scores: Mapping[str, Scores]) -> Figure:
    """Distribution of the ARI over events; scores: the model and the baseline."""
    values = {name: metrics(part.events)["ari"].to_numpy() for name, part in scores.items()}
    svg = event_histogram("ari", values, "ARI of an event", "Distribution of the ARI over events", GOOD_ARI)
    return Figure(
        "ari",
        "ARI of events",
        f"Share of the events by their adjusted Rand index; the line is at {GOOD_ARI}; events below the axis are in "
        "its first bin.",
        svg=svg,
    )


def share_figure(scores: Mapping[str, Scores], side: str, against: str, what: str) -> Figure:
    """Efficiency of true or purity of predicted clusters against their voxels or energy, for each class."""
    name, kind = ("efficiency", "true") if side == "truth" else ("purity", "predicted")
    edges, of = (SIZE_EDGES, "size") if against == "voxels" else (ENERGY_EDGES, "energy")
    key = f"{name}-{of}"
    counts = {variant: _shares(part, side, against, edges) for variant, part in scores.items()}
    label = f"{of} of the {kind} cluster [{'voxels' if against == 'voxels' else 'MeV'}]"
    return Figure(
        key,
        f"{name.capitalize()} against the {of}",
        f"Mean {name} of {kind} {what} by the {of} of each; bins of fewer than {_FEWEST} are left out. "
        "Bands: 95 % intervals over events.",
        svg=ratio_panels(counts, edges, label, name, _FEWEST),
    )


def _shares(scores: Scores, side: str, against: str, edges: np.ndarray) -> np.ndarray:
    """Clusters and the sum of their shares by event, class and bin: [E, C, bins, 2]."""
    rows = scores.objects[scores.objects["side"] == side]
    bins = len(edges) - 1
    index = np.clip(np.searchsorted(edges, rows[against].to_numpy(np.float64), side="right") - 1, 0, bins - 1)
    share = rows["overlap"].to_numpy(np.float64) / rows["voxels"].to_numpy(np.float64)
    scored = suffixes_of(scores.events)
    n_classes = 1 + max((k for k, name in CLASSES.items() if name in scored), default=-1)
    values = [np.ones(len(rows)), share]
    uids = np.unique(scores.events["uid"])
    return binned(uids, rows["uid"].to_numpy(), rows["class"].to_numpy(), index, values, n_classes, bins)


class _Statistic:
    """Metrics of counts as arrays, for a bootstrap: [R, counts] to [R, metrics]."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns
        self.names = [str(name) for name in metrics(pd.DataFrame(columns=columns, dtype=np.float64))]

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        return metrics(pd.DataFrame(sums, columns=self.columns)).to_numpy(np.float64)

    def of(self, counts: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
        """Pooled metrics by variant and name, from counts per event."""
        pooled_counts = {variant: c.sum(axis=0)[None] for variant, c in counts.items()}
        return {variant: dict(zip(self.names, self(c)[0], strict=True)) for variant, c in pooled_counts.items()}


def _counts(scores: Mapping[str, Scores], split: str) -> tuple[dict[str, np.ndarray], _Statistic]:
    """Counts [E, K] of each variant, the same event in the same row of all, and what makes metrics of them."""
    tables = same_events(scores, split)
    columns = count_columns(next(iter(tables.values())))
    return {v: table[columns].to_numpy(np.float64) for v, table in tables.items()}, _Statistic(columns)


def _events(counts: Mapping[str, np.ndarray]) -> str:
    return f"{len(next(iter(counts.values())))} events"
