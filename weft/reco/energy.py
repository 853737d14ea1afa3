"""Kinetic energy and momentum of particles from what they left (spec §1.11)."""

from __future__ import annotations

import numpy as np

from weft.io.products import TRACK
from weft.io.reco_products import ELECTRON, KAON, MUON, PHOTON, PION, PROTON
from weft.simulation.matter import ELECTRON_MASS, MUON_MASS, PION_MASS, PROTON_MASS

#: Particle Data Group 2024, MeV.
KAON_MASS = 493.677
MASSES = {
    PHOTON: 0.0,
    ELECTRON: ELECTRON_MASS,
    MUON: MUON_MASS,
    PION: PION_MASS,
    PROTON: PROTON_MASS,
    KAON: KAON_MASS,
}
_MASS = np.array([MASSES[pid] for pid in sorted(MASSES)] + [np.nan])  # the last one is that of type −1


def calorimetric(energy: np.ndarray, shape: np.ndarray, scale: float = 1.0, fudge: float = 1 / 0.83) -> np.ndarray:
    """float64 [n] MeV: kinetic energy from the sum of deposits.

    energy: [n] MeV, visible energy. shape: [n], semantic class.
    scale: what an MeV seen is worth. fudge: in addition, for all but tracks: part of a shower is too faint or too far
    away to be clustered.
    """
    energy = np.asarray(energy, np.float64) * scale
    return np.where(np.asarray(shape) == TRACK, energy, energy * fudge)


def mass(pid: np.ndarray) -> np.ndarray:
    """float64 [n] MeV of particle types; NaN for −1."""
    return _MASS[np.asarray(pid, np.int64)]


def momentum(kinetic: np.ndarray, pid: np.ndarray) -> np.ndarray:
    """float64 [n] MeV/c, √(T² + 2Tm); NaN where the type is −1."""
    kinetic = np.asarray(kinetic, np.float64)
    return np.sqrt(kinetic**2 + 2 * kinetic * mass(pid))


def kinetic(momentum: np.ndarray, pid: np.ndarray) -> np.ndarray:
    """float64 [n] MeV, √(p² + m²) − m; NaN where the type is −1."""
    m = mass(pid)
    return np.hypot(np.asarray(momentum, np.float64), m) - m


def best_kinetic(
    shape: np.ndarray, contained: np.ndarray, calo: np.ndarray, csda: np.ndarray, mcs: np.ndarray
) -> np.ndarray:
    """float64 [n] MeV: for tracks by range where they stop inside, else by scattering, else again by range, the least
    that it can be; else calorimetric. A method that has no answer (NaN) leaves it to the next one."""
    track = np.asarray(shape) == TRACK
    best = np.asarray(calo, np.float64)
    for method, chosen in ((csda, track), (mcs, track), (csda, track & (np.asarray(contained) == 1))):
        best = np.where(chosen & np.isfinite(method), method, best)
    return best
