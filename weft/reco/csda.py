"""Range and energy of particles that slow down continuously in liquid argon (CSDA).

The stopping power is the library's own Bethe formula with density effect (`weft.simulation.matter.bethe`), integrated
once for each type of particle.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.io.reco_objects import TRACK_PIDS
from weft.io.reco_products import PIDS
from weft.reco.energy import MASSES
from weft.simulation.matter import bethe

_LOW, _HIGH, _GRID = 1e-3, 1e6, 4096  # MeV


class RangeTable(NamedTuple):
    """Increasing in kinetic energy."""

    kinetic: np.ndarray
    """MeV"""
    range: np.ndarray
    """cm"""
    dedx: np.ndarray
    """MeV/cm"""
    log_kinetic: np.ndarray
    log_range: np.ndarray


@cache
def range_table(pid: int) -> RangeTable:
    """Range and stopping power of muons, pions, protons and kaons; other types are an error."""
    if pid not in TRACK_PIDS:
        names = ", ".join(PIDS[p] for p in TRACK_PIDS)
        raise WeftError(f"there is no range of particle type {PIDS.get(pid, pid)}: expected one of {names}")
    log = np.linspace(np.log(_LOW), np.log(_HIGH), _GRID)
    kinetic = np.exp(log)
    dedx = bethe(kinetic, MASSES[pid])
    # dR = T dlnT / (dE/dx), by Simpson's rule with the middles computed; below the grid the loss is taken as constant.
    middle = np.exp(0.5 * (log[1:] + log[:-1]))
    ends, centre = kinetic / dedx, middle / bethe(middle, MASSES[pid])
    steps = (ends[:-1] + 4 * centre + ends[1:]) / 6 * np.diff(log)
    length = ends[0] + np.concatenate([[0], np.cumsum(steps)])
    return RangeTable(kinetic, length, dedx, np.log(kinetic), np.log(length))


def range_of(kinetic: np.ndarray, pid: int) -> np.ndarray:
    """float64, cm: how far a particle of kinetic energy (MeV) goes; 0 for 0, NaN for NaN or less."""
    table = range_table(pid)
    return _between(kinetic, table.kinetic, table.range, table.log_kinetic, table.log_range)


def kinetic_of_range(length: np.ndarray, pid: int) -> np.ndarray:
    """float64, MeV: the kinetic energy of a particle that stops after `length` cm; 0 for 0, NaN for NaN or less."""
    table = range_table(pid)
    return _between(length, table.range, table.kinetic, table.log_range, table.log_kinetic)


def dedx_at(residual: np.ndarray, pid: int) -> np.ndarray:
    """float64, MeV/cm: mean energy loss at a residual range of some cm, NaN for NaN or less than 0."""
    table = range_table(pid)
    residual = np.asarray(residual, np.float64)
    dedx = np.interp(np.log(np.maximum(residual, table.range[0])), table.log_range, table.dedx)
    return np.where(residual >= 0, dedx, np.nan)


def energy_after(kinetic: np.ndarray, distance: np.ndarray, pid: int) -> np.ndarray:
    """float64, MeV: what is left of a kinetic energy after `distance` cm; 0 once the particle has stopped."""
    return kinetic_of_range(np.maximum(range_of(kinetic, pid) - distance, 0), pid)


def _between(x: np.ndarray, xs: np.ndarray, ys: np.ndarray, log_xs: np.ndarray, log_ys: np.ndarray) -> np.ndarray:
    """Logarithmic interpolation; below the first point through the origin."""
    x = np.asarray(x, np.float64)
    inside = np.exp(np.interp(np.log(np.maximum(x, xs[0])), log_xs, log_ys))
    return np.where(x >= xs[0], inside, np.where(x >= 0, x * (ys[0] / xs[0]), np.nan))
