"""One step of a charged particle: energy loss with its Landau tail, multiple scattering, knock-on electrons."""

from __future__ import annotations

import math

from weft.compiled import kernel
from weft.simulation.matter import (
    DISCRETE_LOSS,
    ELECTRON_MASS,
    FOLLOWED_ELECTRON,
    KNOCK_ON,
    RADIATION_LENGTH,
)
from weft.simulation.stack import (
    PDG_E,
    push,
    turn,
)

#: Highland's logarithm at the length of a voxel, 1 + 0.038·ln(0.3 cm/X0): fixed, so that variances add over steps.
HIGHLAND = 13.6 * (1.0 + 0.038 * math.log(0.3 / RADIATION_LENGTH))


@kernel
def draw_number(rng, mean):
    """A Poisson number of small mean, by Knuth's product of uniform numbers."""
    limit, product, number = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        number += 1
    return number


@kernel
def scatter(rng, ux, uy, uz, momentum, beta, length):
    """Direction after multiple scattering over `length` cm: Gaussian projected angles of Highland's width.

    Highland's formula is θ0 = 13.6 MeV/(βp)·√(l/X0)·(1 + 0.038 ln(l/X0)), see `HIGHLAND`.
    """
    width = HIGHLAND / (beta * momentum) * math.sqrt(length / RADIATION_LENGTH)
    theta = width * math.sqrt(-2.0 * math.log(1.0 - rng.random()))
    return turn(ux, uy, uz, math.cos(min(theta, math.pi)), 2.0 * math.pi * rng.random())


@kernel
def continuous_loss(rng, restricted, beta2, length):
    """Energy lost in collisions under DISCRETE_LOSS: the mean, with Bohr's Gaussian spread of those collisions."""
    mean = restricted * length
    spread = math.sqrt(KNOCK_ON / beta2 * (1.0 - 0.5 * beta2) * DISCRETE_LOSS * length)
    return min(max(mean + spread * rng.standard_normal(), 0.0), 2.0 * mean)


@kernel
def heavy_collisions(rng, event, index, process, mass, kinetic, x, y, z, t, ux, uy, uz, length):
    """Collisions above DISCRETE_LOSS of a particle heavier than the electron: dN/dT ∝ (1 − β²T/Tmax)/(β²T²).

    Returns (energy that stays on the track, energy given to electrons that were pushed).
    """
    gamma = 1.0 + kinetic / mass
    beta2 = 1.0 - 1.0 / (gamma * gamma)
    ratio = ELECTRON_MASS / mass
    highest = 2.0 * ELECTRON_MASS * (gamma * gamma - 1.0) / (1.0 + 2.0 * gamma * ratio + ratio * ratio)
    if highest <= DISCRETE_LOSS:
        return 0.0, 0.0
    scale = 1.0 / DISCRETE_LOSS - 1.0 / highest
    number = draw_number(rng, KNOCK_ON / beta2 * scale * length)
    local = followed = 0.0
    for _ in range(number):
        given = 1.0 / (1.0 / DISCRETE_LOSS - scale * rng.random())
        if rng.random() > 1.0 - beta2 * given / highest or local + followed + given > kinetic:
            continue
        if given < FOLLOWED_ELECTRON:
            local += given
            continue
        followed += given
        cosine = given / highest * math.sqrt(highest * (highest + 2 * ELECTRON_MASS))
        cosine = min(1.0, cosine / math.sqrt(given * (given + 2 * ELECTRON_MASS)))
        vx, vy, vz = turn(ux, uy, uz, cosine, 2.0 * math.pi * rng.random())
        push(event, index, PDG_E, process, x, y, z, t, vx, vy, vz, given)
    return local, followed


@kernel
def moller_collisions(rng, event, index, process, kinetic, x, y, z, t, ux, uy, uz, length):
    """Collisions above DISCRETE_LOSS of an electron with another (Møller); returns as `heavy_collisions`."""
    gamma = 1.0 + kinetic / ELECTRON_MASS
    beta2 = 1.0 - 1.0 / (gamma * gamma)
    highest = 0.5 * kinetic
    if highest <= DISCRETE_LOSS:
        return 0.0, 0.0
    scale = 1.0 / DISCRETE_LOSS - 1.0 / highest
    bound = 2.25  # of the weight below, reached at ε = 1/2 for γ → ∞
    c = ((gamma - 1.0) / gamma) ** 2
    d = (2.0 * gamma - 1.0) / (gamma * gamma)
    number = draw_number(rng, bound * KNOCK_ON / beta2 * scale * length)
    local = followed = 0.0
    for _ in range(number):
        given = 1.0 / (1.0 / DISCRETE_LOSS - scale * rng.random())
        e = given / kinetic
        weight = 1.0 + (e / (1.0 - e)) ** 2 + c * e * e - d * e / (1.0 - e)
        if rng.random() * bound > weight or local + followed + given > kinetic:
            continue
        if given < FOLLOWED_ELECTRON:
            local += given
            continue
        followed += given
        cosine = math.sqrt(e * (kinetic + 2 * ELECTRON_MASS) / (given + 2 * ELECTRON_MASS))
        vx, vy, vz = turn(ux, uy, uz, min(cosine, 1.0), 2.0 * math.pi * rng.random())
        push(event, index, PDG_E, process, x, y, z, t, vx, vy, vz, given)
    return local, followed
