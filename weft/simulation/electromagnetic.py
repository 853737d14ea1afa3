"""Electrons, positrons and photons: the cascade, particle by particle."""

from __future__ import annotations

import math

from weft.compiled import kernel
from weft.simulation.ionisation import continuous_loss, draw_number, moller_collisions, scatter
from weft.simulation.matter import (
    ABSORBED_PHOTON,
    ELECTRON,
    ELECTRON_MASS,
    FOLLOWED_ELECTRON,
    RADIATION_LENGTH,
    SOFT_PHOTON,
)
from weft.simulation.stack import (
    ANNIHIL,
    COMPT,
    CONV,
    E_BREM,
    E_IONI,
    LIGHT_SPEED,
    OUTSIDE,
    PDG_E,
    PDG_GAMMA,
    PHOT,
    RELEASED,
    deposit,
    finish,
    in_world,
    isotropic,
    look_up,
    push,
    turn,
)


@kernel
def radiate(rng, event, index, screening, kinetic, x, y, z, t, ux, uy, uz, length):
    """Bremsstrahlung over `length`: dN/dk = screening/(X0 k)·(4/3 − 4y/3 + y²), y = k/E (PDG); returns the energy lost.

    Photons softer than SOFT_PHOTON are left out: together they carry 0.13 MeV per radiation length.
    """
    if kinetic <= SOFT_PHOTON:
        return 0.0
    span = math.log(kinetic / SOFT_PHOTON)
    number = draw_number(rng, 4.0 / 3.0 * screening * span * length / RADIATION_LENGTH)
    lost = 0.0
    for _ in range(number):
        k = SOFT_PHOTON * math.exp(span * rng.random())
        y = k / (kinetic + ELECTRON_MASS)
        if rng.random() > 1.0 - y + 0.75 * y * y or lost + k > kinetic:
            continue
        lost += k
        theta = ELECTRON_MASS / (kinetic + ELECTRON_MASS) * math.sqrt(1.0 / max(rng.random(), 1e-3) - 1.0)
        vx, vy, vz = turn(ux, uy, uz, math.cos(min(theta, math.pi)), 2.0 * math.pi * rng.random())
        push(event, index, PDG_GAMMA, E_BREM, x, y, z, t, vx, vy, vz, k)
    return lost


@kernel
def follow_electron(rng, event, world, tables, index):
    """Move an electron or positron until it stops or leaves the world."""
    track = event.tracks[index]
    x, y, z, t = track.x, track.y, track.z, track.t
    ux, uy, uz = track.ux, track.uy, track.uz
    kinetic = track.kinetic
    travelled = 0.0
    while kinetic > FOLLOWED_ELECTRON:
        log = math.log(kinetic)
        restricted = look_up(tables.restricted[ELECTRON], tables.start, tables.step, log)
        stopping = look_up(tables.stopping[ELECTRON], tables.start, tables.step, log)
        step = min(world.step, 0.2 * kinetic / stopping)
        gamma = 1.0 + kinetic / ELECTRON_MASS
        beta2 = 1.0 - 1.0 / (gamma * gamma)
        lost = continuous_loss(rng, restricted, beta2, step)
        mx, my, mz = x + 0.5 * step * ux, y + 0.5 * step * uy, z + 0.5 * step * uz
        local, followed = moller_collisions(rng, event, index, E_IONI, kinetic, mx, my, mz, t, ux, uy, uz, step)
        lost = min(lost + local, kinetic - followed)
        rest = kinetic - lost - followed
        screening = look_up(tables.radiation, tables.start, tables.step, log)
        radiated = radiate(rng, event, index, screening, rest, mx, my, mz, t, ux, uy, uz, step)
        deposit(event, world, index, mx, my, mz, t, lost, step)
        kinetic = max(rest - radiated, 0.0)
        x, y, z = x + step * ux, y + step * uy, z + step * uz
        travelled += step
        t += step / (LIGHT_SPEED * math.sqrt(beta2))
        if not in_world(world, x, y, z):
            event.ledger[OUTSIDE] += kinetic
            finish(event, index, x, y, z, t, kinetic, travelled)
            return
        momentum = math.sqrt(beta2) * gamma * ELECTRON_MASS
        ux, uy, uz = scatter(rng, ux, uy, uz, momentum, math.sqrt(beta2), step)
    if kinetic > 0.0:
        path = look_up(tables.range[ELECTRON], tables.start, tables.step, math.log(max(kinetic, 1e-3)))
        deposit(event, world, index, x, y, z, t, kinetic, path)
    finish(event, index, x, y, z, t, 0.0, travelled)
    if track.pdg == -PDG_E:
        event.ledger[RELEASED] += 2.0 * ELECTRON_MASS
        ux, uy, uz = isotropic(rng)
        push(event, index, PDG_GAMMA, ANNIHIL, x, y, z, t, ux, uy, uz, ELECTRON_MASS)
        push(event, index, PDG_GAMMA, ANNIHIL, x, y, z, t, -ux, -uy, -uz, ELECTRON_MASS)


@kernel
def follow_photon(rng, event, world, tables, index):
    """Move a photon from interaction to interaction until it is absorbed or leaves the world."""
    track = event.tracks[index]
    x, y, z, t = track.x, track.y, track.z, track.t
    ux, uy, uz = track.ux, track.uy, track.uz
    energy = track.kinetic
    travelled = 0.0
    while True:
        log = math.log(energy)
        compton = look_up(tables.compton, tables.start, tables.step, log)
        pair = look_up(tables.pair, tables.start, tables.step, log) if energy > 2.0 * ELECTRON_MASS else 0.0
        absorbed = look_up(tables.photoelectric, tables.start, tables.step, log)
        step = -math.log(1.0 - rng.random()) / (compton + pair + absorbed)
        x, y, z = x + step * ux, y + step * uy, z + step * uz
        t += step / LIGHT_SPEED
        travelled += step
        if not in_world(world, x, y, z):
            event.ledger[OUTSIDE] += energy
            finish(event, index, x, y, z, t, energy, travelled)
            return
        which = rng.random() * (compton + pair + absorbed)
        if which < pair:
            make_pair(rng, event, index, energy, x, y, z, t, ux, uy, uz)
            break
        if which >= pair + compton or energy < ABSORBED_PHOTON:
            give_electron(event, world, tables, index, PHOT, energy, x, y, z, t, ux, uy, uz)
            break
        energy, ux, uy, uz = compton_scatter(rng, event, world, tables, index, energy, x, y, z, t, ux, uy, uz)
    finish(event, index, x, y, z, t, 0.0, travelled)


@kernel
def give_electron(event, world, tables, index, process, energy, x, y, z, t, ux, uy, uz):
    """An atomic electron takes `energy`: followed where it would travel, else left on the spot."""
    if energy > FOLLOWED_ELECTRON:
        push(event, index, PDG_E, process, x, y, z, t, ux, uy, uz, energy)
    else:
        path = look_up(tables.range[ELECTRON], tables.start, tables.step, math.log(max(energy, 1e-3)))
        deposit(event, world, index, x, y, z, t, energy, path)


@kernel
def make_pair(rng, event, index, energy, x, y, z, t, ux, uy, uz):
    """Electron and positron; the energy sharing follows 1 − 4/3·v(1 − v) of full screening, angles are of m/E."""
    event.ledger[RELEASED] -= 2.0 * ELECTRON_MASS
    available = energy - 2.0 * ELECTRON_MASS
    v = rng.random()
    while rng.random() > 1.0 - 4.0 / 3.0 * v * (1.0 - v):
        v = rng.random()
    phi = 2.0 * math.pi * rng.random()
    for pdg, kinetic, side in ((PDG_E, v * available, 0.0), (-PDG_E, (1.0 - v) * available, math.pi)):
        theta = ELECTRON_MASS / (kinetic + ELECTRON_MASS) * math.sqrt(1.0 / max(rng.random(), 1e-3) - 1.0)
        vx, vy, vz = turn(ux, uy, uz, math.cos(min(theta, math.pi)), phi + side)
        push(event, index, pdg, CONV, x, y, z, t, vx, vy, vz, kinetic)


@kernel
def compton_scatter(rng, event, world, tables, index, energy, x, y, z, t, ux, uy, uz):
    """Klein and Nishina's formula, sampled as Butcher and Messel do; returns the scattered photon."""
    k = energy / ELECTRON_MASS
    lowest = 1.0 / (1.0 + 2.0 * k)
    a, b = -math.log(lowest), 0.5 * (1.0 - lowest * lowest)
    while True:
        if rng.random() * (a + b) < a:
            e = math.exp(-a * rng.random())
        else:
            e = math.sqrt(lowest * lowest + (1.0 - lowest * lowest) * rng.random())
        lean = (1.0 - e) / (k * e)  # 1 − cos θ of the photon
        if rng.random() < 1.0 - e * lean * (2.0 - lean) / (1.0 + e * e):
            break
    phi = 2.0 * math.pi * rng.random()
    left = e * energy
    given = energy - left
    momentum = math.sqrt(given * (given + 2.0 * ELECTRON_MASS))
    cosine = (energy - left * (1.0 - lean)) / max(momentum, 1e-12)
    vx, vy, vz = turn(ux, uy, uz, min(max(cosine, -1.0), 1.0), phi + math.pi)
    give_electron(event, world, tables, index, COMPT, given, x, y, z, t, vx, vy, vz)
    ux, uy, uz = turn(ux, uy, uz, min(max(1.0 - lean, -1.0), 1.0), phi)
    return left, ux, uy, uz
