"""Types and primaries that a semantic class allows (spec, head and §1.11)."""

from __future__ import annotations

import numpy as np

from weft.io.products import DELTA, MICHEL, SHOWER, TRACK
from weft.io.reco_products import ELECTRON, KAON, MUON, PHOTON, PION, PROTON

ALLOWED = {
    SHOWER: (PHOTON, ELECTRON),
    TRACK: (MUON, PION, PROTON, KAON),
    MICHEL: (ELECTRON,),
    DELTA: (ELECTRON,),
}


def restrict_types(scores: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """float64 [n, k]: probabilities of types with those that the class forbids set to 0, the rest scaled to sum to 1.

    Where nothing allowed has any score the allowed ones share alike. NaN stays, as do rows of a class not known.
    """
    scores = np.asarray(scores, np.float64)
    allowed = np.ones(scores.shape, bool)
    for c, pids in ALLOWED.items():
        allowed[np.asarray(shape) == c] = np.isin(np.arange(scores.shape[1]), pids)
    kept = np.where(allowed, scores, 0 * scores)
    total = kept.sum(axis=1, keepdims=True)
    alike = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
    return np.where(total > 0, kept / np.where(total > 0, total, 1), np.where(np.isnan(scores), np.nan, alike))


def restrict_primaries(scores: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """float64 [n]: probability to be primary, 0 for Michel electrons and deltas."""
    scores = np.asarray(scores, np.float64)
    return np.where(np.isin(shape, (MICHEL, DELTA)), 0 * scores, scores)


def best_type(scores: np.ndarray, thresholds: dict[int, float] | None = None) -> np.ndarray:
    """int8 [n]: the most probable type, the lowest of equals; −1 where scores are NaN.

    thresholds: a type, in this order, is taken as soon as its probability, given that none before was taken, reaches
    its threshold, 0 is never enough; where none is reached the most probable one is taken.
    """
    scores = np.asarray(scores, np.float64)
    known = ~np.isnan(scores).any(axis=1)
    best = np.full(len(scores), -1, np.int8)
    best[known] = scores[known].argmax(axis=1) if scores.shape[1] else -1
    if not thresholds:
        return best
    undecided, left = known.copy(), np.where(known[:, None], scores, 0.0)
    for pid, threshold in thresholds.items():
        total = left.sum(axis=1)
        share = np.divide(left[:, pid], total, out=np.zeros(len(left)), where=total > 0)
        taken = undecided & (share >= threshold) & (left[:, pid] > 0)
        best[taken] = pid
        undecided &= ~taken
        left[:, pid] = 0
    return best
