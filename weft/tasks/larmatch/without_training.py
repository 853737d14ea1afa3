"""What needs no training, scored on the same events: keeping all candidates, and cutting on how well charges agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from weft.metrics.binned import quantile
from weft.metrics.separation import (
    SCORE_BINS,
    average_precision,
    efficiency,
    purity,
    rejection,
    roc_auc,
)
from weft.tasks.larmatch.counting import DISTANCE_BINS, DISTANCE_EDGES, THRESHOLDS
from weft.tasks.larmatch.event_curves import ALL_GHOSTS, RATIO, RATIO_GHOSTS
from weft.tasks.larmatch.score import EFFICIENCIES

#: Metrics that follow from how many good triplets and ghosts have which score.
SEPARATION = (
    "average_precision",
    "roc_auc",
    *(f"ghost_rejection_{e}" for e in EFFICIENCIES),
    *(f"{what}_at_{t}" for what in ("efficiency", "purity") for t in THRESHOLDS),
)
_EDGES = np.append(DISTANCE_EDGES, np.inf)


def agreement_counts(curves: pd.DataFrame, uids: np.ndarray, part: int | None = None) -> np.ndarray:
    """float64 [E, 2, SCORE_BINS]: good triplets and ghosts of each event by the agreement of their charges.

    curves: the curves table of one split. uids: of the events, increasing. part: 0 with three live pixels, 1 with a
    dead wire, None both.
    """
    rows = curves[(curves["curve"] == RATIO) & (True if part is None else curves["part"] == part)]
    counts = np.zeros((len(uids), 2, SCORE_BINS))
    event, score = np.searchsorted(uids, rows["uid"].to_numpy()), rows["bin"].to_numpy()
    for k, kind in enumerate(("good", "ghost")):
        np.add.at(counts[:, k], (event, score), rows[kind].to_numpy())
    return counts


def all_counts(agreement: np.ndarray) -> np.ndarray:
    """float64 [E, 2, SCORE_BINS]: the same with a score of 1 for every triplet."""
    counts = np.zeros_like(agreement)
    counts[..., -1] = agreement.sum(axis=-1)
    return counts


def ghost_distances(curves: pd.DataFrame, uids: np.ndarray, curve: str) -> np.ndarray:
    """float64 [E, DISTANCE_BINS]: ghosts of each event by distance; curve: ALL_GHOSTS or RATIO_GHOSTS."""
    rows = curves[curves["curve"] == curve]
    counts = np.zeros((len(uids), DISTANCE_BINS))
    counts[np.searchsorted(uids, rows["uid"].to_numpy()), rows["bin"].to_numpy()] = rows["ghost"]
    return counts


def separation_metrics(counts: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """float64 [R, names] of counts [R, 2, SCORE_BINS]; NaN for names that are not of :data:`SEPARATION`."""
    good, ghost = counts[..., 0, :], counts[..., 1, :]

    def value(name: str) -> np.ndarray:
        what, _, at = name.rpartition("_")
        if name == "average_precision":
            return average_precision(good, ghost)
        if name == "roc_auc":
            return roc_auc(good, ghost)
        if what == "ghost_rejection":
            return rejection(good, ghost, int(at) / 100)
        if what == "efficiency_at":
            return efficiency(good, float(at))
        if what == "purity_at":
            return purity(good, ghost, float(at))
        return np.full(counts.shape[:-2], np.nan)

    return np.stack([value(name) for name in names], axis=-1)


def values_without_training(
    curves: pd.DataFrame, uids: np.ndarray, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """{"charge agreement": {name: value}, "all candidates": …} of metrics of all events together, those that it has."""
    agreement = agreement_counts(curves, uids)
    found = {}
    for who, counts, ghosts in (
        ("charge agreement", agreement, RATIO_GHOSTS),
        ("all candidates", all_counts(agreement), ALL_GHOSTS),
    ):
        values = dict(zip(names, separation_metrics(counts.sum(axis=0), names).tolist(), strict=True))
        distance = ghost_distances(curves, uids, ghosts).sum(axis=0)
        for name, share in (("median", 0.5), ("90", 0.9), ("99", 0.99)):
            values[f"ghost_distance_{name}"] = float(quantile(distance, _EDGES, share))
        found[who] = values
    return found
