"""Textures of a tile: the pictures of all pieces, side by side on as few pages as hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weft.simulation.towns.pieces import Piece
from weft.simulation.towns.settings import Textures

#: Pixels around a picture that repeat its edge, so that neither JPEG nor a nearest pixel mixes neighbours.
_MARGIN = 2
#: Of JPEG blocks with halved colour.
_BLOCK = 16
#: Grey of a page where there is no picture.
_EMPTY = 90


class Spot(NamedTuple):
    """Where a picture lies, without its margin: page, first row and column, rows and columns, pixels."""

    page: int
    row: int
    column: int
    rows: int
    columns: int


class Atlas(NamedTuple):
    """Pages uint8 [H, W, 3], RGB, and the texture coordinates [V, 2] of each piece's vertices, v from the bottom."""

    pages: list[np.ndarray]
    coordinates: list[np.ndarray]
    spots: list[Spot]


def draw_atlas(
    pieces: Sequence[Piece], options: Textures, paint: np.random.Generator, camera: np.random.Generator
) -> Atlas:
    """The pages of a tile.

    paint: for the pictures. camera: for the light and the noise of the tile.
    """
    most = options.page - 2 * _MARGIN
    shapes = [
        [min(most, max(2, int(np.ceil(length / options.gsd)))) for length in piece.size[::-1]] for piece in pieces
    ]
    spots, sizes = pack(shapes, options.page)
    pages = [np.full((*size, 3), _EMPTY, np.uint8) for size in sizes]
    light = np.exp(options.brightness * camera.normal() + options.tint * camera.normal(size=3) * [1, 0, 1])
    azimuth = camera.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(azimuth), np.sin(azimuth), 1.0]) / np.sqrt(2)
    coordinates = []
    for piece, spot in zip(pieces, spots, strict=True):
        picture = piece.paint(spot.rows, spot.columns, piece.size[0] / spot.columns, paint)
        share = 1 - options.sun + options.sun * 1.3 * max(0.0, float(_normal(piece) @ sun))
        picture *= share * light
        picture += options.grain * camera.standard_normal(picture.shape[:2], np.float32)[..., None]
        seen = np.rint(np.clip(picture, 0, 255, out=picture), out=picture).astype(np.uint8)
        framed = np.pad(seen, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), "edge")
        row, column = spot.row - _MARGIN, spot.column - _MARGIN
        pages[spot.page][row : row + framed.shape[0], column : column + framed.shape[1]] = framed
        height, width = sizes[spot.page]
        share_of = piece.chart / np.maximum(piece.size, 1e-9)
        across = (spot.column + share_of[:, 0] * spot.columns) / width
        down = (spot.row + (1 - share_of[:, 1]) * spot.rows) / height
        coordinates.append(np.column_stack([across, 1 - down]))
    return Atlas(pages, coordinates, spots)


def pack(shapes: Sequence[Sequence[int]], page: int) -> tuple[list[Spot], list[tuple[int, int]]]:
    """Where pictures [rows, columns] lie, on shelves, the highest first; and the size (rows, columns) of each page."""
    area = sum((rows + 2 * _MARGIN) * (columns + 2 * _MARGIN) for rows, columns in shapes)
    widest = max(columns for _, columns in shapes) + 2 * _MARGIN
    width = min(page, max(widest, int(np.sqrt(1.1 * area))))
    found: list[Spot | None] = [None] * len(shapes)
    number, row, column, shelf = 0, 0, 0, 0
    heights = [0]
    for k in sorted(range(len(shapes)), key=lambda k: (-shapes[k][0], k)):
        rows, columns = shapes[k][0] + 2 * _MARGIN, shapes[k][1] + 2 * _MARGIN
        if column + columns > width:
            row, column, shelf = row + shelf, 0, 0
        if row + rows > page:
            number, row, column, shelf = number + 1, 0, 0, 0
            heights.append(0)
        found[k] = Spot(number, row + _MARGIN, column + _MARGIN, shapes[k][0], shapes[k][1])
        column, shelf = column + columns, max(shelf, rows)
        heights[number] = max(heights[number], row + rows)
    whole = [(min(page, -(-height // _BLOCK) * _BLOCK), min(page, -(-width // _BLOCK) * _BLOCK)) for height in heights]
    return [spot for spot in found if spot is not None], whole


def _normal(piece: Piece) -> np.ndarray:
    """float64 [3]: mean direction of the surface; up where it has none."""
    a, b, c = (piece.vertices[piece.faces[:, k]] for k in range(3))
    total = np.cross(b - a, c - a).sum(axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
