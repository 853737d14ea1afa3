"""Muons, pions, protons, neutrons: tracks, decays and captures at rest, nuclear interactions.

Nuclear physics is a sketch with the right multiplicities and ranges, not a cascade model: energy is shared among a few
nucleons and photons, and the rest (binding, recoils, soft neutrons) is booked as invisible.
"""

from __future__ import annotations

import math

from weft.compiled import kernel
from weft.simulation.ionisation import continuous_loss, heavy_collisions, scatter
from weft.simulation.matter import (
    ELECTRON_MASS,
    MUON,
    MUON_MASS,
    NEUTRON_MASS,
    PION,
    PION0_MASS,
    PION_MASS,
    PROTON,
    PROTON_MASS,
)
from weft.simulation.stack import (
    DECAY,
    H_IONI,
    INVISIBLE,
    LIGHT_SPEED,
    MU_CAPTURE,
    MU_IONI,
    N_INELASTIC,
    OUTSIDE,
    P_INELASTIC,
    PDG_E,
    PDG_GAMMA,
    PDG_MU,
    PDG_N,
    PDG_P,
    PDG_PI,
    PDG_PI0,
    PI_CAPTURE,
    PI_MINUS_INELASTIC,
    PI_PLUS_INELASTIC,
    RELEASED,
    deposit,
    exponential,
    finish,
    in_world,
    isotropic,
    look_up,
    push,
    turn,
)

#: A track that is left with less than this (MeV) ends: it would go on for less than 0.2 mm.
TRACK_END = 1.0
#: Share of stopping mu− that the argon nucleus captures, and their lifetime there; specs/anchors.md §5.3.
CAPTURED, CAPTURED_LIFETIME, MUON_LIFETIME, PION_LIFETIME = 0.75, 560.0, 2197.0, 26.0
#: Mean free paths for nuclear interaction (cm): protons and pions, and collisions of neutrons of some MeV.
PROTON_PATH, PION_PATH, NEUTRON_PATH = 86.0, 100.0, 16.0
BINDING = 8.0
NEUTRON_END = 0.5


@kernel
def follow_track(rng, event, world, tables, index):
    """Move a muon, pion or proton until it stops, interacts or leaves the world."""
    track = event.tracks[index]
    kind = abs(track.pdg)
    if kind == PDG_MU:
        row, mass, path, process = MUON, MUON_MASS, 1e12, MU_IONI
    elif kind == PDG_PI:
        row, mass, path, process = PION, PION_MASS, PION_PATH, H_IONI
    else:
        row, mass, path, process = PROTON, PROTON_MASS, PROTON_PATH, H_IONI
    x, y, z, t = track.x, track.y, track.z, track.t
    ux, uy, uz = track.ux, track.uy, track.uz
    kinetic = track.kinetic
    travelled = 0.0
    while kinetic > TRACK_END:
        log = math.log(kinetic)
        restricted = look_up(tables.restricted[row], tables.start, tables.step, log)
        ahead = look_up(tables.range[row], tables.start, tables.step, log)
        step = min(world.step, max(0.2 * ahead, 0.005))
        # The loss at the middle of the step: near the end the stopping power changes fast.
        middle = max(kinetic - 0.5 * step * restricted, 0.5 * kinetic)
        restricted = look_up(tables.restricted[row], tables.start, tables.step, math.log(middle))
        gamma = 1.0 + kinetic / mass
        beta2 = 1.0 - 1.0 / (gamma * gamma)
        beta = math.sqrt(beta2)
        lost = continuous_loss(rng, restricted, beta2, step)
        mx, my, mz = x + 0.5 * step * ux, y + 0.5 * step * uy, z + 0.5 * step * uz
        local, followed = heavy_collisions(rng, event, index, process, mass, kinetic, mx, my, mz, t, ux, uy, uz, step)
        lost = min(lost + local, kinetic - followed)
        deposit(event, world, index, mx, my, mz, t + 0.5 * step / (LIGHT_SPEED * beta), lost, step)
        kinetic = max(kinetic - lost - followed, 0.0)
        x, y, z = x + step * ux, y + step * uy, z + step * uz
        travelled += step
        t += step / (LIGHT_SPEED * beta)
        if not in_world(world, x, y, z):
            event.ledger[OUTSIDE] += kinetic
            finish(event, index, x, y, z, t, kinetic, travelled)
            return
        ux, uy, uz = scatter(rng, ux, uy, uz, beta * gamma * mass, beta, step)
        # Slow protons are kept off the nucleus by its charge.
        reach = path if kind != PDG_P else path / min(1.0, max(kinetic - 15.0, 1e-9) / 60.0)
        if kind != PDG_MU and kinetic > TRACK_END and rng.random() < step / reach:
            if rng.random() < 0.3:  # elastic: a kink, the track goes on
                width = 0.35 * math.sqrt(100.0 / (kinetic + 20.0))
                theta = width * math.sqrt(-2.0 * math.log(1.0 - rng.random()))
                ux, uy, uz = turn(ux, uy, uz, math.cos(min(theta, math.pi)), 2.0 * math.pi * rng.random())
                continue
            finish(event, index, x, y, z, t, kinetic, travelled)
            if kind == PDG_PI:
                pion_interacts(rng, event, index, kinetic, x, y, z, t, ux, uy, uz)
            else:
                star(rng, event, index, P_INELASTIC, kinetic, x, y, z, t, ux, uy, uz, 1.0)
            return
    deposit(
        event, world, index, x, y, z, t, kinetic,
        look_up(tables.range[row], tables.start, tables.step, math.log(max(kinetic, 1e-3))),
    )  # fmt: skip
    finish(event, index, x, y, z, t, 0.0, travelled)
    if kind == PDG_MU:
        muon_at_rest(rng, event, index, x, y, z, t)
    elif track.pdg == PDG_PI:
        # π+ → μ+ ν at rest: the muon takes 4.12 MeV, about a millimetre.
        released = PION_MASS - MUON_MASS
        given = released * released / (2.0 * PION_MASS)
        event.ledger[RELEASED] += released
        event.ledger[INVISIBLE] += released - given
        vx, vy, vz = isotropic(rng)
        later = t + exponential(rng, PION_LIFETIME)
        push(event, index, -PDG_MU, DECAY, x, y, z, later, vx, vy, vz, given)
    elif track.pdg == -PDG_PI:
        event.ledger[RELEASED] += PION_MASS
        star(rng, event, index, PI_CAPTURE, PION_MASS, x, y, z, t, 0.0, 0.0, 0.0, 0.0)


@kernel
def muon_at_rest(rng, event, index, x, y, z, t):
    """Decay to an electron with Michel's spectrum, or capture by the nucleus."""
    negative = event.tracks[index].pdg == PDG_MU
    if negative and rng.random() < CAPTURED:
        t += exponential(rng, CAPTURED_LIFETIME)
        event.ledger[RELEASED] += MUON_MASS
        # The neutrino takes most of the mass; the nucleus keeps some 15 to 20 MeV and evaporates neutrons and photons.
        nucleus = min(exponential(rng, 17.0), 60.0)
        event.ledger[INVISIBLE] += MUON_MASS - nucleus
        evaporate(rng, event, index, MU_CAPTURE, nucleus, 0.9, x, y, z, t)
        return
    t += exponential(rng, CAPTURED_LIFETIME if negative else MUON_LIFETIME)
    highest = 0.5 * MUON_MASS
    e = rng.random()
    while rng.random() > e * e * (3.0 - 2.0 * e):
        e = rng.random()
    kinetic = max(e * highest - ELECTRON_MASS, 1e-3)
    event.ledger[RELEASED] += MUON_MASS - ELECTRON_MASS
    event.ledger[INVISIBLE] += MUON_MASS - ELECTRON_MASS - kinetic
    ux, uy, uz = isotropic(rng)
    push(
        event, index, PDG_E if negative else -PDG_E, MU_CAPTURE if negative else DECAY, x, y, z, t, ux, uy, uz, kinetic
    )  # fmt: skip


@kernel
def pion_interacts(rng, event, index, kinetic, x, y, z, t, ux, uy, uz):
    """Absorption, charge exchange or scattering off a nucleon that leaves the nucleus."""
    plus = event.tracks[index].pdg == PDG_PI
    process = PI_PLUS_INELASTIC if plus else PI_MINUS_INELASTIC
    choice = rng.random()
    if choice < 0.35 and kinetic < 600.0:
        event.ledger[RELEASED] += PION_MASS
        star(rng, event, index, process, kinetic + PION_MASS, x, y, z, t, ux, uy, uz, 0.3)
        return
    kept = (0.3 + 0.6 * rng.random()) * kinetic
    forward = 1.0 - (1.0 - rng.random() ** 2) * (0.3 if kinetic > 400.0 else 1.2)
    vx, vy, vz = turn(ux, uy, uz, min(max(forward, -1.0), 1.0), 2.0 * math.pi * rng.random())
    left = kinetic - kept
    if choice > 0.85:
        event.ledger[RELEASED] += PION_MASS - PION0_MASS
        left += PION_MASS - PION0_MASS
        push(event, index, PDG_PI0, process, x, y, z, t, vx, vy, vz, kept)
    else:
        push(event, index, PDG_PI if plus else -PDG_PI, process, x, y, z, t, vx, vy, vz, kept)
    star(rng, event, index, process, left, x, y, z, t, ux, uy, uz, 0.8)


@kernel
def star(rng, event, index, process, energy, x, y, z, t, ux, uy, uz, forward):
    """Share `energy` among nucleons, with the nucleus keeping a part that it evaporates.

    `forward` weighs the direction (ux, uy, uz) of what came in against isotropy.
    """
    nucleus = min(0.25 * energy * rng.random() + 5.0, energy)
    left = energy - nucleus
    while left > BINDING + 2.0:
        share = left * rng.random() if left > 25.0 else left
        if share < BINDING + 2.0:
            break
        left -= share
        event.ledger[INVISIBLE] += BINDING
        kinetic = share - BINDING
        vx, vy, vz = isotropic(rng)
        weight = forward * math.sqrt(kinetic / (kinetic + 50.0)) * 1.5
        vx, vy, vz = vx + weight * ux, vy + weight * uy, vz + weight * uz
        norm = math.sqrt(vx * vx + vy * vy + vz * vz)
        if norm < 1e-6:
            vx, vy, vz, norm = 0.0, 0.0, 1.0, 1.0
        pdg = PDG_P if rng.random() < 0.5 else PDG_N
        push(event, index, pdg, process, x, y, z, t, vx / norm, vy / norm, vz / norm, kinetic)
    evaporate(rng, event, index, process, nucleus + left, 0.75, x, y, z, t)


@kernel
def evaporate(rng, event, index, process, energy, neutrons, x, y, z, t):
    """A nucleus sheds `energy`: nucleons of some MeV (a share `neutrons` of them neutral), then photons."""
    while energy > BINDING + 3.0:
        kinetic = min(exponential(rng, 2.0) + exponential(rng, 2.0), energy - BINDING)
        energy -= kinetic + BINDING
        event.ledger[INVISIBLE] += BINDING
        ux, uy, uz = isotropic(rng)
        pdg = PDG_N if rng.random() < neutrons else PDG_P
        push(event, index, pdg, process, x, y, z, t, ux, uy, uz, kinetic)
    while energy > 0.5:
        k = min(0.3 + exponential(rng, 1.5), energy)
        energy -= k
        if rng.random() < 0.5:  # the other half of the cascade is too soft to be seen
            event.ledger[INVISIBLE] += k
            continue
        ux, uy, uz = isotropic(rng)
        push(event, index, PDG_GAMMA, process, x, y, z, t, ux, uy, uz, k)
    event.ledger[INVISIBLE] += energy


@kernel
def follow_neutron(rng, event, world, index):
    """Scatter a neutron until it is slow or gone: recoils are unseen, inelastic collisions give photons or a proton."""
    track = event.tracks[index]
    x, y, z, t = track.x, track.y, track.z, track.t
    ux, uy, uz = track.ux, track.uy, track.uz
    kinetic = track.kinetic
    travelled = 0.0
    while kinetic > NEUTRON_END:
        path = NEUTRON_PATH * (1.0 + kinetic / 60.0) if kinetic < 240.0 else 5.0 * NEUTRON_PATH
        step = -path * math.log(1.0 - rng.random())
        x, y, z = x + step * ux, y + step * uy, z + step * uz
        travelled += step
        gamma = 1.0 + kinetic / NEUTRON_MASS
        t += step / (LIGHT_SPEED * math.sqrt(1.0 - 1.0 / (gamma * gamma)))
        if not in_world(world, x, y, z):
            event.ledger[OUTSIDE] += kinetic
            finish(event, index, x, y, z, t, kinetic, travelled)
            return
        lost = 0.095 * kinetic * rng.random()  # elastic off argon: at most 4A/(A+1)² of the energy
        if kinetic > 30.0 and rng.random() < 0.5:
            finish(event, index, x, y, z, t, kinetic, travelled)
            star(rng, event, index, N_INELASTIC, kinetic, x, y, z, t, ux, uy, uz, 1.0)
            return
        if kinetic > 1.6 and rng.random() < 0.3:
            k = 1.46 if rng.random() < 0.5 else min(0.5 + exponential(rng, 1.5), 0.9 * kinetic)
            lost = max(lost, k)
            vx, vy, vz = isotropic(rng)
            push(event, index, PDG_GAMMA, N_INELASTIC, x, y, z, t, vx, vy, vz, k)
            event.ledger[INVISIBLE] -= k
        event.ledger[INVISIBLE] += lost
        kinetic -= lost
        ux, uy, uz = isotropic(rng)
    event.ledger[INVISIBLE] += kinetic
    finish(event, index, x, y, z, t, 0.0, travelled)


@kernel
def neutral_pion(rng, event, index):
    """π0 → γγ where it was made, isotropic in its rest frame."""
    track = event.tracks[index]
    gamma = 1.0 + track.kinetic / PION0_MASS
    beta = math.sqrt(max(0.0, 1.0 - 1.0 / (gamma * gamma)))
    event.ledger[RELEASED] += PION0_MASS
    c = 2.0 * rng.random() - 1.0
    phi = 2.0 * math.pi * rng.random()
    for side in (1.0, -1.0):
        energy = 0.5 * PION0_MASS * gamma * (1.0 + beta * c * side)
        cosine = (side * c + beta) / (1.0 + beta * c * side)
        azimuth = phi if side > 0 else phi + math.pi
        ux, uy, uz = turn(track.ux, track.uy, track.uz, min(max(cosine, -1.0), 1.0), azimuth)
        push(event, index, PDG_GAMMA, DECAY, track.x, track.y, track.z, track.t, ux, uy, uz, energy)
    finish(event, index, track.x, track.y, track.z, track.t, 0.0, 0.0)
