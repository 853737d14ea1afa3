"""Trees and bushes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weft.simulation.towns.classes import VEGETATION
from weft.simulation.towns.land import Site
from weft.simulation.towns.paint import foliage, planks
from weft.simulation.towns.palette import colour
from weft.simulation.towns.pieces import Piece, bumpy, revolved
from weft.simulation.towns.settings import TownSettings


def plants(settings: TownSettings, site: Site, rng: np.random.Generator) -> Iterator[list[Piece]]:
    """As many as the settings say, or have room: trees first, then bushes. Crowns may touch."""
    options, area = settings.plants, settings.edge**2 / 1e4
    for _ in range(max(1, round(options.per_hectare * area)) if options.per_hectare else 0):
        height, conifer = rng.uniform(*options.height), rng.uniform() < options.conifers
        radius = height * rng.uniform(0.2, 0.27) if conifer else height * rng.uniform(0.26, 0.4)
        xy = site.place(radius, "land", rng, gap=-0.25 * radius)
        if xy is not None:
            base = np.append(xy, site.land.height(xy[None])[0] - 0.2)
            yield (_conifer if conifer else _tree)(settings, base, height, radius, rng)
    for _ in range(max(1, round(options.bushes * area)) if options.bushes else 0):
        radius = rng.uniform(0.9, 2.0)
        xy = site.place(radius, "land", rng)
        if xy is not None:
            yield _bush(settings, np.append(xy, site.land.height(xy[None])[0] - 0.2), radius, rng)


def _rings(settings: TownSettings, radius: float, length: float) -> tuple[int, int]:
    """Cells around, and along a profile of a length, m: crowns are finer than houses."""
    fine = min(settings.resolution, max(radius / 1.6, 0.6))
    return max(6, int(np.ceil(2 * np.pi * radius / fine))), max(3, int(np.ceil(length / fine)))


def _tree(
    settings: TownSettings, base: np.ndarray, height: float, radius: float, rng: np.random.Generator
) -> list[Piece]:
    """A crown like an egg on a trunk."""
    palette, variety = settings.textures.palette, settings.textures.variety
    tall = (height - rng.uniform(0.1, 0.3) * height) / 2
    around, along = _rings(settings, radius, np.pi * tall)
    turn = np.linspace(-np.pi / 2, np.pi / 2, along + 1)
    crown = np.column_stack([radius * np.cos(turn), tall * np.sin(turn)])
    centre = base + np.array([0, 0, height - tall])
    leaves = foliage(colour("leaves", palette, variety, rng))
    trunk = np.array([[0.22, 0.0], [0.18, height - 1.6 * tall]])
    stretch = rng.uniform(0.85, 1.15)
    return [
        revolved(
            centre, crown, around, VEGETATION, leaves, (stretch, 1 / stretch), rng.uniform(0, np.pi),
            bumpy(settings.plants.bumps, rng),
        ),
        revolved(base, trunk, 4, VEGETATION, planks(colour("heap", palette, variety, rng))),
    ]  # fmt: skip


def _conifer(
    settings: TownSettings, base: np.ndarray, height: float, radius: float, rng: np.random.Generator
) -> list[Piece]:
    """A cone down to the ground."""
    around, along = _rings(settings, radius, float(np.hypot(height, radius)))
    up = np.linspace(0, 1, along + 1)
    profile = np.column_stack([radius * (1 - up) * (1 + 0.15 * np.sin(up * np.pi * 5)), height * up])
    profile[0, 0] *= 0.6
    needles = foliage(colour("needles", settings.textures.palette, settings.textures.variety, rng))
    return [revolved(base, profile, around, VEGETATION, needles, bumps=bumpy(settings.plants.bumps / 2, rng))]


def _bush(settings: TownSettings, base: np.ndarray, radius: float, rng: np.random.Generator) -> list[Piece]:
    """Half an egg as long as a car or shorter."""
    height = rng.uniform(0.6, 0.9) * radius
    around, along = _rings(settings, radius, np.pi / 2 * radius)
    turn = np.linspace(0, np.pi / 2, along + 1)
    profile = np.column_stack([radius * np.cos(turn), height * np.sin(turn)])
    leaves = foliage(colour("bush", settings.textures.palette, settings.textures.variety, rng))
    stretch = rng.uniform(0.65, 1.0)
    return [
        revolved(
            base, profile, around, VEGETATION, leaves, (1.0, stretch), rng.uniform(0, np.pi),
            bumpy(settings.plants.bumps, rng),
        )
    ]  # fmt: skip
