"""Kinetic energy from multiple Coulomb scattering: the angles between segments of a track (spec §1.11).

Angles follow Highland's formula in the form of the Particle Data Group; the particle loses energy from segment to
segment by its range (:mod:`weft.reco.csda`). As in Abratenko et al. (MicroBooNE), JINST 12 (2017) P10010, the energy is
the one that makes the observed angles most likely, here those in space, which are Rayleigh distributed.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from weft.compiled import kernel
from weft.reco.csda import range_table
from weft.reco.energy import MASSES
from weft.simulation.matter import RADIATION_LENGTH

_GRID = 64


def highland(momentum: np.ndarray, mass: float, length: float) -> np.ndarray:
    """Width (rad) of the projected scattering angle of a particle of unit charge after `length` cm of liquid argon.

    momentum: MeV/c; mass: MeV. 13.6 MeV/(βp)·√(l/X0)·(1 + 0.038 ln(l/(X0 β²))).
    """
    momentum = np.asarray(momentum, np.float64)
    beta = momentum / np.hypot(momentum, mass)
    depth = length / RADIATION_LENGTH
    return 13.6 / (beta * momentum) * np.sqrt(depth) * (1 + 0.038 * np.log(depth / beta**2))


def scattering_angles(directions: np.ndarray) -> np.ndarray:
    """float64 [S − 1], rad: angles between the directions [S, 3] of successive segments, exact for small ones."""
    directions = np.asarray(directions, np.float64)
    cross = np.linalg.norm(np.cross(directions[:-1], directions[1:]), axis=1)
    return np.arctan2(cross, (directions[:-1] * directions[1:]).sum(1))


def negative_log_likelihood(
    kinetic: np.ndarray, angles: np.ndarray, pid: int, length: float, resolution: float
) -> np.ndarray:
    """float64 [E]: −ln of the likelihood of the angles [S], without constants, for each kinetic energy [E] (MeV).

    length: of a segment, cm. resolution: what a segment's direction is uncertain by, rad; added in quadrature.
    ∞ where the particle would have stopped before the last angle.
    """
    kinetic = np.atleast_1d(np.asarray(kinetic, np.float64)).reshape(-1)
    return _likelihood(kinetic, np.ascontiguousarray(angles, np.float64), *_constants(pid, length, resolution))


def _constants(pid: int, length: float, resolution: float) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """What the kernel asks for beside energies and angles."""
    table = range_table(pid)
    return table.log_range, table.log_kinetic, MASSES[pid], float(length), float(resolution)


@kernel
def _between(log: float, xs: np.ndarray, ys: np.ndarray) -> float:
    """Linear interpolation; the last value above the last point."""
    i = min(max(int(np.searchsorted(xs, log, "right")) - 1, 0), len(xs) - 2)
    return min(ys[i] + (ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]) * (log - xs[i]), ys[-1])


@kernel
def _likelihood(
    kinetic: np.ndarray,
    angles: np.ndarray,
    log_range: np.ndarray,
    log_kinetic: np.ndarray,
    mass: float,
    length: float,
    resolution: float,
) -> np.ndarray:
    """The same; below the table of ranges they are proportional to the energy.

    The fit asks for some hundred likelihoods an event: as expressions of arrays they took two fifths of the time of a
    reconstruction.
    """
    shortest, slowest = np.exp(log_range[0]), np.exp(log_kinetic[0])
    depth = length / RADIATION_LENGTH
    out = np.empty(len(kinetic), np.float64)
    for k in range(len(kinetic)):
        if kinetic[k] >= slowest:
            distance = np.exp(_between(np.log(kinetic[k]), log_kinetic, log_range))
        else:
            distance = kinetic[k] * (shortest / slowest)
        total, before = 0.0, 0.0
        for segment in range(len(angles) + 1):
            left = max(distance - length * segment, 0.0)
            if left >= shortest:
                energy = np.exp(_between(np.log(left), log_range, log_kinetic))
            else:
                energy = left * (slowest / shortest)
            momentum = np.sqrt(energy * energy + 2 * energy * mass)
            if segment:
                between = np.sqrt(momentum * before)
                if not between > 0:
                    total = np.inf
                    break
                beta = between / np.hypot(between, mass)
                width = 13.6 / (beta * between) * np.sqrt(depth) * (1 + 0.038 * np.log(depth / beta**2))
                square = width * width + resolution * resolution
                total += 0.5 * angles[segment - 1] ** 2 / square + np.log(square)
            before = momentum
        out[k] = total
    return out


def kinetic_of_angles(
    angles: np.ndarray,
    pid: int,
    length: float = 5.0,
    resolution: float = 0.0334,
    low: float = 10.0,
    high: float = 1e5,
) -> float:
    """Kinetic energy (MeV) that makes the angles between segments of `length` cm most likely.

    resolution: rad; the default is that of segments of 5 cm of voxels of 3 mm, 0.25 rad·(cm/length)^1.25.
    low, high: bounds, MeV. NaN without angles, and where the most likely energy is a bound: then the angles do not say.
    """
    angles = np.asarray(angles, np.float64)
    if not len(angles):
        return np.nan
    constants, one = _constants(pid, length, resolution), np.empty(1)
    logs = np.linspace(np.log(low), np.log(high), _GRID)
    values = negative_log_likelihood(np.exp(logs), angles, pid, length, resolution)
    best = int(values.argmin())
    if not np.isfinite(values[best]):
        return np.nan

    def value(log: float) -> float:
        one[0] = np.exp(log)
        return float(_likelihood(one, angles, *constants)[0])

    bounds = logs[max(best - 1, 0)], logs[min(best + 1, _GRID - 1)]
    # Below the energy at which the particle would stop the likelihood is zero: no bracket may reach there.
    if not np.isfinite(value(bounds[0])):
        inside, outside = logs[best], bounds[0]
        for _ in range(40):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if np.isfinite(value(middle)) else (inside, middle)
        bounds = inside, bounds[1]
    found = minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    log = float(found.x)
    if log - logs[0] < 1e-3 or logs[-1] - log < 1e-3:
        return np.nan
    return float(np.exp(log))
