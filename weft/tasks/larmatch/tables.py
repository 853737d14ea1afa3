"""Tables of the LArMatch report: the model beside the baselines, classes, key points, parts of events, other
detectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.metrics.bootstrap import bootstrap, paired_bootstrap
from weft.metrics.scores import Scores, counts
from weft.metrics.segmentation import iou, recall
from weft.metrics.separation import average_precision
from weft.metrics.shares import share
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
    select,
    signed,
    splits_of,
    spread,
    trained,
    worst,
)  # fmt: skip
from weft.tasks.larmatch.score import classes_of, confusion, histograms, metrics
from weft.tasks.larmatch.slices import CHARGE_EDGES, COARSE, COARSE_EDGES, DRIFT_EDGES, SLICES
from weft.tasks.larmatch.without_training import (
    SEPARATION,
    agreement_counts,
    separation_metrics,
    values_without_training,
)

Metric = Callable[[np.ndarray], np.ndarray]
_REPLICAS = 1000

#: Name of a metric, how it reads, and whether more of it is better, 1, or less, −1. None: neither by itself, such as
#: the distance of ghosts that are kept, which a cut that keeps next to nothing makes small.
QUALITY: Sequence[tuple[str, str, int | None]] = (
    ("average_precision", "average precision", 1),
    ("roc_auc", "ROC area", 1),
    ("ghost_rejection_90", "ghosts rejected, 90 % of the good kept", 1),
    ("ghost_rejection_95", "ghosts rejected, 95 % of the good kept", 1),
    ("ghost_rejection_99", "ghosts rejected, 99 % of the good kept", 1),
    *((f"efficiency_at_{t}", f"efficiency at {t}, of good candidates", 1) for t in (0.2, 0.3, 0.5)),
    *((f"purity_at_{t}", f"purity at {t}", 1) for t in (0.2, 0.3, 0.5)),
    *((f"all_efficiency_at_{t}", f"efficiency at {t}, of all true cells", 1) for t in (0.2, 0.3, 0.5)),
    ("electron_efficiency_at_0.5", "electrons kept at 0.5", 1),
    *((f"charge_completeness_at_{t}", f"charge completeness at {t}", 1) for t in (0.2, 0.3, 0.5)),
    ("ghost_distance_median", "distance of ghosts at 0.5, median [cm]", None),
    ("ghost_distance_90", "distance of ghosts at 0.5, 90 % within [cm]", None),
    ("ghost_distance_99", "distance of ghosts at 0.5, 99 % within [cm]", None),
    ("best_right", "best candidate of a pixel is the true one", 1),
    ("best_within_1cm", "best candidate of a pixel within 1 cm", 1),
    ("ece", "expected calibration error", -1),
    ("mean_recall", "mean recall of classes", 1),
    ("mean_iou", "mean IoU of classes", 1),
    ("affinity_within_20deg", "directions within 20°", 1),
    ("affinity_median", "angle of directions, median [°]", -1),
)  # fmt: skip
BOUNDS: Sequence[tuple[str, str]] = (
    ("candidate_efficiency", "true cells that are candidates"),
    ("candidate_electrons", "electrons in candidates"),
    ("candidate_energy", "energy in candidates"),
    ("charge_reachable", "charge that is in pixels with a good candidate"),
    ("good_share", "good candidates among all"),
)


def counted(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> tuple[dict[str, np.ndarray], Metric]:
    """Counts per event [E, columns] of each variant, and the metrics of these names [R, names] of summed counts."""
    frames = {v: counts(table) for v, table in tables.items()}
    columns = next(iter(frames.values())).columns

    def metric(sums: np.ndarray) -> np.ndarray:
        return metrics(pd.DataFrame(sums, columns=columns))[list(names)].to_numpy(np.float64)

    return {v: frame[columns].to_numpy(np.float64) for v, frame in frames.items()}, metric


def overall_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Every metric of the model beside the fitted baseline, the agreement of charges, and no cut at all."""
    tables, models = same_events(scores, split), trained(scores)
    known = set(metrics(counts(next(iter(tables.values())))).columns)
    quality = [row for row in QUALITY if row[0] in known]
    names = [name for name, _, _ in quality]
    arrays, metric = counted(tables, names)
    first = scores[models[0]]
    curves, uids = select(first, split).curves, np.unique(tables[models[0]]["uid"])
    plain = values_without_training(curves, uids, names)
    pooled = {v: metric(a.sum(axis=0)[None])[0] for v, a in arrays.items()}
    intervals = [bootstrap(arrays[v], metric, _REPLICAS) for v in models]
    against = [paired_bootstrap(arrays[v], arrays[BASELINE], metric, _REPLICAS) for v in models if BASELINE in arrays]
    rows = []
    for k, (name, text, better) in enumerate(quality):
        row: dict[str, object] = {"metric": text, "model": spread([pooled[v][k] for v in models])}
        row["95 % interval"] = envelope(intervals, k)
        if against:
            found = [Difference.of(interval, k) for interval in against]
            row[BASELINE] = number(pooled[BASELINE][k])
            row |= {who: number(values.get(name, np.nan)) for who, values in plain.items()}
            row["model − baseline [95 %]"] = _worst(found, better)
            row["verdict"] = MISSING if better is None else _verdict(found, better)
        else:
            row |= {who: number(values.get(name, np.nan)) for who, values in plain.items()}
        rows.append(row)
    return Figure(
        "overall",
        "Good triplets and ghosts",
        f"Pooled over the {_events(tables)} of split {split}; {seeds(models)}. Baseline: a perceptron that "
        "sees the charges of a triplet's three pixels and whether they are dead. Charge agreement: the smallest of the "
        "charges over the largest, planes scaled alike; no learning. All candidates: no cut. Triplets that were not "
        "written for their low score are tied at 0. Good: electrons arrived where row and wires meet. Intervals: "
        f"bootstrap over events, from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def charge_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """How scores separate good triplets from ghosts, against the agreement of charges."""
    tables, models = same_events(scores, split), trained(scores)
    quality = [row for row in QUALITY if row[0] in SEPARATION]
    names = [name for name, _, _ in quality]
    uids = np.unique(tables[models[0]]["uid"])
    agreement = agreement_counts(select(scores[models[0]], split).curves, uids)

    def metric(sums: np.ndarray) -> np.ndarray:
        return separation_metrics(sums, names)

    arrays = {v: np.stack(histograms(tables[v]), axis=1) for v in models}
    against = [paired_bootstrap(array, agreement, metric, _REPLICAS) for array in arrays.values()]
    pooled = [metric(array.sum(axis=0)[None])[0] for array in arrays.values()]
    rows = []
    for k, (_, text, _) in enumerate(quality):
        found = [Difference.of(interval, k) for interval in against]
        row: dict[str, object] = {"metric": text, "model": spread([values[k] for values in pooled])}
        row["charge agreement"] = number(metric(agreement.sum(axis=0)[None])[0][k])
        row["model − charge agreement [95 %]"], row["verdict"] = worst(found), verdict(found)
        rows.append(row)
    return Figure(
        "charges",
        "Against the agreement of charges",
        f"The smallest of the three charges over the largest, from the same {_events(tables)}; its efficiency and "
        f"purity are those where it is at least 0.2, 0.3 and 0.5. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def _worst(found: Sequence[Difference], better: int | None) -> str:
    """Of the seed that does worst, which is the one that is highest where less is better."""
    if better != -1:
        return worst(found)
    highest = max(found, key=lambda d: d.high)
    return f"{signed(highest.value)} [{signed(highest.low)}, {signed(highest.high)}]"


def _verdict(found: Sequence[Difference], better: int) -> str:
    return verdict([Difference(-d.value, -d.high, -d.low) for d in found] if better < 0 else found)


def bounds_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """What the candidates allow at most."""
    tables, models = same_events(scores, split), trained(scores)
    first = {models[0]: tables[models[0]]}
    names = [name for name, _ in BOUNDS]
    arrays, metric = counted(first, names)
    interval = bootstrap(arrays[models[0]], metric, _REPLICAS)
    rows = [
        {"share": text, "value": number(interval.value[k]), "95 % interval": envelope([interval], k)}
        for k, (_, text) in enumerate(BOUNDS)
    ]
    table = tables[models[0]]
    n, unknown = table["triplets"].sum(), table["unknown"].sum()
    return Figure(
        "bounds",
        "Candidates",
        f"No score can find more than is among the candidates. {n / max(len(table), 1):,.0f} candidates an event"
        + (f", {unknown / max(n, 1):.1%} of unknown truth, which count as neither" if unknown else "")
        + ". A true cell is a row and three wires where electrons arrived; lost are those with a pixel below threshold "
        "or two dead wires.",
        table=pd.DataFrame(rows),
    )


def class_table(scores: Mapping[str, Scores], split: str) -> Figure | None:
    """Recall and IoU of each semantic class; None where nothing is said of them."""
    tables, models = same_events(scores, split), trained(scores)
    classes = classes_of(tables[models[0]])
    if not classes:
        return None
    arrays = {v: confusion(table, classes) for v, table in tables.items()}
    pooled = {v: a.sum(axis=0) for v, a in arrays.items()}
    found = differences(arrays, models, iou)
    truth = pooled[models[0]].sum(axis=1)
    rows = []
    for c, name in enumerate(classes):
        row: dict[str, object] = {"class": name, "good triplets": int(truth[c])}
        row["share [%]"] = number(100 * truth[c] / max(truth.sum(), 1), 2)
        for what, metric in (("recall", recall), ("IoU", iou)):
            row[what + heading(tables)] = beside({v: metric(matrix)[c] for v, matrix in pooled.items()}, 3)
        if found:
            row["IoU − baseline [95 %]"] = worst([Difference.of(d, c) for d in found])
        rows.append(row)
    return Figure(
        "classes",
        "Semantic classes",
        f"Good triplets by the class of the particle that most of their electrons come from; {_events(tables)} of "
        f"split {split}; {seeds(models)}. One with a score below 0.5 is missed, whatever class was said. {DIFFERENCE}",
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
    arrays, metric = counted(tables, names)
    pooled = {v: metric(a.sum(axis=0)[None])[0] for v, a in arrays.items()}
    rows = []
    for c, kind in enumerate(KEY_POINT_KINDS):
        row: dict[str, object] = {"key point": kind.replace("_", " ")}
        if f"key_near_{kind}" in tables[models[0]]:
            row["near triplets"] = int(tables[models[0]][f"key_near_{kind}"].sum())
        for k, (_, text) in enumerate(parts):
            row[text + heading(tables)] = beside({v: values[len(parts) * c + k] for v, values in pooled.items()}, 3)
        rows.append(row)
    return Figure(
        "key-points",
        "Key-point scores of triplets",
        f"Good triplets with a score of at least 0.5; {_events(tables)} of split {split}; {seeds(models)}. Near: a "
        "key-point score of at least 0.5. Points made of these scores are judged in the stage that makes them.",
        table=pd.DataFrame(rows),
    )


def part_names(curve: str) -> list[str]:
    """What the parts of a slicing are called."""
    if curve == "planes":
        return ["three live wires", "one dead wire"]
    edges, unit = (CHARGE_EDGES, " ADC") if curve == "charge" else (DRIFT_EDGES, "°")
    return [
        f"{low:g} to {high:g}{unit}" if np.isfinite(high) else f"from {low:g}{unit}"
        for low, high in itertools.pairwise(edges)
    ]


def slice_counts(scores: Scores, curve: str) -> np.ndarray:
    """float64 [E, parts, 2, coarse bins]: good triplets and ghosts of each event by part and score."""
    uids = np.unique(scores.events["uid"])
    rows = scores.curves[scores.curves["curve"] == curve]
    event, part, score = (np.searchsorted(uids, rows["uid"]), rows["part"].to_numpy(), rows["bin"].to_numpy())
    size = (len(uids), SLICES[curve], len(COARSE))
    at = np.ravel_multi_index((event, part.astype(np.int64), score.astype(np.int64)), size)
    # Several seeds have the same events: their counts add up.
    kinds = [np.bincount(at, rows[kind].to_numpy(np.float64), int(np.prod(size))) for kind in ("good", "ghost")]
    return np.stack([kind.reshape(size) for kind in kinds], axis=2)


def slice_metrics(sums: np.ndarray) -> np.ndarray:
    """float64 [..., 3]: efficiency and purity at 0.5, and average precision, of sums [..., 2, coarse bins]."""
    good, ghost = sums[..., 0, :], sums[..., 1, :]
    start = int(np.searchsorted(COARSE_EDGES, np.float32(0.5)))
    kept, left = good[..., start:].sum(axis=-1), ghost[..., start:].sum(axis=-1)
    some_ghosts = ghost.sum(axis=-1) > 0
    return np.stack(
        [
            share(kept, good.sum(axis=-1)),
            np.where(some_ghosts, share(kept, kept + left), np.nan),
            np.where(some_ghosts, average_precision(good, ghost), np.nan),
        ],
        axis=-1,
    )


def slice_table(judged: Mapping[str, Scores]) -> Figure:
    """Efficiency, purity and average precision of parts of the events; judged: the model and the baseline."""
    rows = []
    for curve, title in (("planes", "wires"), ("charge", "mean charge"), ("angle", "angle to the drift")):
        arrays = {name: slice_counts(part, curve).sum(axis=0) for name, part in judged.items()}
        values = {name: slice_metrics(array) for name, array in arrays.items()}
        first = next(iter(arrays.values())).sum(axis=-1) / _seeds(judged)
        for p, part in enumerate(part_names(curve)):
            row: dict[str, object] = {"slice": title, "part": part, "good": round(first[p, 0])}
            row["ghosts"] = None if curve == "angle" else round(first[p, 1])
            for k, what in enumerate(("efficiency at 0.5", "purity at 0.5", "average precision")):
                row[what + heading(judged)] = _pair({name: value[p, k] for name, value in values.items()})
            rows.append(row)
    return Figure(
        "slices",
        "Parts of events",
        "Mean charge of the live pixels, planes scaled alike. The angle is that of the true direction, which ghosts do "
        "not have: 0° lies along the drift, 90° along the wire planes. The counts of all seeds are added.",
        table=pd.DataFrame(rows),
    )


def _pair(values: Mapping[str, float]) -> str:
    return " / ".join(number(value, 3) for value in values.values())


def _seeds(judged: Mapping[str, Scores]) -> int:
    """How often the first has each event."""
    events = next(iter(judged.values())).events["uid"]
    return max(1, len(events) // max(events.nunique(), 1))


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same models on every split that was scored, without training them again."""
    models = trained(scores)
    names = ("average_precision", "ghost_rejection_95", "efficiency_at_0.5", "purity_at_0.5", "candidate_efficiency")
    texts = ("average precision", "ghosts rejected at 95 %", "efficiency at 0.5", "purity at 0.5")
    rows = []
    reference = np.nan
    for split in splits_of(scores, nominal):
        tables = same_events(scores, split)
        arrays, metric = counted(tables, names)
        values = {v: metric(a.sum(axis=0)[None])[0] for v, a in arrays.items()}
        row: dict[str, object] = {"split": split, "events": len(tables[models[0]])}
        row["candidates' efficiency"] = number(values[models[0]][4], 3)
        for k, text in enumerate(texts):
            row[text + heading(tables)] = beside({v: value[k] for v, value in values.items()}, 3)
        mean = float(np.mean([values[v][0] for v in models]))
        reference = mean if split == nominal else reference
        row[f"average precision against {nominal}"] = MISSING if split == nominal else signed(mean - reference)
        found = differences({v: np.stack(histograms(t), axis=1) for v, t in tables.items()}, models, _area)
        if found:
            row["average precision − baseline [95 %]"] = worst([Difference.of(d) for d in found])
        rows.append(row)
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {seeds(models)}. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def _area(sums: np.ndarray) -> np.ndarray:
    return average_precision(sums[..., 0, :], sums[..., 1, :])


def _events(tables: Mapping[str, pd.DataFrame]) -> str:
    return f"{len(next(iter(tables.values())))} events"
