"""What is counted of one event: numbers that add up over events, from which every metric is made.

A name stands for one number or for an array, whose numbers become columns `<name>_<k>` of the events table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial import cKDTree

from weft.io.deposits import CELL, arrived
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.metrics.binned import bin_of
from weft.metrics.calibration import confidence_bins
from weft.metrics.separation import SCORE_BINS, score_bin
from weft.tasks.larmatch.judged import CUT, Judged
from weft.triplets.truth import cell_keys

#: Scores at which the field quotes efficiency and purity (spec §8).
THRESHOLDS = (0.2, 0.3, 0.5)
#: Edges of the bins of distance, cm. The first ends where only rounding of positions is left.
DISTANCE_EDGES = np.concatenate([[0.0], np.geomspace(0.01, 1000.0, 51)])
DISTANCE_BINS = len(DISTANCE_EDGES)
"""the last holds what is farther, or infinitely far"""
#: Edges of the bins of angle, degrees.
ANGLE_EDGES = np.linspace(0.0, 180.0, 73)
#: Equal bins of the score, for the calibration.
CONFIDENCE_BINS = 20
#: Key-point scores from here on are near a key point.
NEAR = 0.5


COUNTS: Mapping[str, str] = {
    "triplets": "triplets",
    "written": "those with a score that was written",
    "unknown": "triplets of unknown truth: neither good nor ghosts",
    "good_<b>": "good triplets with a score in bin b of `weft.metrics.separation.SCORE_EDGES`; 0 where not written",
    "ghost_<b>": "ghosts, likewise",
    "cells": "true cells: a row and three wires where at least `labels.min_electrons` arrived",
    "found": "those that are triplets",
    "electrons": "electrons that arrived where wires meet, few or many",
    "electrons_found": "those in triplets, good or of unknown truth",
    "electrons_<t>": "those in triplets with a score of at least t hundredths",
    "energy": "energy deposited where electrons arrived [MeV]",
    "energy_found": "that in triplets [MeV]",
    "charge": "charge of all live pixels [ADC]",
    "charge_found": "that of pixels with a good triplet [ADC]",
    "charge_<t>": "that of pixels with a good triplet of a score of at least t hundredths [ADC]",
    "ghost_distance_<k>": "kept ghosts (score at least 0.5) by the distance to the nearest true cell, in bins of "
    "`DISTANCE_EDGES`; the last is beyond",
    "best_<k>": "good triplets by the distance of the highest-scoring triplet on their pixel of the last plane; "
    "the last also where none was written",
    "best_at_most_<k>": "the same of a score that is highest for the good triplet with most electrons of each pixel",
    "sure_<k>": "good triplets and ghosts that were written, in equal bins of the score",
    "sure_good_<k>": "the good ones of them",
    "sure_sum_<k>": "sum of their scores",
    "class_<true>_as_<said>": "good triplets by true class and the class said to be most likely; `missed`: of a score "
    "below 0.5",
    "angle_<k>": "kept good triplets by the angle between the said and the true direction, in bins of `ANGLE_EDGES`",
    "key_points": "kept good triplets with key-point scores, said and true",
    "key_error_<kind>": "sum of their squared errors of the key-point score",
    "key_near_<kind>": "those whose true score is at least 0.5",
    "key_said_<kind>": "those whose said score is at least 0.5",
    "key_both_<kind>": "those where both are",
    "shift_<kind>": "kept good triplets with a key point of the kind in reach",
    "shift_error_<kind>": "sum of their distances between the said and the true place of it [cm]",
}


def event_counts(judged: Judged, distance: np.ndarray) -> dict[str, np.ndarray]:
    """Counts of one event by column of the events table, each a number.

    distance: :func:`ghost_distance`.
    """
    score, good, ghost = judged.score, judged.good, judged.ghost
    bins = score_bin(score)
    counts: dict[str, np.ndarray | float] = {
        "triplets": len(good),
        "written": len(judged.row),
        "unknown": int((~good & ~ghost).sum()),
        "good": np.bincount(bins[good], minlength=SCORE_BINS),
        "ghost": np.bincount(bins[ghost], minlength=SCORE_BINS),
        **_cells(judged, score),
        **_charge(judged, score),
        "ghost_distance": distance_counts(distance[score[ghost] >= CUT]),
        "best": distance_counts(best_candidate_distance(judged)),
        "best_at_most": distance_counts(best_possible_distance(judged)),
        **_calibration(judged),
        **_semantics(judged, score),
        **_affinity(judged),
        **_key_points(judged),
        **_shift(judged),
    }
    return flat(counts)


def flat(counts: Mapping[str, np.ndarray | float]) -> dict[str, np.ndarray]:
    """With a name for each number of an array."""
    found: dict[str, np.ndarray] = {}
    for name, value in counts.items():
        value = np.asarray(value)
        found |= {f"{name}_{k}": v for k, v in enumerate(value)} if value.ndim else {name: value}
    return found


def ghost_distance(judged: Judged) -> np.ndarray:
    """float64: of each ghost, cm to the nearest place that electrons of a true cell came from; infinite where there is
    none."""
    deposits = judged.cells
    ghosts = judged.position[judged.ghost]
    if not len(deposits) or not len(ghosts):
        return np.full(len(ghosts), np.inf)
    return cKDTree(np.stack([deposits[axis] for axis in "xyz"], axis=1)).query(ghosts)[0]


def best_candidate_distance(judged: Judged) -> np.ndarray:
    """float64: for each good triplet the distance, cm, of the highest-scoring triplet in its row and on its wire of the
    last plane (spec §8, the first tool), 0 where that is itself; infinite where none of them was written. Of equal
    scores the first counts."""
    return _chosen_distance(judged, judged.row, judged.said["larmatch"])


def best_possible_distance(judged: Judged) -> np.ndarray:
    """The same of a score that is highest for the good triplet with most electrons of each pixel: one of its triplets
    can be the best, though several are good."""
    rows = np.flatnonzero(judged.good)
    return _chosen_distance(judged, rows, judged.truth["electrons"][rows])


def _chosen_distance(judged: Judged, rows: np.ndarray, score: np.ndarray) -> np.ndarray:
    pixel = judged.triplets["pixel_2"]
    order = np.lexsort((rows, -np.asarray(score, np.float64), pixel[rows]))
    rows = rows[order]
    asked, first = np.unique(pixel[rows], return_index=True)
    best = np.full(len(judged.pixels) + 1, -1)
    best[asked] = rows[first]
    good = np.flatnonzero(judged.good)
    found = best[pixel[good]]
    position = judged.position
    distance = np.linalg.norm(position[found] - position[good], axis=1)
    return np.where(found >= 0, distance, np.inf)


def distance_counts(distance: np.ndarray) -> np.ndarray:
    """int64 [DISTANCE_BINS]"""
    return np.bincount(bin_of(distance, np.append(DISTANCE_EDGES, np.inf)), minlength=DISTANCE_BINS)


def _cells(judged: Judged, score: np.ndarray) -> dict[str, float]:
    deposits, truth = arrived(judged.deposits), judged.truth
    columns = [judged.cells[name] for name in CELL]
    found = {
        "cells": len(np.unique(cell_keys(columns, columns)[0])),
        "found": int(judged.good.sum()),
        "electrons": float(deposits["electrons"].sum(dtype=np.float64)),
        "electrons_found": float(truth["electrons"].sum(dtype=np.float64)),
    }
    for t in THRESHOLDS:
        found[_at("electrons", t)] = float(truth["electrons"][score >= np.float32(t)].sum(dtype=np.float64))
    found["energy"] = float(deposits["energy"].sum(dtype=np.float64))
    found["energy_found"] = float(truth["energy"].sum(dtype=np.float64))
    return found


def _charge(judged: Judged, score: np.ndarray) -> dict[str, float]:
    charge = np.where(judged.pixels["dead"] == 0, judged.pixels["charge"], 0).astype(np.float64)
    members = judged.members

    def covered(rows: np.ndarray) -> float:
        in_one = np.zeros(len(charge), bool)
        in_one[members[rows]] = True
        return float(charge[in_one].sum())

    found = {"charge": float(charge.sum()), "charge_found": covered(judged.good)}
    return found | {_at("charge", t): covered(judged.good & (score >= np.float32(t))) for t in THRESHOLDS}


def _at(name: str, threshold: float) -> str:
    return f"{name}_{round(100 * threshold)}"


def _calibration(judged: Judged) -> dict[str, np.ndarray]:
    score = judged.said["larmatch"].astype(np.float64)
    good = judged.good[judged.row]
    known = good | judged.ghost[judged.row]
    bins = confidence_bins(score[known], CONFIDENCE_BINS)
    return {
        "sure": np.bincount(bins, minlength=CONFIDENCE_BINS),
        "sure_good": np.bincount(bins[good[known]], minlength=CONFIDENCE_BINS),
        "sure_sum": np.bincount(bins, score[known], CONFIDENCE_BINS).astype(np.float64),
    }


def class_columns(classes: Sequence[str]) -> list[str]:
    """Names of the confusion counts, true class by true class."""
    return [f"class_{true}_as_{said}" for true in classes for said in (*classes, "missed")]


def _semantics(judged: Judged, score: np.ndarray) -> dict[str, float]:
    probability = judged.answers("semantics")
    if probability is None:
        return {}
    n = len(judged.classes)
    called = np.full(len(score), n)
    kept = score[judged.row] >= CUT
    called[judged.row[kept]] = probability[kept].argmax(axis=1)
    true = judged.labels.semantic
    labelled = true >= 0
    flat = true[labelled].astype(np.int64) * (n + 1) + called[labelled]
    return dict(zip(class_columns(judged.classes), np.bincount(flat, minlength=n * (n + 1)).tolist(), strict=True))


def _kept_good(judged: Judged) -> np.ndarray:
    """bool (m,): of the triplets that were written."""
    return judged.good[judged.row] & (judged.said["larmatch"] >= CUT)


def _affinity(judged: Judged) -> dict[str, np.ndarray]:
    said = judged.answers("affinity")
    if said is None:
        return {}
    kept = _kept_good(judged)
    angle = angle_between(said[kept], judged.labels.affinity[judged.row[kept]])
    angle = angle[np.isfinite(angle)]
    return {"angle": np.bincount(bin_of(angle, ANGLE_EDGES), minlength=len(ANGLE_EDGES) - 1)}


def angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 (n,): degrees between vectors (n, 3) of any length; NaN where one is none."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    size = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = np.divide((first * second).sum(axis=1), size, out=np.full(len(first), np.nan), where=size > 0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _key_points(judged: Judged) -> dict[str, float]:
    said = judged.answers("key_points")
    if said is None:
        return {}
    kept = _kept_good(judged) & np.isfinite(judged.labels.key_points[judged.row]).all(axis=1)
    said, true = said[kept], judged.labels.key_points[judged.row[kept]].astype(np.float64)
    found: dict[str, float] = {"key_points": int(kept.sum())}
    for k, kind in enumerate(KEY_POINT_KINDS):
        is_near, is_said = true[:, k] >= NEAR, said[:, k] >= NEAR
        found[f"key_error_{kind}"] = float(((said[:, k] - true[:, k]) ** 2).sum())
        found[f"key_near_{kind}"] = int(is_near.sum())
        found[f"key_said_{kind}"] = int(is_said.sum())
        found[f"key_both_{kind}"] = int((is_near & is_said).sum())
    return found


def _shift(judged: Judged) -> dict[str, float]:
    said = judged.answers("shift")
    if said is None:
        return {}
    kept = _kept_good(judged)
    way = said.reshape(-1, len(KEY_POINT_KINDS), 3)[kept]
    distance = np.linalg.norm(way - judged.labels.shift[judged.row[kept]], axis=2)
    found: dict[str, float] = {}
    for k, kind in enumerate(KEY_POINT_KINDS):
        near = distance[np.isfinite(distance[:, k]), k]
        found[f"shift_{kind}"], found[f"shift_error_{kind}"] = len(near), float(near.sum())
    return found
