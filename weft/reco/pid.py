"""Particle types without learning: energy loss along tracks and at the start of showers (spec §1.11, `pid_template`).

A track is cut into segments from its end; the energy per length of each is compared with what a particle of each type
loses at that residual range. A shower that begins with the energy loss of one particle is an electron's, with that of
two a photon's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.detector.charge import modified_box
from weft.io.products import DELTA, MICHEL, SHOWER, TRACK
from weft.io.reco_objects import SCORED_PIDS, TRACK_PIDS
from weft.io.reco_products import ELECTRON, MUON, PHOTON, PION, PROTON
from weft.reco.csda import dedx_at
from weft.reco.length import segments

#: MeV/cm, around the minimum of ionisation: one electron, and the pair that a photon makes.
ELECTRON_DEDX, PHOTON_DEDX = 2.1, 4.2
#: dE/dx at which visible energy is calibrated, and the modified box that it is calibrated with (ArgoNeuT, 0.5 kV/cm).
_CALIBRATED, _ALPHA, _BETA, _FIELD = 2.1, 0.93, 0.212, 0.5


def visible_dedx(dedx: np.ndarray) -> np.ndarray:
    """MeV/cm that are seen of a true dE/dx, where one factor makes up for recombination: it is right at 2.1 MeV/cm and
    too small for dense ionisation."""
    dedx = np.asarray(dedx, np.float64)
    nominal = modified_box(np.array(_CALIBRATED), _ALPHA, _BETA, _FIELD)
    return dedx * modified_box(dedx, _ALPHA, _BETA, _FIELD) / nominal


def residual_dedx(
    points: np.ndarray, energy: np.ndarray, end: np.ndarray, length: float = 5.0, fewest: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Residual range (cm, middle) and dE/dx (MeV/cm) of the segments of a track, from its end; float64 [S] each.

    points: [n, 3] cm; energy: [n] MeV; end: [3] cm. Segments of less than `fewest` voxels, or without length, are
    left out.
    """
    parts = segments(points, end, length)
    count = len(parts.length)
    inside = parts.of_voxel >= 0
    voxels = np.bincount(parts.of_voxel[inside], minlength=count)
    left = np.bincount(parts.of_voxel[inside], np.asarray(energy, np.float64)[inside], count)
    residual = np.cumsum(parts.length) - 0.5 * parts.length
    good = (voxels >= fewest) & (parts.length > 0)
    good &= np.divide(left, parts.length, out=np.zeros(count), where=good) > 0
    return residual[good], left[good] / parts.length[good]


def template_chi2(
    residual: np.ndarray, dedx: np.ndarray, pids: Sequence[int] = TRACK_PIDS, visible: bool = True
) -> np.ndarray:
    """float64 [len(pids)]: mean over segments of (observed − expected)²/observed, the variance being what was observed.

    residual, dedx: [S], of :func:`residual_dedx`. visible: expect :func:`visible_dedx`. NaN without segments.
    """
    if not len(dedx):
        return np.full(len(pids), np.nan)
    expected = np.stack([dedx_at(residual, pid) for pid in pids])
    if visible:
        expected = visible_dedx(expected)
    return np.asarray(((dedx - expected) ** 2 / dedx).mean(axis=1))


def track_chi2(
    points: np.ndarray,
    energy: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    length: float = 5.0,
    fewest: int = 10,
    both_ways: bool = True,
    visible: bool = True,
) -> np.ndarray:
    """float64 [4]: χ² of a track for each of `weft.io.reco_objects.TRACK_PIDS`, NaN where no segment is good.

    both_ways: the lesser of the χ² with the end and with the start taken as where it stopped.
    """
    each = [
        template_chi2(*residual_dedx(points, energy, point, length, fewest), TRACK_PIDS, visible)
        for point in ([end, start] if both_ways else [end])
    ]
    return np.asarray(np.fmin.reduce(each))


def template_scores(shape: np.ndarray, chi2: np.ndarray, start_dedx: np.ndarray, width: float = 1.0) -> np.ndarray:
    """float64 [n, 5]: scores of photon, electron, muon, pion, proton that sum to 1, from classical quantities alone.

    shape: [n], semantic class. chi2: [n, 4], of :func:`track_chi2`; a track without any is a proton, the one of the
    three that is short. start_dedx: [n] MeV/cm; a shower without one is a photon, the one that leaves gaps.
    width: χ² that is worth a factor e.
    NaN for other classes.
    """
    shape, start_dedx = np.asarray(shape), np.asarray(start_dedx, np.float64)
    scores = np.full((len(shape), len(SCORED_PIDS)), np.nan)
    track = shape == TRACK
    columns = [TRACK_PIDS.index(pid) for pid in (MUON, PION, PROTON)]
    cost = np.asarray(chi2, np.float64).reshape(-1, len(TRACK_PIDS))[:, columns] / width
    cost[np.isnan(cost).any(axis=1)] = (np.inf, np.inf, 0)
    scores[track] = 0
    scores[np.ix_(track, (MUON, PION, PROTON))] = _softmax(-cost[track])
    shower = shape == SHOWER
    # As far from one as from the other, in logarithm, is undecided.
    middle = np.sqrt(ELECTRON_DEDX * PHOTON_DEDX)
    ratio = np.log(np.maximum(start_dedx, 1e-6) / middle) / np.log(PHOTON_DEDX / ELECTRON_DEDX)
    ratio = np.where(start_dedx > 0, ratio, np.inf)
    scores[shower] = 0
    scores[shower, PHOTON] = 1 / (1 + np.exp(-np.clip(4 * ratio[shower], -50, 50)))
    scores[shower, ELECTRON] = 1 - scores[shower, PHOTON]
    knocked = np.isin(shape, (MICHEL, DELTA))
    scores[knocked] = 0
    scores[knocked, ELECTRON] = 1
    return scores


def _softmax(values: np.ndarray) -> np.ndarray:
    if not len(values):
        return values
    exponential = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))
