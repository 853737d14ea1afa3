"""Which triplets of an event a training step sees (specs/larmatch.md §5.2).

Good ones and ghosts half and half, some of the good ones close to key points, all without replacement. A function of
the labels and of the generator given alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.wire_products import GOOD_TRIPLET, UNKNOWN_TRIPLET
from weft.tasks.larmatch.sampling_options import QUOTAS, ChargeCut, KeyPointShare, SamplingOptions


def sample_triplets(arrays: Mapping[str, np.ndarray], options: SamplingOptions, rng: np.random.Generator) -> np.ndarray:
    """Rows of the triplets of a sample: int64 [k], ascending, each at most once, none of unknown truth.

    arrays: `good` int8 [N]; with `options.charge` also `pixel` int [N, 3] and `charge` [P] of the pixels; with
        `options.key_points` also `key_points` float [N, 6].
    """
    wanted = arrays["good"] != UNKNOWN_TRIPLET
    if options.charge is not None:
        wanted &= has_charge(arrays["pixel"], arrays["charge"], options.charge)
    rows = np.flatnonzero(wanted)
    if options.triplets is None or len(rows) <= options.triplets:
        return rows
    is_good = arrays["good"][rows] == GOOD_TRIPLET
    good, ghosts = rows[is_good], rows[~is_good]
    if options.balance:
        n_ghosts = min(len(ghosts), options.triplets // 2)
        n_good = min(len(good), options.triplets - n_ghosts)
        n_ghosts = options.triplets - n_good
    else:
        n_good = int(rng.hypergeometric(len(good), len(ghosts), options.triplets))
        n_ghosts = options.triplets - n_good
    near = np.zeros(0, np.int64)
    if options.key_points is not None:
        near = _near_key_points(arrays["key_points"], good, n_good, options.key_points, rng)
        good = np.setdiff1d(good, near, assume_unique=True)
    return np.sort(np.concatenate([near, _choose(good, n_good - len(near), rng), _choose(ghosts, n_ghosts, rng)]))


def has_charge(pixel: np.ndarray, charge: np.ndarray, cut: ChargeCut) -> np.ndarray:
    """bool [N]: triplets with enough pixels above the cut; a pixel of a dead wire has no charge.

    pixel: int [N, 3] rows of `charge` [P], ADC.
    """
    return (charge > cut.above)[pixel].sum(axis=1) >= cut.pixels


def _near_key_points(
    scores: np.ndarray, good: np.ndarray, n_good: int, options: KeyPointShare, rng: np.random.Generator
) -> np.ndarray:
    """Rows among `good` close to key points, kind by kind up to its quota, until the share of `n_good` is full."""
    left = int(options.share * n_good)
    taken: list[np.ndarray] = [np.zeros(0, np.int64)]
    free = np.ones(len(good), bool)
    for kind in QUOTAS:
        quota = options.quotas.get(kind, 0)
        close = np.flatnonzero(free & (scores[good, KEY_POINT_KINDS.index(kind)] > options.above))
        chosen = _choose(close, min(quota, left, len(close)), rng)
        free[chosen] = False
        left -= len(chosen)
        taken.append(good[chosen])
    return np.concatenate(taken)


def _choose(rows: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """So many of the rows, each at most once."""
    return rng.choice(rows, number, replace=False, shuffle=False) if number else rows[:0]
