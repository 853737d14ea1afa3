"""Parts of events that a score is judged in by itself: with and without a dead wire, by charge, by direction."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from weft.metrics.binned import bin_of
from weft.metrics.separation import SCORE_EDGES, first_bin
from weft.tasks.larmatch.counting import THRESHOLDS

#: Edges of the bins of mean charge of the live pixels, ADC.
CHARGE_EDGES = np.array([0.0, 15, 25, 40, 60, 100, 200, np.inf])
#: Edges of the bins of the angle between a particle and the drift direction, degrees; 90 lies across it.
DRIFT_EDGES = np.array([0.0, 20, 40, 60, 75, 85, 90])
#: Bins of the score in parts, as the first bins of those of all triplets.
COARSE = np.unique([0, *(first_bin(k / 20) for k in range(1, 20)), *(first_bin(t) for t in THRESHOLDS),
                    *np.searchsorted(SCORE_EDGES, [0.01, 0.02, 0.98, 0.99, 0.998, 0.9998])])  # fmt: skip
COARSE_EDGES = np.append(SCORE_EDGES[COARSE], np.float32(1))

#: By what events are divided: what that reads like, and its parts.
SLICES: Mapping[str, str] = {"planes": "wires", "charge": "mean charge", "angle": "angle to the drift"}


def part_names(slicing: str) -> list[str]:
    """What the parts of a slicing are called."""
    if slicing == "planes":
        return ["three live wires", "one dead wire"]
    edges, unit = (CHARGE_EDGES, " ADC") if slicing == "charge" else (DRIFT_EDGES, "°")
    return [
        f"{low:g} to {high:g}{unit}" if np.isfinite(high) else f"from {low:g}{unit}"
        for low, high in itertools.pairwise(edges)
    ]


def parts_of(charges: np.ndarray, direction: np.ndarray) -> dict[str, np.ndarray]:
    """By slicing the part of each triplet, int64 (n,); −1 where it is in none.

    charges: (n, 3) of its pixels, planes scaled alike, NaN where dead. direction: unit vectors (n, 3), NaN where there
    is none.
    """
    known = np.isfinite(charges)
    mean = np.where(known, charges, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return {
        "planes": (~known.all(axis=1)).astype(np.int64),
        "charge": bin_of(mean, CHARGE_EDGES),
        "angle": drift_part(direction),
    }


def drift_part(direction: np.ndarray) -> np.ndarray:
    """int64 (n,): bin of :data:`DRIFT_EDGES` of the angle between lines along unit vectors (n, 3) and the drift
    direction x; −1 where there is none."""
    found = np.full(len(direction), -1)
    known = np.isfinite(direction).all(axis=1)
    angle = np.degrees(np.arccos(np.clip(np.abs(direction[known, 0]), 0, 1)))
    found[known] = bin_of(angle, DRIFT_EDGES)
    return found
