"""Houses with their roofs, and huts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from weft.simulation.towns.classes import BUILDING
from weft.simulation.towns.land import Land, Site
from weft.simulation.towns.paint import facade, mottled, planks, rows_of_tiles, seams
from weft.simulation.towns.palette import colour
from weft.simulation.towns.pieces import Painter, Piece, revolved, sheet, turned
from weft.simulation.towns.settings import Roof, TownSettings

_HUT = (2.2, 3.2), (2.6, 5.0), (1.6, 2.5)
#: How deep walls reach below the lowest ground around, and how far roofs stick out, m.
_DEPTH, _EAVES = 0.6, 0.35


class House(NamedTuple):
    """One building: its surfaces, and the polygon [4, 2] on the ground that it covers."""

    pieces: list[Piece]
    footprint: np.ndarray


class _Block(NamedTuple):
    """A box from `low` to `high`, m, about `centre`, turned by `angle`, `half` its sides along and across."""

    centre: np.ndarray
    half: tuple[float, float]
    angle: float
    low: float
    high: float

    def corners(self, z: float, out: float = 0.0) -> np.ndarray:
        """float64 [4, 3], counter-clockwise, at a height, `out` beyond the walls."""
        a, b = self.half[0] + out, self.half[1] + out
        flat = turned(np.array([[-a, -b], [a, -b], [a, b], [-a, b]]), self.angle) + self.centre
        return np.column_stack([flat, np.full(4, z)])

    def ridge(self, z: float, inset: float) -> np.ndarray:
        """float64 [2, 3]: ends of a line along the middle, `inset` from the ends of the box."""
        a = self.half[0] - inset
        flat = turned(np.array([[-a, 0.0], [a, 0.0]]), self.angle) + self.centre
        return np.column_stack([flat, np.full(2, z)])


def houses(settings: TownSettings, site: Site, rng: np.random.Generator) -> Iterator[House]:
    """As many as the settings say, or have room: houses first, then huts."""
    options, area = settings.buildings, settings.edge**2 / 1e4
    names = sorted(options.roofs)
    odds = np.array([options.roofs[name] for name in names])
    for _ in range(max(1, round(options.per_hectare * area)) if options.per_hectare else 0):
        width = rng.uniform(*options.width)
        half = width * rng.uniform(*options.elongation) / 2, width / 2
        centre = site.place(float(np.hypot(*half)), "land", rng, gap=1.0)
        roof: Roof = names[int(rng.choice(len(names), p=odds / odds.sum()))]
        height, wing = rng.uniform(*options.height), rng.uniform() < options.wings
        if centre is None:
            continue
        angle = rng.uniform(0, np.pi)
        if wing and roof != "dome":
            # Two blocks within the circle of one: the wing crosses the house at one end.
            yield _house(settings, site.land, centre, (half[0], half[1] * 0.55), angle, height, roof, rng)
            end = centre + turned(np.array([[half[0] - half[1] * 0.55, 0.0]]), angle)[0]
            yield _house(
                settings, site.land, end, (half[1], half[1] * 0.55), angle + np.pi / 2, height * 0.85, roof, rng
            )
        else:
            yield _house(settings, site.land, centre, half, angle, height, roof, rng)
    for _ in range(max(1, round(options.huts * area)) if options.huts else 0):
        width, length, height = (rng.uniform(*span) for span in _HUT)
        centre = site.place(float(np.hypot(width, length)) / 2, "land", rng, gap=0.3)
        if centre is not None:
            yield _hut(settings, site.land, centre, (length / 2, width / 2), height, rng)


def _block(land: Land, centre: np.ndarray, half: tuple[float, float], angle: float, height: float) -> _Block:
    flat = _Block(centre, half, angle, 0, 0).corners(0)[:, :2]
    around = land.height(np.vstack([flat, centre]))
    return _Block(centre, half, angle, float(around.min()) - _DEPTH, float(around.max()) + height)


def _house(
    settings: TownSettings,
    land: Land,
    centre: np.ndarray,
    half: tuple[float, float],
    angle: float,
    height: float,
    roof: Roof,
    rng: np.random.Generator,
) -> House:
    textures = settings.textures
    palette, variety = textures.palette, textures.variety
    wall = facade(colour("wall", palette, variety, rng), colour("glass", palette, variety, rng))
    block = _block(land, centre, half, angle, height)
    if roof == "dome":
        return House(_round(settings, block, wall, rng), block.corners(0)[:, :2] * 0.7 + block.centre * 0.3)
    cover: Painter
    if roof == "flat" and rng.uniform() < settings.buildings.green_roofs:
        cover = mottled(colour("grass", palette, variety, rng), 0.14, 1.2)
    elif roof in ("flat", "shed"):
        cover = mottled(colour("bitumen", palette, variety, rng), 0.07, 1.5)
    elif rng.uniform() < 0.3:
        cover = seams(colour("metal", palette, variety, rng), 0.6)
    else:
        cover = rows_of_tiles(colour("tiles", palette, variety, rng), 0.45)
    slope = rng.uniform(0.45, 0.9)
    pieces = [
        *_walls(block, settings.resolution, wall),
        *_roof(block, roof, slope, settings.resolution, wall, cover),
    ]
    return House(pieces, block.corners(0)[:, :2])


def _walls(block: _Block, resolution: float, wall: Painter) -> list[Piece]:
    low, high = block.corners(block.low), block.corners(block.high)
    return [sheet(np.array([low[k], low[k - 3], high[k - 3], high[k]]), resolution, BUILDING, wall) for k in range(4)]


def _roof(block: _Block, roof: Roof, slope: float, resolution: float, wall: Painter, cover: Painter) -> list[Piece]:
    """The surfaces above the walls; `slope`: rise over run."""

    def covered(*corners: np.ndarray, paint: Painter = cover) -> Piece:
        return sheet(np.array(corners), resolution, BUILDING, paint)

    if roof == "flat":
        a, b, c, d = block.corners(block.high)
        return [covered(a, b, c, d)]
    if roof == "shed":
        rise = 2 * block.half[1] * slope * 0.4
        a, b, c, d = block.corners(block.high)
        up = np.array([0, 0, rise])
        return [
            covered(a, b, c + up, d + up),
            covered(c, d, d + up, c + up, paint=wall),
            covered(b, c, c + up, c + up, paint=wall),
            covered(d, a, d + up, d + up, paint=wall),
        ]
    rise = block.half[1] * slope
    a, b, c, d = block.corners(block.high, _EAVES)
    if roof == "gable":
        left, right = block.ridge(block.high + rise, -_EAVES)
        ends = block.corners(block.high)
        first, last = block.ridge(block.high + rise, 0)
        return [
            covered(a, b, right, left),
            covered(c, d, left, right),
            covered(ends[1], ends[2], last, last, paint=wall),
            covered(ends[3], ends[0], first, first, paint=wall),
        ]
    inset = block.half[0] if roof == "pyramid" else min(block.half[1], block.half[0])
    left, right = block.ridge(block.high + rise, inset)
    return [
        covered(a, b, right, left),
        covered(c, d, left, right),
        covered(b, c, right, right),
        covered(d, a, left, left),
    ]


def _round(settings: TownSettings, block: _Block, wall: Painter, rng: np.random.Generator) -> list[Piece]:
    """A tower with a dome of metal, as round as a crown."""
    radius, dome = min(block.half), rng.uniform(0.6, 1.0)
    around = max(8, int(np.ceil(2 * np.pi * radius / settings.resolution)))
    height = block.high - block.low
    steps = max(1, int(np.ceil(height / settings.resolution)))
    straight = np.column_stack([np.full(steps + 1, radius), np.linspace(0, height, steps + 1)])
    turn = np.linspace(0, np.pi / 2, max(3, int(np.ceil(radius * np.pi / 2 / settings.resolution))) + 1)
    arch = np.column_stack([radius * np.cos(turn), dome * radius * np.sin(turn)])
    base, top = (np.append(block.centre, z) for z in (block.low, block.high))
    metal = seams(colour("metal", settings.textures.palette, settings.textures.variety, rng), 0.6)
    return [
        revolved(base, straight, around, BUILDING, wall, angle=block.angle),
        revolved(top, arch, around, BUILDING, metal, angle=block.angle),
    ]


def _hut(
    settings: TownSettings,
    land: Land,
    centre: np.ndarray,
    half: tuple[float, float],
    height: float,
    rng: np.random.Generator,
) -> House:
    palette, variety = settings.textures.palette, settings.textures.variety
    block = _block(land, centre, half, rng.uniform(0, np.pi), height)
    boards = planks(colour("boards", palette, variety, rng))
    cover = mottled(colour("bitumen", palette, variety, rng), 0.07, 1.0)
    fine = min(settings.resolution, 1.2)
    roof: Roof = "gable" if rng.uniform() < 0.4 else "flat"
    pieces = [*_walls(block, fine, boards), *_roof(block, roof, 0.4, fine, boards, cover)]
    return House(pieces, block.corners(0)[:, :2])
