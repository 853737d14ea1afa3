"""Score tables of triplets, from a store of predictions joined with its truth; neither model nor torch.

Triplets that were not written, because their score was below `data.min_score`, count as having a score of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.wire_products import GOOD_TRIPLET
from weft.metrics.binned import quantile
from weft.metrics.scores import Scores
from weft.metrics.segmentation import iou, mean_iou, mean_recall, recall
from weft.metrics.separation import SCORE_BINS, average_precision, efficiency, first_bin, purity, rejection, roc_auc
from weft.metrics.shares import share
from weft.tasks.larmatch.counting import (
    ANGLE_EDGES,
    CONFIDENCE_BINS,
    COUNTS,
    DISTANCE_BINS,
    DISTANCE_EDGES,
    THRESHOLDS,
    class_columns,
    event_counts,
    ghost_distance,
)
from weft.tasks.larmatch.event_curves import CURVE_COLUMNS, event_curves, table
from weft.tasks.larmatch.judged import Judged, read_judged
from weft.tasks.larmatch.options import Options

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    **COUNTS,
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "particle": "row of the particle in the event's `particles`; one without a good triplet has no row here",
    "pdg": "PDG code",
    "class": "class of the schema; −1 none",
    "shape": "semantic class of the particle's deposits",
    "energy_deposit": "energy that it left in the box [MeV]",
    "n_good": "good triplets of which most electrons are its own",
    "n_<t>": "those with a score of at least t hundredths",
    "sum_score": "sum of their scores",
}
_OBJECT_KINDS = {"uid": "u8", "split": "str", "energy_deposit": "f8", "sum_score": "f8"}
#: Angles, degrees, within which a direction counts as found.
WITHIN = 20
#: Shares of the good triplets at which the rejection of ghosts is quoted, per cent.
EFFICIENCIES = (90, 95, 99)


def score_shard(store: Store, split: str, shard: str, options: Options) -> Scores:
    """Score one shard.

    store: with `pixels` and `triplets` as the stage was fed them, the truth that `data.labels` names, and
    prediction/triplet_scores.
    Returns tables with the columns described in EVENT_COLUMNS, OBJECT_COLUMNS and the CURVE_COLUMNS of the slices.
    Raises WeftError naming shard and event for scores that do not fit.
    """
    counts, objects, curves = [], [], []
    for i in range(len(store)):
        judged = read_judged(store, i, options, shard)
        distance = ghost_distance(judged)
        counts.append(event_counts(judged, distance))
        curves.append(event_curves(judged, distance))
        objects.append(_objects(judged, judged.particles, options))
    uids = np.asarray(store.events["uid"])
    frame = pd.DataFrame({name: store.events[name] for name in ("run", "subrun", "event", "uid")})
    frame["split"] = pd.array([split] * len(frame), dtype="str")
    frame["shard"] = pd.array([shard] * len(frame), dtype="str")
    zero = event_counts(nothing(options), np.zeros(0))
    numbers = {name: np.array([c[name] for c in counts], value.dtype) for name, value in zero.items()}
    events = pd.concat([frame, pd.DataFrame(numbers)], axis=1)
    names = object_columns()
    found = [part.assign(uid=uid) for part, uid in zip(objects, uids, strict=True)]
    particles = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=names)
    particles["split"] = split
    particles = particles[names].astype({name: _OBJECT_KINDS.get(name, "i8") for name in names})
    tables = (events, particles, table(curves, uids, split))
    for made, meaning in zip(tables, (EVENT_COLUMNS, OBJECT_COLUMNS, CURVE_COLUMNS), strict=True):
        made.attrs = {"columns": dict(meaning)}
    return Scores(*tables)


def nothing(options: Options) -> Judged:
    """An event without anything, of which all is said that the options ask for."""
    from weft.io.deposits import WIRE_DEPOSITS
    from weft.io.larmatch_products import triplet_scores
    from weft.io.products import PARTICLES
    from weft.io.wire_products import PIXELS, TRIPLET_TRUTH, TRIPLETS
    from weft.triplets.labels import label_event

    heads = options.model.heads
    classes = options.data.labels.classes.classes if "semantics" in heads else ()
    said = triplet_scores(heads, classes)
    pixels, triplets, deposits, truth, particles = (
        np.zeros(0, schema.dtype) for schema in (PIXELS, TRIPLETS, WIRE_DEPOSITS, TRIPLET_TRUTH, PARTICLES)
    )
    labels = label_event(pixels, triplets, deposits, particles, options.data.labels)
    none = np.zeros(0, np.int64)
    return Judged(pixels, triplets, deposits, particles, truth, labels, np.zeros(0, said.dtype), none, classes, 0.0)


def object_columns() -> list[str]:
    """Names of the columns of the objects table."""
    return [
        other
        for name in OBJECT_COLUMNS
        for other in ([f"n_{round(100 * t)}" for t in THRESHOLDS] if name == "n_<t>" else [name])
    ]


def _objects(judged: Judged, particles: np.ndarray, options: Options) -> pd.DataFrame:
    good = judged.labels.good == GOOD_TRIPLET
    score, owner = judged.score[good], judged.truth["particle"][good].astype(np.int64)
    known = (owner >= 0) & (owner < len(particles))
    found, row = np.unique(owner[known], return_inverse=True)
    n = len(found)
    # The class is that of the particle's triplets, which is one for all of them.
    semantic = np.full(n, -1)
    semantic[row] = judged.labels.semantic[good][known]
    frame = {
        "particle": found,
        "pdg": particles["pdg"][found],
        "class": semantic,
        "shape": particles["shape"][found],
        "energy_deposit": particles["energy_deposit"][found],
        "n_good": np.bincount(row, minlength=n),
        "sum_score": np.bincount(row, score[known], n).astype(np.float64),
    }
    for t in THRESHOLDS:
        frame[f"n_{round(100 * t)}"] = np.bincount(row[score[known] >= np.float32(t)], minlength=n)
    return pd.DataFrame(frame)


# ------------------------------------------------------------------------------------------------------- metrics


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; NaN where undefined.

    average_precision, roc_auc; efficiency_at_<t>, purity_at_<t>: good triplets of at least score t over all good
    triplets, and over all with that score; all_efficiency_at_<t>: over all true cells; electron_efficiency_at_<t>,
    charge_completeness_at_<t>: share of the electrons and of the pixels' charge that they hold; ghost_rejection_<e>:
    share of the ghosts that is cut away where e % of the good are kept; good_share: purity of all candidates;
    candidate_efficiency, candidate_electrons, candidate_energy, charge_reachable: what no score can exceed;
    ghost_distance_<q>: quantiles, cm, at 0.5; best_right, best_within_1cm, best_median: of the highest-scoring
    candidate of each pixel of the last plane; best_at_most_<...>: the same of a score that is always right; ece:
    expected calibration error of what was written.
    With the heads: mean_recall, mean_iou, recall_<class>, iou_<class>, where a good triplet below 0.5 is missed;
    affinity_within_20deg, affinity_median, and affinity_axis_<...> of the angle between lines, whatever the sense;
    key_rms_<kind>, key_recall_<kind>, key_purity_<kind>, shift_error_<kind>.
    """
    good, ghost = histograms(counts)
    cells, distance = _column(counts, "cells"), _array(counts, "ghost_distance", DISTANCE_BINS)
    edges = np.append(DISTANCE_EDGES, np.inf)
    values: dict[str, np.ndarray] = {
        "average_precision": average_precision(good, ghost),
        "roc_auc": roc_auc(good, ghost),
        "good_share": share(good.sum(axis=1), good.sum(axis=1) + ghost.sum(axis=1)),
    }
    for percent in EFFICIENCIES:
        values[f"ghost_rejection_{percent}"] = rejection(good, ghost, percent / 100)
    for t in THRESHOLDS:
        kept, part = good[:, first_bin(t) :].sum(axis=1), round(100 * t)
        values |= {
            f"efficiency_at_{t}": efficiency(good, t),
            f"purity_at_{t}": purity(good, ghost, t),
            f"all_efficiency_at_{t}": share(kept, cells),
            f"electron_efficiency_at_{t}": share(_column(counts, f"electrons_{part}"), _column(counts, "electrons")),
            f"charge_completeness_at_{t}": share(_column(counts, f"charge_{part}"), _column(counts, "charge")),
        }
    values |= {
        "candidate_efficiency": share(_column(counts, "found"), cells),
        "candidate_electrons": share(_column(counts, "electrons_found"), _column(counts, "electrons")),
        "candidate_energy": share(_column(counts, "energy_found"), _column(counts, "energy")),
        "charge_reachable": share(_column(counts, "charge_found"), _column(counts, "charge")),
        "ghost_distance_median": quantile(distance, edges, 0.5),
        "ghost_distance_90": quantile(distance, edges, 0.9),
        "ghost_distance_99": quantile(distance, edges, 0.99),
        **_best_candidate(counts, "best"),
        **_best_candidate(counts, "best_at_most"),
        "ece": _calibration_error(counts),
        **_semantic_metrics(counts),
        **_affinity_metrics(counts),
        **_key_point_metrics(counts),
    }
    return pd.DataFrame(values, index=counts.index)


def histograms(counts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Good triplets and ghosts of each row by bin of the score, float64 [R, SCORE_BINS] each."""
    return _array(counts, "good", SCORE_BINS), _array(counts, "ghost", SCORE_BINS)


def classes_of(counts: pd.DataFrame) -> list[str]:
    """Names of the semantic classes of an events table; none where nothing was said of them."""
    ending = "_as_missed"
    return [
        name.removeprefix("class_").removesuffix(ending)
        for name in map(str, counts.columns)
        if name.startswith("class_") and name.endswith(ending)
    ]


def confusion(counts: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """float64 [R, K, K + 1]: good triplets by true class and what they were called, missed last."""
    n = len(classes)
    return counts[class_columns(classes)].to_numpy(np.float64).reshape(len(counts), n, n + 1)


def calibration(counts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triplets that were written, the good ones among them and the sums of their scores, [R, CONFIDENCE_BINS] each."""
    n, good, total = (_array(counts, name, CONFIDENCE_BINS) for name in ("sure", "sure_good", "sure_sum"))
    return n, good, total


def _within(distance: float) -> int:
    """Bins of distance that end at or below one of their edges."""
    return int(np.flatnonzero(np.isclose(DISTANCE_EDGES, distance))[0])


def _best_candidate(counts: pd.DataFrame, name: str) -> dict[str, np.ndarray]:
    """How far the best candidate of a pixel is from a good one."""
    best = _array(counts, name, DISTANCE_BINS)
    total = best.sum(axis=1)
    return {
        f"{name}_right": share(best[:, 0], total),
        f"{name}_within_1cm": share(best[:, : _within(1.0)].sum(axis=1), total),
        f"{name}_median": quantile(best, np.append(DISTANCE_EDGES, np.inf), 0.5),
    }


def _calibration_error(counts: pd.DataFrame) -> np.ndarray:
    n, good, total = calibration(counts)
    return share(np.abs(good - total).sum(axis=1), n.sum(axis=1))


def _semantic_metrics(counts: pd.DataFrame) -> dict[str, np.ndarray]:
    classes = classes_of(counts)
    if not classes:
        return {}
    matrix = confusion(counts, classes)
    values = {"mean_recall": mean_recall(matrix), "mean_iou": mean_iou(matrix)}
    for name, per_class in (("recall", recall(matrix)), ("iou", iou(matrix))):
        values |= {f"{name}_{classes[c]}": column for c, column in enumerate(per_class.T)}
    return values


def _affinity_metrics(counts: pd.DataFrame) -> dict[str, np.ndarray]:
    if "angle_0" not in counts:
        return {}
    angle = _array(counts, "angle", len(ANGLE_EDGES) - 1)
    near, half = int(np.searchsorted(ANGLE_EDGES, WITHIN)), angle.shape[1] // 2
    lines = angle[:, :half] + angle[:, : -half - 1 : -1]  # an angle and what it lacks of 180° are those of one line
    values = {}
    for name, counted, edges in (("affinity", angle, ANGLE_EDGES), ("affinity_axis", lines, ANGLE_EDGES[: half + 1])):
        values[f"{name}_within_{WITHIN}deg"] = share(counted[:, :near].sum(axis=1), counted.sum(axis=1))
        values[f"{name}_median"] = quantile(counted, edges, 0.5)
    return values


def _key_point_metrics(counts: pd.DataFrame) -> dict[str, np.ndarray]:
    values = {}
    for kind in KEY_POINT_KINDS:
        if f"key_error_{kind}" in counts:
            both = _column(counts, f"key_both_{kind}")
            mean = share(_column(counts, f"key_error_{kind}"), _column(counts, "key_points"))
            values[f"key_rms_{kind}"] = np.sqrt(mean)
            values[f"key_recall_{kind}"] = share(both, _column(counts, f"key_near_{kind}"))
            values[f"key_purity_{kind}"] = share(both, _column(counts, f"key_said_{kind}"))
        if f"shift_error_{kind}" in counts:
            values[f"shift_error_{kind}"] = share(
                _column(counts, f"shift_error_{kind}"), _column(counts, f"shift_{kind}")
            )
    return values


def _array(counts: pd.DataFrame, name: str, n: int) -> np.ndarray:
    return counts[[f"{name}_{k}" for k in range(n)]].to_numpy(np.float64)


def _column(counts: pd.DataFrame, name: str) -> np.ndarray:
    return counts[name].to_numpy(np.float64)
