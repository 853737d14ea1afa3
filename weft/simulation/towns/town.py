"""One simulated tile: a textured mesh with the class of every face, as a function of (settings, seed, index)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.simulation.towns.atlas import Atlas, draw_atlas
from weft.simulation.towns.buildings import houses
from weft.simulation.towns.damage import Surface, damaged, welded
from weft.simulation.towns.ground import ground
from weft.simulation.towns.land import Land, Site
from weft.simulation.towns.pieces import Piece
from weft.simulation.towns.plants import plants
from weft.simulation.towns.remesh import loosened, refined
from weft.simulation.towns.settings import TownSettings
from weft.simulation.towns.vehicles import boats, cars, heaps

#: Corner of the first tile, m, and the tiles of a row of the map.
_CORNER, _ROW = (4250.95, 6750.95), 50


class SimulatedTown(NamedTuple):
    """A tile and its truth.

    Attributes:
        surface: the mesh, coordinates in the thousands of metres as in a map.
        textures: uint8 [H, W, 3] each, RGB, row 0 at the top.
    """

    surface: Surface
    textures: list[np.ndarray]


def simulate_town(settings: TownSettings, seed: int, index: int) -> SimulatedTown:
    """Tile `index` of a sample.

    Shapes, pictures, light and damage have generators of their own, so that the same town is seen in another light.
    """
    shapes, pictures, camera, harm = (np.random.default_rng([seed, index, purpose]) for purpose in range(4))
    land = Land(settings.ground, settings.edge, shapes)
    site = Site(land)
    built = list(houses(settings, site, shapes))
    objects = [house.pieces for house in built]
    for things in (boats, cars, heaps, plants):
        objects += things(settings, site, shapes)
    # Faces are cut to the resolution in the end: what they are cut from may be larger.
    below = ground(settings, land, [house.footprint for house in built], shapes)
    pieces = [below, *(piece for parts in objects for piece in parts)]
    surface = _joined(pieces, draw := draw_atlas(pieces, settings.textures, pictures, camera))
    surface = refined(welded(surface), settings.resolution, settings.unevenness, shapes)
    surface = damaged(loosened(surface, settings.damage.slide, harm), settings.damage, harm)
    corner = np.array(
        [_CORNER[0] + settings.edge * (index % _ROW), _CORNER[1] + settings.edge * (index // _ROW), harm.uniform(5, 25)]
    )
    return SimulatedTown(surface._replace(vertices=surface.vertices + corner), draw.pages)


def _joined(pieces: list[Piece], atlas: Atlas) -> Surface:
    """All pieces as one mesh; the segment of a face is the number of its piece."""
    first = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    counts = [len(piece.faces) for piece in pieces]
    return Surface(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate([piece.faces + start for piece, start in zip(pieces, first[:-1], strict=True)]),
        np.concatenate([uv[piece.faces] for piece, uv in zip(pieces, atlas.coordinates, strict=True)]),
        np.repeat([spot.page for spot in atlas.spots], counts),
        np.concatenate([piece.labels for piece in pieces]),
        np.repeat(np.arange(len(pieces)), counts),
    )
