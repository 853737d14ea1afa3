"""Good triplets and ghosts by score for parts of an event: with and without a dead wire, by charge, by direction; and
what the baselines that need no training make of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weft.metrics.binned import bin_of
from weft.metrics.separation import SCORE_BINS, SCORE_EDGES, first_bin, score_bin
from weft.tasks.larmatch.charge_ratio import charge_agreement, scaled_charges
from weft.tasks.larmatch.counting import THRESHOLDS, distance_counts
from weft.tasks.larmatch.judged import CUT, Judged

#: Edges of the bins of mean charge of the live pixels, ADC.
CHARGE_EDGES = np.array([0.0, 15, 25, 40, 60, 100, 200, np.inf])
#: Edges of the bins of the angle between a particle and the drift direction, degrees; 90 lies across it.
DRIFT_EDGES = np.array([0.0, 20, 40, 60, 75, 85, 90])
#: Bins of the score in slices, as the first bins of those of all triplets.
COARSE = np.unique([0, *(first_bin(k / 20) for k in range(1, 20)), *(first_bin(t) for t in THRESHOLDS),
                    *np.searchsorted(SCORE_EDGES, [0.01, 0.02, 0.98, 0.99, 0.998, 0.9998])])  # fmt: skip
COARSE_EDGES = np.append(SCORE_EDGES[COARSE], np.float32(1))
SLICES: Mapping[str, int] = {"planes": 2, "charge": len(CHARGE_EDGES) - 1, "angle": len(DRIFT_EDGES) - 1}
"""parts of each slicing"""

#: What scores of baselines without a training are made of, and what their ghosts are counted by.
RATIO, RATIO_GHOSTS, ALL_GHOSTS = "ratio", "ratio_ghosts", "all_ghosts"
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "curve": "planes, charge, angle: triplets by score in parts of an event; ratio: all of them by how well their "
    "charges agree; ratio_ghosts, all_ghosts: ghosts by distance, those whose charges agree to a factor of two and all",
    "part": "planes: 0 three live pixels, 1 a dead wire; charge: bin of `CHARGE_EDGES`; angle: bin of `DRIFT_EDGES`; "
    "else 0",
    "bin": "planes, charge, angle: bin of `COARSE_EDGES` of the score; ratio: bin of `weft.metrics.separation."
    "SCORE_EDGES`; ghosts: bin of `weft.tasks.larmatch.counting.DISTANCE_EDGES`",
    "good": "good triplets",
    "ghost": "ghosts; none by angle, for they have no direction",
}
_KINDS = {"uid": "u8", "split": "str", "curve": "str", "part": "i2", "bin": "i2", "good": "i8", "ghost": "i8"}


@dataclass(frozen=True)
class Rows:
    """Rows of the curves table of one event and curve; integer arrays [n]."""

    curve: str
    part: np.ndarray
    bin: np.ndarray
    good: np.ndarray
    ghost: np.ndarray


def event_curves(judged: Judged, distance: np.ndarray) -> list[Rows]:
    """What the curves table says of one event. distance: `ghost_distance` of it."""
    good, ghost = judged.good, judged.ghost
    charges = scaled_charges(judged.pixels, judged.triplets)
    known = np.isfinite(charges)
    mean = np.where(known, charges, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    parts = {
        "planes": (~known.all(axis=1)).astype(np.int64),
        "charge": bin_of(mean, CHARGE_EDGES),
        "angle": drift_part(judged.labels.affinity),
    }
    coarse = np.searchsorted(COARSE, score_bin(judged.score), side="right") - 1
    made = [_counted(name, part, coarse, len(COARSE), good, ghost) for name, part in parts.items()]
    agreement = charge_agreement(charges)
    made.append(_counted(RATIO, np.zeros(len(good), np.int64), score_bin(agreement), SCORE_BINS, good, ghost))
    for name, chosen in ((ALL_GHOSTS, distance), (RATIO_GHOSTS, distance[agreement[ghost] >= CUT])):
        counted = distance_counts(chosen)
        bins = np.flatnonzero(counted)
        made.append(Rows(name, np.zeros_like(bins), bins, np.zeros_like(bins), counted[bins]))
    return made


def table(events: Sequence[Sequence[Rows]], uids: np.ndarray, split: str) -> pd.DataFrame:
    """The curves table of several events."""
    rows = [(uid, row) for uid, event in zip(uids, events, strict=True) for row in event]
    lengths = [len(row.bin) for _, row in rows]
    columns: dict[str, np.ndarray] = {
        "uid": np.repeat(np.array([uid for uid, _ in rows], np.uint64), lengths),
        "split": np.full(sum(lengths), split, object),
        "curve": np.repeat(np.array([row.curve for _, row in rows], object), lengths),
    }
    for name in ("part", "bin", "good", "ghost"):
        columns[name] = np.concatenate([np.zeros(0, np.int64), *(getattr(row, name) for _, row in rows)])
    return pd.DataFrame(columns)[list(CURVE_COLUMNS)].astype(_KINDS)


def drift_part(direction: np.ndarray) -> np.ndarray:
    """int64 (n,): bin of :data:`DRIFT_EDGES` of the angle between lines along unit vectors (n, 3) and the drift
    direction x; −1 where there is none."""
    found = np.full(len(direction), -1)
    known = np.isfinite(direction).all(axis=1)
    angle = np.degrees(np.arccos(np.clip(np.abs(direction[known, 0]), 0, 1)))
    found[known] = bin_of(angle, DRIFT_EDGES)
    return found


def _counted(name: str, part: np.ndarray, number: np.ndarray, n_bins: int, good: np.ndarray, ghost: np.ndarray) -> Rows:
    valid = part >= 0
    at = part * n_bins + number
    size = int(part.max(initial=-1) + 1) * n_bins
    counted = [np.bincount(at[valid & kind], minlength=size) for kind in (good, ghost)]
    seen = np.flatnonzero(counted[0] + counted[1])
    return Rows(name, seen // n_bins, seen % n_bins, counted[0][seen], counted[1][seen])
