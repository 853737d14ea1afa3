"""Pictures of surfaces, painted by rules: what makes the classes look different, and alike.

Colours come from :mod:`weft.simulation.towns.palette`. Every painter makes float [rows, columns, 3], 0 to 255; rows go
down, so row 0 is the top of the surface.
"""

from __future__ import annotations

import numpy as np

from weft.simulation.towns.fields import octaves, smooth
from weft.simulation.towns.pieces import Painter

Colour = np.ndarray


def flat(rows: int, columns: int, colour: Colour) -> np.ndarray:
    return np.broadcast_to(np.asarray(colour, float), (rows, columns, 3)).copy()


def mottled(colour: Colour, depth: float, size: float) -> Painter:
    """Spots of a size, m, whose brightness varies by a share `depth`: lawns, earth, gravel, plaster, crowns."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        field = octaves(rows, columns, size / gsd, rng)
        fine = rng.standard_normal((rows, columns))
        return flat(rows, columns, colour) * np.exp(depth * (0.8 * field + 0.6 * fine))[..., None]

    return paint


def foliage(colour: Colour) -> Painter:
    """Leaves: bright and dark clumps, brighter towards the top."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        clumps = octaves(rows, columns, 0.9 / gsd, rng)
        light = np.linspace(1.15, 0.7, rows)[:, None]
        leaf = flat(rows, columns, colour) * (light * np.exp(0.32 * clumps))[..., None]
        leaf[..., 1] *= np.exp(0.06 * smooth(rows, columns, 1.5 / gsd, rng))
        return leaf

    return paint


def rows_of_tiles(colour: Colour, pitch: float) -> Painter:
    """Roof tiles or seams of metal: dark lines every `pitch` m across, and single tiles of another shade."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        down, across = _metres(rows, gsd), _metres(columns, gsd)
        line = np.where(down % pitch < min(gsd, pitch / 2), 0.72, 1.0)[:, None]
        which = (down[:, None] // pitch).astype(int), (across[None, :] // (1.5 * pitch)).astype(int)
        shade = rng.normal(0, 0.08, (int(which[0].max()) + 1, int(which[1].max()) + 1))
        worn = 0.08 * octaves(rows, columns, 3 / gsd, rng)
        return flat(rows, columns, colour) * (line * np.exp(shade[which] + worn))[..., None]

    return paint


def seams(colour: Colour, pitch: float) -> Painter:
    """Sheets of metal: upright dark lines every `pitch` m, stains."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        line = np.where(_metres(columns, gsd) % pitch < gsd, 0.7, 1.0)[None, :]
        stains = octaves(rows, columns, 2.5 / gsd, rng)
        return flat(rows, columns, colour) * (line * np.exp(0.09 * stains))[..., None]

    return paint


def facade(wall: Colour, glass: Colour, storey: float = 3.0, spacing: float = 2.6) -> Painter:
    """A wall with windows in every storey; the lowest rows are in the shade."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        up, across = _metres(rows, gsd)[::-1], _metres(columns, gsd)
        width = columns * gsd
        step = width / max(1, round(width / spacing))
        window = ((up % storey > 0.9) & (up % storey < 2.3))[:, None] & (np.abs(across % step - step / 2) < 0.55)[
            None, :
        ]
        picture = mottled(wall, 0.05, 2.0)(rows, columns, gsd, rng)
        cells = (up[:, None] // storey).astype(int), (across[None, :] // step).astype(int)
        gleam = rng.uniform(0.5, 1.6, (int(cells[0].max()) + 1, int(cells[1].max()) + 1))[cells]
        return np.where(window[..., None], np.asarray(glass, float) * gleam[..., None], picture)

    return paint


def planks(colour: Colour) -> Painter:
    """A wall of boards without windows."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        boards = (_metres(columns, gsd) // 0.4).astype(int)
        shade = rng.normal(0, 0.1, int(boards.max()) + 1)[boards]
        grain = 0.05 * octaves(rows, columns, 0.6 / gsd, rng)
        return flat(rows, columns, colour) * np.exp(shade[None, :] + grain)[..., None]

    return paint


def lacquer(colour: Colour) -> Painter:
    """Car paint: even, with a soft gleam."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        gleam = np.exp(-(((np.linspace(0, 1, rows) - rng.uniform(0.15, 0.5)) / 0.2) ** 2))[:, None]
        return flat(rows, columns, colour) + 45 * gleam[..., None] * np.ones((1, columns, 1))

    return paint


def panes(glass: Colour, frame: Colour) -> Painter:
    """The windows of a car's cabin: dark, between posts of its colour."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        across = np.linspace(0, 1, columns, endpoint=False) + 0.5 / columns
        post = (np.abs(across - 0.5) < 0.06) | (across < 0.08) | (across > 0.92)
        gleam = 1 + 0.4 * smooth(rows, columns, 0.5 / gsd, rng)
        picture = np.asarray(glass, float) * np.clip(gleam, 0.3, 2)[..., None]
        return np.where(post[None, :, None], np.asarray(frame, float), picture)

    return paint


def hull(colour: Colour, line: Colour) -> Painter:
    """The side of a boat: even, with a stripe below its edge and dirt at the water."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        down = np.linspace(0, 1, rows, endpoint=False)[:, None, None]
        picture = np.where((down > 0.2) & (down < 0.4), np.asarray(line, float), flat(rows, columns, colour))
        return picture * np.where(down > 0.75, 0.6, 1.0) * np.exp(0.04 * rng.standard_normal((rows, columns, 1)))

    return paint


def deck(colour: Colour) -> Painter:
    """The deck of a boat: narrow boards along it."""

    def paint(rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
        board = np.where((np.arange(rows) // max(1, round(0.3 / gsd))) % 2 == 0, 1.0, 0.82)[:, None]
        return flat(rows, columns, colour) * (board * np.exp(0.06 * rng.standard_normal((rows, columns))))[..., None]

    return paint


def ripples(colour: Colour, sky: Colour, rows: int, columns: int, gsd: float, rng: np.random.Generator) -> np.ndarray:
    """The surface of water: stripes of sky in a dark colour, long across the wind."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:rows, 0:columns] * gsd
    along = np.cos(angle) * x + np.sin(angle) * y
    bend = 2.5 * smooth(rows, columns, 8 / gsd, rng)
    share = 0.5 + 0.5 * np.sin(2 * np.pi * along / 1.3 + bend)
    share = np.clip(0.35 * share + 0.12 * octaves(rows, columns, 6 / gsd, rng), 0, 1)[..., None]
    return (1 - share) * np.asarray(colour, float) + share * np.asarray(sky, float)


def _metres(count: int, gsd: float) -> np.ndarray:
    return (np.arange(count) + 0.5) * gsd
