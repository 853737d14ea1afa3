"""Tables of how well good triplets are told from ghosts: the model beside the baselines, what the candidates allow at
most, and other detectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from weft.metrics.bootstrap import bootstrap, paired_bootstrap
from weft.metrics.scores import Scores, counts
from weft.report.comparison import Difference, verdict
from weft.report.figure import Figure
from weft.report.quality import LESS, NEITHER, Quality, counted, events_of, quality_table, shift_rows
from weft.report.variants import DIFFERENCE, envelope, number, same_events, seeds, select, spread, trained, worst
from weft.tasks.larmatch.counting import THRESHOLDS
from weft.tasks.larmatch.part_views import slice_counts
from weft.tasks.larmatch.parts import COARSE, part_names
from weft.tasks.larmatch.score import EFFICIENCIES, WITHIN, histograms, metrics
from weft.tasks.larmatch.without_training import (
    SEPARATION,
    agreement_counts,
    separation_metrics,
    values_without_training,
)

_REPLICAS = 1000
_SHIFT_REPLICAS = 400

#: The distance of ghosts that are kept is neither better nor worse by itself: a cut that keeps next to nothing makes it
#: small.
QUALITY = (
    Quality("average_precision", "average precision"),
    Quality("roc_auc", "ROC area"),
    *(Quality(f"ghost_rejection_{e}", f"ghosts rejected, {e} % of the good kept") for e in EFFICIENCIES),
    *(Quality(f"electron_efficiency_at_{t}", f"electrons kept at {t}, of all that arrived") for t in THRESHOLDS),
    *(Quality(f"efficiency_at_{t}", f"efficiency at {t}, of good candidates") for t in THRESHOLDS),
    *(Quality(f"purity_at_{t}", f"purity at {t}") for t in THRESHOLDS),
    *(Quality(f"all_efficiency_at_{t}", f"efficiency at {t}, of all true cells") for t in THRESHOLDS),
    *(Quality(f"charge_completeness_at_{t}", f"charge completeness at {t}") for t in THRESHOLDS),
    Quality("ghost_distance_median", "distance of ghosts at 0.5, median [cm]", NEITHER),
    *(Quality(f"ghost_distance_{p}", f"distance of ghosts at 0.5, {p} % within [cm]", NEITHER) for p in (90, 99)),
    Quality("best_right", "best candidate of a pixel is the true one"),
    Quality("best_within_1cm", "best candidate of a pixel within 1 cm"),
    Quality("ece", "expected calibration error", LESS),
    Quality("mean_recall", "mean recall of classes"),
    Quality("mean_iou", "mean IoU of classes"),
    Quality(f"affinity_within_{WITHIN}deg", f"directions within {WITHIN}°"),
    Quality("affinity_median", "angle of directions, median [°]", LESS),
    Quality(f"affinity_axis_within_{WITHIN}deg", f"directions within {WITHIN}° in either sense"),
    Quality("affinity_axis_median", "angle of directions in either sense, median [°]", LESS),
)
#: What a score that is always right reaches, and where there is nothing to score.
BOUNDS = {
    "candidate_electrons": "electrons in candidates",
    "candidate_efficiency": "true cells that are candidates",
    "candidate_energy": "energy in candidates",
    "charge_reachable": "charge that is in pixels with a good candidate",
    "good_share": "good candidates among all",
    "best_at_most_right": "best candidate of a pixel is the true one, at most",
    "best_at_most_within_1cm": "best candidate of a pixel within 1 cm, at most",
}
_SHIFTS = {
    "average_precision": "average precision",
    "ghost_rejection_95": "ghosts rejected at 95 %",
    "efficiency_at_0.5": "efficiency at 0.5",
    "purity_at_0.5": "purity at 0.5",
    "candidate_electrons": "electrons in candidates",
}


def overall_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Every metric of the model beside the fitted baseline, the agreement of charges, and no cut at all."""
    tables, models = same_events(scores, split), trained(scores)
    known = set(metrics(counts(tables[models[0]])).columns)
    rows = [row for row in QUALITY if row.name in known]
    names = [row.name for row in rows]
    curves, uids = select(scores[models[0]], split).curves, np.unique(tables[models[0]]["uid"])
    others = values_without_training(curves, uids, names)
    return Figure(
        "overall",
        "Good triplets and ghosts",
        f"Pooled over the {events_of(tables)} of split {split}; {seeds(models)}. Baseline: what is known of a triplet "
        "by itself, without its surroundings. Charge agreement: the smallest of its charges over the largest, planes "
        "scaled alike, those with a dead wire last; no learning. All candidates: no cut. Triplets that were not "
        "written for their low score are tied at 0. Good: enough electrons arrived where row and wires meet. "
        f"Intervals: bootstrap over events, from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=quality_table(counted(tables, metrics, names), models, rows, _REPLICAS, others, 3),
    )


def charge_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """How scores separate good triplets from ghosts, against the agreement of charges: of all, and of those with three
    live wires or a dead one by themselves."""
    tables, models = same_events(scores, split), trained(scores)
    chosen = {v: select(scores[v], split) for v in models}
    curves, uids = chosen[models[0]].curves, np.unique(tables[models[0]]["uid"])
    quality = [row for row in QUALITY if row.name in SEPARATION]
    arrays = {v: np.stack(histograms(tables[v]), axis=1) for v in models}
    rows = _against(arrays, agreement_counts(curves, uids), {row.name: row.text for row in quality})
    for part, name in enumerate(part_names("planes")):
        arrays = {v: slice_counts(found, "planes")[:, part] for v, found in chosen.items()}
        plain = np.add.reduceat(agreement_counts(curves, uids, part), COARSE, axis=-1)
        rows += _against(arrays, plain, {row.name: f"{row.text}, {name}" for row in quality[:2]})
    return Figure(
        "charges",
        "Against the agreement of charges",
        f"The smallest of the three charges over the largest, from the same {events_of(tables)}; its efficiency and "
        "purity are those where it is at least 0.2, 0.3 and 0.5. Two charges agree by chance more often than three: "
        f"candidates with a dead wire rank behind the others, and are below these cuts. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def _against(arrays: Mapping[str, np.ndarray], plain: np.ndarray, names: Mapping[str, str]) -> list[dict[str, object]]:
    """A row for each of the metrics `names`, {name: text}; counts of each model and of the agreement: [E, 2, bins]."""

    def metric(sums: np.ndarray) -> np.ndarray:
        return separation_metrics(sums, list(names))

    against = [paired_bootstrap(array, plain, metric, _REPLICAS) for array in arrays.values()]
    pooled = [metric(array.sum(axis=0)[None])[0] for array in arrays.values()]
    agreement = metric(plain.sum(axis=0)[None])[0]
    rows = []
    for k, text in enumerate(names.values()):
        found = [Difference.of(interval, k) for interval in against]
        row: dict[str, object] = {"metric": text, "model": spread([values[k] for values in pooled], 3)}
        row["charge agreement"] = number(agreement[k], 3)
        row["model − charge agreement [95 %]"] = worst(found, decimals=3)
        row["verdict"] = verdict(found)
        rows.append(row)
    return rows


def bounds_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """What the candidates allow at most."""
    tables, models = same_events(scores, split), trained(scores)
    table = tables[models[0]]
    found = counted({models[0]: table}, metrics, list(BOUNDS))
    interval = bootstrap(found.arrays[models[0]], found.statistic, _REPLICAS)
    rows = [
        {"share": text, "value": number(interval.value[k], 3), "95 % interval": envelope([interval], k, 3)}
        for k, text in enumerate(BOUNDS.values())
    ]
    n, unknown = table["triplets"].sum(), table["unknown"].sum()
    return Figure(
        "bounds",
        "What the candidates allow",
        f"No score can find more than is among the candidates. {n / max(len(table), 1):,.0f} candidates an event"
        + (f", {unknown / max(n, 1):.1%} of unknown truth, which count as neither" if unknown else "")
        + ". A true cell is a row and three wires where enough electrons arrived; lost are those with a pixel below "
        "threshold or two dead wires. Many pixels have several good candidates, of which one only can score highest: "
        "at most, the one with most electrons does.",
        table=pd.DataFrame(rows),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The same models on every split that was scored, without training them again."""
    return Figure(
        "shifts",
        "Shifted conditions",
        f"Events made under other detector conditions than those of the training; {seeds(trained(scores))}. Intervals: "
        f"bootstrap over events. {DIFFERENCE}",
        table=shift_rows(scores, nominal, metrics, list(_SHIFTS.items()), _SHIFT_REPLICAS),
    )
