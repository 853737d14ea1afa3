"""Cars, boats, and heaps of earth that are as big."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weft.simulation.towns.classes import BOAT, CAR, TERRAIN
from weft.simulation.towns.land import Site
from weft.simulation.towns.paint import deck, hull, lacquer, mottled, panes
from weft.simulation.towns.palette import colour
from weft.simulation.towns.pieces import Painter, Piece, bumpy, revolved, sheet, turned
from weft.simulation.towns.settings import TownSettings

#: Longest edge of a face of a car, m: photographs resolve no more of it.
_FINE = 1.2
#: Least and largest length, width and height, m.
_CAR = (3.7, 1.6, 1.35), (4.8, 1.9, 1.6)
_VAN = (4.6, 1.8, 1.9), (5.6, 2.1, 2.5)


def cars(settings: TownSettings, site: Site, rng: np.random.Generator) -> Iterator[list[Piece]]:
    """Two thirds on the roads and along them, the others anywhere on the ground."""
    options = settings.vehicles
    for _ in range(max(1, round(options.cars * settings.edge**2 / 1e4)) if options.cars else 0):
        van, parked = rng.uniform() < options.vans, rng.uniform() < 0.67
        length, width, height = rng.uniform(*(_VAN if van else _CAR))
        xy = site.place(length / 2, "road" if parked else "land", rng, gap=-0.9)
        if xy is None:
            continue
        angle = rng.uniform(0, 2 * np.pi)
        if parked:
            nearest = min(site.land.roads, key=lambda road: abs(float(road.across(xy[None])[0])))
            angle = nearest.angle + rng.normal(0, 0.05) + np.pi * (rng.uniform() < 0.5)
        base = np.append(xy, site.land.height(xy[None])[0])
        yield _car(settings, base, (length, width, height), angle, van, rng)


def _car(
    settings: TownSettings,
    base: np.ndarray,
    size: tuple[float, float, float],
    angle: float,
    van: bool,
    rng: np.random.Generator,
) -> list[Piece]:
    palette, variety = settings.textures.palette, settings.textures.variety
    paint = colour("lacquer", palette, variety, rng)
    body, glass = lacquer(paint), panes(colour("glass", palette, variety, rng), paint)
    length, width, height = size
    waist = height * (0.62 if van else 0.55)
    pieces = _box((-length / 2, length / 2), width / 2, (0.15, waist), (1.0, 0.97), body, body)
    front, back = (length * 0.46, -length * 0.49) if van else (length * 0.2, -length * 0.36)
    pieces += _box((back, front), width / 2 * 0.95, (waist, height), (0.8 if not van else 0.95, 0.85), glass, body)
    return [_put(piece, base, angle) for piece in pieces]


def _box(
    along: tuple[float, float],
    half: float,
    z: tuple[float, float],
    narrower: tuple[float, float],
    side: Painter,
    top: Painter,
) -> list[Piece]:
    """A box without a bottom; its top is `narrower` along and across."""
    middle, reach = (along[0] + along[1]) / 2, (along[1] - along[0]) / 2

    def corners(height: float, shrink: tuple[float, float]) -> np.ndarray:
        x, y = reach * shrink[0], half * shrink[1]
        flat = [[middle - x, -y], [middle + x, -y], [middle + x, y], [middle - x, y]]
        return np.column_stack([flat, np.full(4, height)])

    low, high = corners(z[0], (1.0, 1.0)), corners(z[1], narrower)
    sides = [sheet(np.array([low[k], low[k - 3], high[k - 3], high[k]]), _FINE, CAR, side) for k in range(4)]
    return [*sides, sheet(high, _FINE, CAR, top)]


def _put(piece: Piece, base: np.ndarray, angle: float) -> Piece:
    return piece._replace(vertices=turned(piece.vertices, angle) + base)


def boats(settings: TownSettings, site: Site, rng: np.random.Generator) -> Iterator[list[Piece]]:
    """As many as the water's size says, or have room on it."""
    steps = np.linspace(0, settings.edge, 65)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    water = float((site.land.water(grid) > 0).mean()) * settings.edge**2 / 1e4
    for _ in range(max(1, round(settings.vehicles.boats * water)) if settings.vehicles.boats and water else 0):
        length = rng.uniform(*settings.vehicles.boat_length)
        xy = site.place(length / 2, "water", rng, gap=0.3)
        if xy is not None:
            yield _boat(settings, np.append(xy, 0.0), length, rng.uniform(0, 2 * np.pi), rng)


def _boat(
    settings: TownSettings, base: np.ndarray, length: float, angle: float, rng: np.random.Generator
) -> list[Piece]:
    """A hull with a bow, a deck, and on longer ones a cabin."""
    palette, variety = settings.textures.palette, settings.textures.variety
    side = hull(colour("hull", palette, variety, rng), colour("hull", palette, variety, rng))
    boards = deck(colour("deck", palette, variety, rng))
    half, height = length * rng.uniform(0.14, 0.19), 0.35 + 0.07 * length
    outline = np.array([[-0.5, -0.8], [0.15, -1], [0.5, 0], [0.15, 1], [-0.5, 0.8]]) * [length, half]
    top = np.column_stack([outline, np.full(5, height)])
    bottom = np.column_stack([outline * [0.88, 0.7], np.full(5, -0.3)])
    fine = max(_FINE, length / 8)
    pieces = [sheet(np.array([bottom[k], bottom[k - 4], top[k - 4], top[k]]), fine, BOAT, side) for k in range(5)]
    bow = np.array([top[1], top[2], top[2], top[3]])
    pieces += [sheet(np.array([top[0], top[1], top[3], top[4]]), fine, BOAT, boards), sheet(bow, fine, BOAT, boards)]
    if length > 6:
        cabin = _box(
            (-0.3 * length, 0.05 * length), half * 0.6, (height, height + rng.uniform(0.8, 1.4)), (0.85, 0.9),
            panes(colour("glass", palette, variety, rng), colour("hull", palette, variety, rng)), boards,
        )  # fmt: skip
        pieces += [piece._replace(labels=np.full(len(piece.faces), BOAT)) for piece in cabin]
    return [_put(piece, base, angle) for piece in pieces]


def heaps(settings: TownSettings, site: Site, rng: np.random.Generator) -> Iterator[list[Piece]]:
    """Terrain that has the size of a car and colours of everything."""
    palette, variety = settings.textures.palette, settings.textures.variety
    count = settings.vehicles.heaps * settings.edge**2 / 1e4
    for _ in range(max(1, round(count)) if settings.vehicles.heaps else 0):
        radius = rng.uniform(1.1, 2.4)
        xy = site.place(radius, "land", rng)
        if xy is None:
            continue
        turn = np.linspace(0, np.pi / 2, 5)
        profile = np.column_stack([radius * np.cos(turn), rng.uniform(0.4, 0.75) * radius * np.sin(turn)])
        base = np.append(xy, site.land.height(xy[None])[0] - 0.15)
        around = max(7, int(np.ceil(2 * np.pi * radius / _FINE)))
        spots = mottled(colour("heap", palette, variety, rng), 0.16, 0.8)
        yield [
            revolved(
                base, profile, around, TERRAIN, spots, (1.0, rng.uniform(0.5, 1.0)), rng.uniform(0, np.pi),
                bumpy(0.08, rng),
            )
        ]  # fmt: skip
