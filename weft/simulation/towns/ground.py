"""Ground and water as one surface with one picture, as seen from above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.simulation.towns.classes import TERRAIN, WATER
from weft.simulation.towns.fields import octaves, smooth
from weft.simulation.towns.land import Land
from weft.simulation.towns.paint import ripples
from weft.simulation.towns.palette import colour
from weft.simulation.towns.pieces import Painter, Piece, lattice
from weft.simulation.towns.settings import TownSettings


def ground(settings: TownSettings, land: Land, footprints: Sequence[np.ndarray], rng: np.random.Generator) -> Piece:
    """The tile's ground: one picture, faces of water where all corners are wet, none under a building.

    footprints: convex polygons [n, 2] that buildings stand on, corners counter-clockwise.
    """
    steps = max(1, round(settings.edge / settings.resolution))
    lines = np.linspace(0, settings.edge, steps + 1)
    xy = np.stack(np.meshgrid(lines, lines), -1).reshape(-1, 2)
    # Lines of the grid that are not straight, so that nothing but the surface is to be seen in it.
    inner = np.asarray(((xy > 0) & (xy < settings.edge)).all(axis=1))
    xy = xy + np.where(inner[:, None], rng.uniform(-0.2, 0.2, xy.shape) * settings.resolution, 0)
    wet = np.asarray(land.water(xy) > 0)
    bumps = np.where(wet, settings.ground.waves, settings.ground.rough) * rng.standard_normal(len(xy))
    vertices = np.column_stack([xy, land.height(xy) + bumps])
    faces = lattice(steps, steps)
    covered = np.zeros(len(xy), bool)
    for polygon in footprints:
        covered |= inside(xy, polygon)
    faces = faces[~covered[faces].all(axis=1)]
    labels = np.where(wet[faces].all(axis=1), WATER, TERRAIN)
    return Piece(vertices, faces, xy, (settings.edge, settings.edge), labels, _seen_from_above(settings, land))


def inside(xy: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """bool [n]: within a convex polygon [k, 2], corners counter-clockwise."""
    along = np.roll(polygon, -1, axis=0) - polygon
    out = np.ones(len(xy), bool)
    for corner, (dx, dy) in zip(polygon, along, strict=True):
        out &= dx * (xy[:, 1] - corner[1]) - dy * (xy[:, 0] - corner[0]) >= 0
    return out


def _seen_from_above(settings: TownSettings, land: Land) -> Painter:
    palette, variety = settings.textures.palette, settings.textures.variety

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        y, x = np.mgrid[0:rows, 0:columns]
        xy = np.stack([(x.ravel() + 0.5) * gsd, (rows - y.ravel() - 0.5) * gsd], 1)
        colours = {
            name: colour(name, palette, variety, rng) for name in ("grass", "paving", "road", "bank", "water", "sky")
        }
        field = octaves(rows, columns, 14 / gsd, rng)
        patches = field > rng.uniform(-0.2, 0.8)
        picture = np.where(patches[..., None], colours["paving"], colours["grass"])
        spots = octaves(rows, columns, 1.2 / gsd, rng) * np.where(patches, 0.05, 0.14)
        slabs = patches & (((x * gsd) % 2.0 < gsd) | ((y * gsd) % 2.0 < gsd))
        picture *= (np.exp(spots) * np.where(slabs, 0.86, 1.0))[..., None]
        water = land.water(xy).reshape(rows, columns)
        picture[water > -1.5] = colours["bank"]
        worn = 0.05 * octaves(rows, columns, 2 / gsd, rng)
        on_road = land.road(xy) < 0
        asphalt = on_road.reshape(rows, columns)
        picture[asphalt] = colours["road"] * np.exp(worn[asphalt])[:, None]
        marks = np.zeros(rows * columns, bool)
        for road in land.roads:
            along = (xy - road.point) @ np.array([np.cos(road.angle), np.sin(road.angle)])
            marks |= (np.abs(road.across(xy)) < 0.12) & (along % 4 < 2) & on_road
        picture[marks.reshape(rows, columns)] = 205
        lake = ripples(colours["water"], colours["sky"], rows, columns, gsd, rng)
        picture[water > 0] = lake[water > 0]
        worn = 0.05 * smooth(rows, columns, 5 / gsd, rng) + 0.04 * rng.standard_normal((rows, columns))
        picture *= np.exp(worn)[..., None]
        return picture

    return paint
