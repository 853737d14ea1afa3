"""The growing lists of an event while it is simulated: tracks, energy deposits, and the energy ledger."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from weft.compiled import kernel

#: Geant4's names of what made a particle, by code.
PROCESSES = {
    0: "primary",
    1: "muIoni",
    2: "hIoni",
    3: "eIoni",
    4: "eBrem",
    5: "conv",
    6: "compt",
    7: "phot",
    8: "annihil",
    9: "Decay",
    10: "muMinusCaptureAtRest",
    11: "hBertiniCaptureAtRest",
    12: "pi+Inelastic",
    13: "pi-Inelastic",
    14: "protonInelastic",
    15: "neutronInelastic",
}
# numpy integers: a Python one is a type of its own to numba, which would compile `push` for each of them.
PRIMARY, MU_IONI, H_IONI, E_IONI, E_BREM, CONV, COMPT, PHOT, ANNIHIL, DECAY = np.arange(10)
MU_CAPTURE, PI_CAPTURE, PI_PLUS_INELASTIC, PI_MINUS_INELASTIC, P_INELASTIC, N_INELASTIC = np.arange(10, 16)

#: PDG codes.
PDG_E, PDG_MU, PDG_GAMMA, PDG_PI0, PDG_PI, PDG_N, PDG_P = np.array([11, 13, 22, 111, 211, 2112, 2212])

#: One row per particle, in the order of creation; positions cm, times ns, energies MeV.
TRACK = np.dtype(
    [
        ("pdg", "i4"), ("process", "i4"), ("parent", "i4"), ("interaction", "i4"),
        ("x", "f8"), ("y", "f8"), ("z", "f8"), ("t", "f8"),
        ("ux", "f8"), ("uy", "f8"), ("uz", "f8"), ("kinetic", "f8"),
        ("end_x", "f8"), ("end_y", "f8"), ("end_z", "f8"), ("end_t", "f8"), ("end_kinetic", "f8"),
        ("length", "f8"),
    ],
    align=True,
)  # fmt: skip

#: One row per step that left energy in the box; `dx` is the path over which `energy` was lost.
DEPOSIT = np.dtype(
    [("track", "i4"), ("x", "f8"), ("y", "f8"), ("z", "f8"), ("t", "f8"), ("energy", "f8"), ("dx", "f8")],
    align=True,
)

#: Energy accounts of an event, MeV: kinetic energy of the primaries + rest mass released
#: = deposited in the box + left behind or carried outside it + invisible (neutrinos, nuclear binding, neutrons).
INITIAL, RELEASED, DEPOSITED, OUTSIDE, INVISIBLE = range(5)
ACCOUNTS = ("initial", "released", "deposited", "outside", "invisible")

LIGHT_SPEED = 29.9792458  # cm/ns


class World(NamedTuple):
    """Where energy is recorded (the box), how far particles are followed (the world), and how finely (cm)."""

    low: np.ndarray
    high: np.ndarray
    margin: float
    step: float


class Event(NamedTuple):
    """`used` holds numbers of tracks and deposits and 1 where a list was full; `track` is the one being followed."""

    tracks: np.ndarray
    deposits: np.ndarray
    used: np.ndarray
    ledger: np.ndarray


@kernel
def push(event, parent, pdg, process, x, y, z, t, ux, uy, uz, kinetic):
    """Add a particle to be followed; does nothing but raise the flag where the list is full."""
    n = event.used[0]
    if n >= len(event.tracks):
        event.used[2] = 1
        return
    track = event.tracks[n]
    track.pdg = pdg
    track.process = process
    track.parent = parent
    track.interaction = event.tracks[parent].interaction
    track.x, track.y, track.z, track.t = x, y, z, t
    track.ux, track.uy, track.uz = ux, uy, uz
    track.kinetic = kinetic
    track.end_x, track.end_y, track.end_z, track.end_t = x, y, z, t
    track.end_kinetic = kinetic
    track.length = 0.0
    event.used[0] = n + 1


@kernel
def finish(event, index, x, y, z, t, kinetic, length):
    """Note where and how a particle ended."""
    track = event.tracks[index]
    track.end_x, track.end_y, track.end_z, track.end_t = x, y, z, t
    track.end_kinetic = kinetic
    track.length = length


@kernel
def deposit(event, world, index, x, y, z, t, energy, dx):
    """Leave energy at a point, in the box or on the account of what lies outside."""
    if energy <= 0.0:
        return
    low, high = world.low, world.high
    if not (low[0] <= x < high[0] and low[1] <= y < high[1] and low[2] <= z < high[2]):
        event.ledger[OUTSIDE] += energy
        return
    event.ledger[DEPOSITED] += energy
    n = event.used[1]
    if n >= len(event.deposits):
        event.used[2] = 1
        return
    row = event.deposits[n]
    row.track = index
    row.x, row.y, row.z, row.t = x, y, z, t
    row.energy = energy
    row.dx = dx
    event.used[1] = n + 1


@kernel
def in_world(world, x, y, z):
    low, high, m = world.low, world.high, world.margin
    return low[0] - m <= x <= high[0] + m and low[1] - m <= y <= high[1] + m and low[2] - m <= z <= high[2] + m


@kernel
def exponential(rng, mean):
    """An exponentially distributed number."""
    return -mean * math.log(1.0 - rng.random())


@kernel
def isotropic(rng):
    """A random direction."""
    c = 2.0 * rng.random() - 1.0
    s = math.sqrt(1.0 - c * c)
    phi = 2.0 * math.pi * rng.random()
    return s * math.cos(phi), s * math.sin(phi), c


@kernel
def turn(ux, uy, uz, cosine, phi):
    """The direction at polar angle arccos(cosine) and azimuth phi around (ux, uy, uz)."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    across = math.sqrt(ux * ux + uy * uy)
    a, b = sine * math.cos(phi), sine * math.sin(phi)
    if across < 1e-9:
        return a, b, cosine * (1.0 if uz > 0 else -1.0)
    wx = cosine * ux + (a * ux * uz - b * uy) / across
    wy = cosine * uy + (a * uy * uz + b * ux) / across
    wz = cosine * uz - a * across
    norm = math.sqrt(wx * wx + wy * wy + wz * wz)
    return wx / norm, wy / norm, wz / norm


@kernel
def look_up(table, start, step, log_energy):
    """Linear interpolation on the logarithmic grid, held constant beyond its ends."""
    u = (log_energy - start) / step
    if u <= 0.0:
        return table[0]
    i = int(u)
    if i >= len(table) - 1:
        return table[len(table) - 1]
    return table[i] + (u - i) * (table[i + 1] - table[i])
