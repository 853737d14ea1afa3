"""The curves table: triplets of an event by score, in parts of it; and by what baselines without a training say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weft.metrics.separation import SCORE_BINS, score_bin
from weft.tasks.larmatch.charge_ratio import charge_score, scaled_charges
from weft.tasks.larmatch.counting import distance_counts
from weft.tasks.larmatch.judged import CUT, Judged
from weft.tasks.larmatch.parts import COARSE, parts_of

#: What scores of baselines without a training are made of, and what their ghosts are counted by.
RATIO, RATIO_GHOSTS, ALL_GHOSTS = "ratio", "ratio_ghosts", "all_ghosts"
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "curve": "planes, charge, angle: triplets by score in parts of an event; ratio: all of them by "
    "`weft.tasks.larmatch.charge_ratio.charge_score`; ratio_ghosts, all_ghosts: ghosts by distance, those of three "
    "live pixels whose charges agree to a factor of two, and all",
    "part": "planes, ratio: 0 three live pixels, 1 a dead wire; charge: bin of `CHARGE_EDGES`; angle: bin of "
    "`DRIFT_EDGES`; else 0",
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
    coarse = np.searchsorted(COARSE, score_bin(judged.score), side="right") - 1
    parts = parts_of(charges, judged.labels.affinity)
    made = [_counted(name, part, coarse, len(COARSE), good, ghost) for name, part in parts.items()]
    plain = charge_score(charges)
    made.append(_counted(RATIO, parts["planes"], score_bin(plain), SCORE_BINS, good, ghost))
    for name, chosen in ((ALL_GHOSTS, distance), (RATIO_GHOSTS, distance[plain[ghost] >= CUT])):
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


def _counted(name: str, part: np.ndarray, number: np.ndarray, n_bins: int, good: np.ndarray, ghost: np.ndarray) -> Rows:
    valid = part >= 0
    at = part * n_bins + number
    size = int(part.max(initial=-1) + 1) * n_bins
    counted = [np.bincount(at[valid & kind], minlength=size) for kind in (good, ghost)]
    seen = np.flatnonzero(counted[0] + counted[1])
    return Rows(name, seen // n_bins, seen % n_bins, counted[0][seen], counted[1][seen])
