"""Which particles an event starts with: multi-particle vertices and rain."""

from __future__ import annotations

import numpy as np

from weft.simulation.matter import (
    ELECTRON_MASS,
    MUON_MASS,
    NEUTRON_MASS,
    PION0_MASS,
    PION_MASS,
    PROTON_MASS,
)
from weft.simulation.settings import Block, SimulationSettings, Vertices
from weft.simulation.stack import PRIMARY, TRACK

PDG = {
    "mu-": 13, "mu+": -13, "e-": 11, "e+": -11, "gamma": 22, "pi+": 211, "pi-": -211, "pi0": 111, "proton": 2212,
    "neutron": 2112,
}  # fmt: skip
MASS = {
    11: ELECTRON_MASS, 13: MUON_MASS, 22: 0.0, 111: PION0_MASS, 211: PION_MASS, 2212: PROTON_MASS, 2112: NEUTRON_MASS
}  # fmt: skip


def primaries(settings: SimulationSettings, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """TRACK rows of the primaries, each its own parent, and the number of neutrino-like interactions.

    Interactions are numbered from 0, the neutrino-like ones first. Vertices are uniform in the box (less or plus the
    wall distance), directions isotropic, all times zero.
    """
    rows: list[tuple] = []
    edge = settings.box.voxels * settings.box.voxel_size
    interaction = neutrino_like = 0
    for recipe in (settings.neutrino_like, settings.rain):
        for _ in range(rng.integers(recipe.vertices[0], recipe.vertices[1], endpoint=True)):
            position = (rng.random(3) - 0.5) * (edge - 2 * recipe.wall)
            for block in _draw_blocks(recipe, rng):
                rows.append((interaction, *position, *_draw_particle(block, rng)))
            interaction += 1
        if recipe is settings.neutrino_like:
            neutrino_like = interaction
    tracks = np.zeros(len(rows), TRACK)
    if rows:
        names = ("interaction", "x", "y", "z", "pdg", "ux", "uy", "uz", "kinetic")
        for name, column in zip(names, zip(*rows, strict=True), strict=True):
            tracks[name] = column
    tracks["process"] = PRIMARY
    tracks["parent"] = np.arange(len(rows))
    return tracks, neutrino_like


def _draw_blocks(recipe: Vertices, rng: np.random.Generator) -> list[Block]:
    """Blocks of one vertex: first every block's fewest, then by weight among those that are not full."""
    number = int(rng.integers(recipe.particles[0], recipe.particles[1], endpoint=True))
    used = [block.count[0] for block in recipe.blocks]
    drawn = [block for block in recipe.blocks for _ in range(block.count[0])]
    while len(drawn) < number:
        weight = np.array([b.weight * (u < b.count[1]) for b, u in zip(recipe.blocks, used, strict=True)])
        k = int(rng.choice(len(weight), p=weight / weight.sum()))
        used[k] += 1
        drawn.append(recipe.blocks[k])
    return drawn


def _draw_particle(block: Block, rng: np.random.Generator) -> tuple[int, float, float, float, float]:
    species = block.species[int(rng.integers(len(block.species)))]
    cosine = rng.uniform(-1, 1)
    phi = rng.uniform(0, 2 * np.pi)
    sine = np.sqrt(1 - cosine**2)
    return PDG[species], sine * np.cos(phi), sine * np.sin(phi), cosine, rng.uniform(*block.energy)
