"""Liquid argon and the particles that cross it: constants, stopping power, ranges, cross-sections.

Everything here is computed once with numpy, on one logarithmic grid of kinetic energies; the kernels that move
particles only look tables up. Energies are MeV, lengths cm, times ns.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from weft.detector.charge import DENSITY

# Particles (PDG 2024), MeV.
ELECTRON_MASS = 0.51099895
MUON_MASS = 105.6583755
PION_MASS = 139.57039
PION0_MASS = 134.9768
PROTON_MASS = 938.27209
NEUTRON_MASS = 939.56542

# Liquid argon: Particle Data Group, atomic and nuclear properties; specs/anchors.md §5.3.
Z, A = 18.0, 39.948
RADIATION_LENGTH = 14.0
EXCITATION = 188e-6
#: Sternheimer's density effect (Atomic Data and Nuclear Data Tables 30 (1984) 261), for the liquid.
_DELTA_A, _DELTA_K, _DELTA_X0, _DELTA_X1, _DELTA_C = 0.19559, 3.0, 0.2, 3.0, 5.2146
#: K·Z/A·ρ, MeV/cm, of the Bethe formula; half of it scales the spectrum of knock-on electrons.
BETHE = 0.307075 * Z / A * DENSITY
KNOCK_ON = 0.5 * BETHE
ELECTRONS_PER_CM3 = DENSITY * 6.02214076e23 * Z / A

#: Energy given to an atomic electron above which the collision is sampled one by one (it makes the Landau tail) …
DISCRETE_LOSS = 0.02
#: … and above which that electron is followed as a particle of its own.
FOLLOWED_ELECTRON = 0.2
#: Photons softer than this are not followed: their energy stays where they were made.
SOFT_PHOTON = 0.1
ABSORBED_PHOTON = 0.02

#: Rows of the stopping tables.
MUON, PION, PROTON, ELECTRON = 0, 1, 2, 3
MASSES = np.array([MUON_MASS, PION_MASS, PROTON_MASS, ELECTRON_MASS])

_GRID_LOW, _GRID_HIGH, _GRID = 1e-3, 2e4, 1024


class Tables(NamedTuple):
    """What the kernels look up; every table is over ln(kinetic energy), from `start` in steps of `step`."""

    start: float
    step: float
    restricted: np.ndarray  # (4, n) mean loss per cm in collisions under DISCRETE_LOSS
    stopping: np.ndarray  # (4, n) mean collision loss per cm, all collisions
    range: np.ndarray  # (4, n) range in the continuous-slowing-down approximation, cm
    radiation: np.ndarray  # (n,) screening of bremsstrahlung relative to full screening
    compton: np.ndarray  # (n,) attenuation per cm
    pair: np.ndarray  # (n,)
    photoelectric: np.ndarray  # (n,)


def density_effect(beta_gamma: np.ndarray) -> np.ndarray:
    """Sternheimer's δ(βγ) in liquid argon."""
    x = np.log10(beta_gamma)
    full = 2 * np.log(10) * x - _DELTA_C
    return np.where(
        x < _DELTA_X0, 0.0, full + np.where(x < _DELTA_X1, _DELTA_A * np.maximum(_DELTA_X1 - x, 0) ** _DELTA_K, 0)
    )


def bethe(kinetic: np.ndarray, mass: float, cut: float = np.inf) -> np.ndarray:
    """Mean loss (MeV/cm) of a heavy particle of unit charge in collisions that give less than `cut` (MeV).

    The restricted Bethe formula with density effect, no shell corrections (PDG, passage of particles through matter).
    Where it would turn over, far below the energies at which tracks are stopped, it is held constant.
    """
    kinetic = np.maximum(np.asarray(kinetic, np.float64), 5e-4 * mass)
    gamma = 1 + kinetic / mass
    beta2 = 1 - 1 / gamma**2
    bg2 = gamma**2 - 1
    ratio = ELECTRON_MASS / mass
    highest = 2 * ELECTRON_MASS * bg2 / (1 + 2 * gamma * ratio + ratio**2)
    most = np.minimum(cut, highest)
    log = 0.5 * np.log(2 * ELECTRON_MASS * bg2 * most / EXCITATION**2)
    return BETHE / beta2 * (log - 0.5 * beta2 * (1 + most / highest) - 0.5 * density_effect(np.sqrt(bg2)))


def berger_seltzer(kinetic: np.ndarray, cut: float = np.inf) -> np.ndarray:
    """Mean collision loss (MeV/cm) of an electron in collisions that give less than `cut` (MeV).

    Berger and Seltzer's restricted formula for Møller scattering (ICRU report 37).
    """
    kinetic = np.asarray(kinetic, np.float64)
    tau = kinetic / ELECTRON_MASS
    beta2 = 1 - 1 / (tau + 1) ** 2
    d = np.minimum(cut / ELECTRON_MASS, tau / 2)
    f = (
        -1
        - beta2
        + np.log((tau - d) * d)
        + tau / (tau - d)
        + (d**2 / 2 + (2 * tau + 1) * np.log(1 - d / tau)) / (tau + 1) ** 2
    )
    log = np.log(2 * (tau + 2) / (EXCITATION / ELECTRON_MASS) ** 2)
    return KNOCK_ON / beta2 * (log + f - density_effect(np.sqrt(tau * (tau + 2))))


def radiation_screening(kinetic: np.ndarray) -> np.ndarray:
    """Radiated energy relative to full screening: Bethe and Heitler's ln(2E/m) − 1/3 until screening sets in."""
    total = np.asarray(kinetic) + ELECTRON_MASS
    bare = np.maximum(np.log(2 * total / ELECTRON_MASS) - 1 / 3, 0.1)
    screened = np.log(183 / Z ** (1 / 3)) + 1 / 18
    return (bare**-6 + screened**-6) ** (-1 / 6) / screened


def compton_attenuation(energy: np.ndarray) -> np.ndarray:
    """Attenuation (1/cm) by Compton scattering: Klein and Nishina's total cross-section on free electrons."""
    k = np.asarray(energy, np.float64) / ELECTRON_MASS
    radius = 2.8179403e-13
    log = np.log1p(2 * k)
    section = (1 + k) / k**2 * (2 * (1 + k) / (1 + 2 * k) - log / k) + log / (2 * k) - (1 + 3 * k) / (1 + 2 * k) ** 2
    return ELECTRONS_PER_CM3 * 2 * np.pi * radius**2 * section


def pair_attenuation(energy: np.ndarray) -> np.ndarray:
    """Attenuation (1/cm) by pair production, reaching 7/(9 X0) at high energy.

    Bethe and Heitler's unscreened cross-section in Maximon's expansions (J. Res. NBS 72B (1968) 79), joined smoothly
    to the fully screened one.
    """
    k = np.maximum(np.asarray(energy, np.float64) / ELECTRON_MASS, 2.0)
    e = (2 * k - 4) / (2 + k + 2 * np.sqrt(2 * k))
    series = 1 + e / 2 + 23 / 40 * e**2 + 11 / 60 * e**3 + 29 / 960 * e**4
    near = 2 * np.pi / 3 * ((k - 2) / k) ** 3 * series
    log = np.log(2 * k)
    far = (
        28 / 9 * log
        - 218 / 27
        + (2 / k) ** 2 * (6 * log - 3.5 + 2 / 3 * log**3 - log**2 - np.pi**2 / 3 * log + 2.404114 + np.pi**2 / 6)
    )
    bare = np.maximum(np.where(k < 4, near, far), 1e-12)
    screened = 28 / 9 * np.log(183 / Z ** (1 / 3)) - 2 / 27
    return (bare**-4 + screened**-4) ** -0.25 / screened * 7 / (9 * RADIATION_LENGTH)


def photoelectric_attenuation(energy: np.ndarray) -> np.ndarray:
    """Attenuation (1/cm) by the photoelectric effect: E⁻³ through 0.055 cm²/g at 0.1 MeV (NIST XCOM)."""
    return 0.055 * DENSITY * (np.asarray(energy) / 0.1) ** -3.0


@cache
def tables() -> Tables:
    """All tables, for liquid argon."""
    log = np.linspace(np.log(_GRID_LOW), np.log(_GRID_HIGH), _GRID)
    energy = np.exp(log)
    restricted = np.stack(
        [*(bethe(energy, m, DISCRETE_LOSS) for m in MASSES[:3]), berger_seltzer(energy, DISCRETE_LOSS)]
    )
    stopping = np.stack([*(bethe(energy, m) for m in MASSES[:3]), berger_seltzer(energy)])
    radiated = (energy + ELECTRON_MASS) / RADIATION_LENGTH * radiation_screening(energy)
    total = stopping.copy()
    total[ELECTRON] += radiated
    # dR = T dlnT / (dE/dx); below the grid the stopping power is taken as constant.
    integrand = energy / total
    steps = 0.5 * (integrand[:, 1:] + integrand[:, :-1]) * np.diff(log)
    ranges = np.concatenate([integrand[:, :1], integrand[:, :1] + np.cumsum(steps, axis=1)], axis=1)
    return Tables(
        float(log[0]),
        float(log[1] - log[0]),
        np.maximum(restricted, 0.05),
        stopping,
        ranges,
        radiation_screening(energy),
        compton_attenuation(energy),
        pair_attenuation(energy),
        photoelectric_attenuation(energy),
    )
