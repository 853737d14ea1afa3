"""Pieces of surface with a picture on them: sheets between four corners, and bodies of revolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: The picture of a piece: (rows, columns, metres of a pixel, random numbers) -> float [rows, columns, 3], 0 to 255.
Painter = Callable[[int, int, float, np.random.Generator], np.ndarray]


class Piece(NamedTuple):
    """One chart of a texture and the faces that it lies on.

    Attributes:
        vertices: float64 [V, 3], m.
        faces: int64 [M, 3], corners counter-clockwise seen from outside.
        chart: float64 [V, 2], m: where a vertex lies in the picture, from its left and from its bottom.
        size: width and height of the picture, m.
        labels: int [M], class in the file.
        paint: what makes the picture.
    """

    vertices: np.ndarray
    faces: np.ndarray
    chart: np.ndarray
    size: tuple[float, float]
    labels: np.ndarray
    paint: Painter


def lattice(rows: int, columns: int) -> np.ndarray:
    """int64 [2·rows·columns, 3]: triangles between (rows + 1)·(columns + 1) points, row by row; diagonals alternate."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    a = row * (columns + 1) + column
    b, c, d = a + 1, a + columns + 2, a + columns + 1
    even = ((row + column) % 2 == 0)[:, None]
    first = np.where(even, np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    second = np.where(even, np.stack([a, c, d], 1), np.stack([b, c, d], 1))
    return np.stack([first, second], 1).reshape(-1, 3)


def without_slivers(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces that have an area: those at a pole, or where two corners of a sheet are one, have none."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-6]


def sheet(corners: np.ndarray, resolution: float, label: int, paint: Painter) -> Piece:
    """The surface between four corners, straight between opposite sides; two corners may be one.

    Args:
        corners: [4, 3], m: bottom left, bottom right, top right, top left, seen from outside.
        resolution: longest side of its cells, m.
    """
    left, right, far_right, far_left = np.asarray(corners, float)
    width = max(float(np.linalg.norm(right - left)), float(np.linalg.norm(far_right - far_left)))
    height = max(float(np.linalg.norm(far_left - left)), float(np.linalg.norm(far_right - right)))
    columns, rows = (max(1, int(np.ceil(length / resolution))) for length in (width, height))
    v, u = (part.ravel()[:, None] for part in np.mgrid[0 : rows + 1, 0 : columns + 1])
    u, v = u / columns, v / rows
    vertices = (1 - v) * ((1 - u) * left + u * right) + v * ((1 - u) * far_left + u * far_right)
    faces = without_slivers(vertices, lattice(rows, columns))
    return Piece(
        vertices, faces, np.hstack([u * width, v * height]), (width, height), np.full(len(faces), label), paint
    )


def revolved(
    centre: np.ndarray,
    profile: np.ndarray,
    around: int,
    label: int,
    paint: Painter,
    stretch: tuple[float, float] = (1.0, 1.0),
    angle: float = 0.0,
    bumps: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Piece:
    """A body of revolution about the vertical.

    Args:
        centre: [3], m.
        profile: [n, 2], m: distance from the axis and height above the centre, from the bottom to the top.
        around: cells around the axis.
        stretch: of the two horizontal axes, which are then turned by `angle`.
        bumps: factor on the distance from `centre` for each direction [V, 3].
    """
    turn = np.linspace(0, 2 * np.pi, around + 1)
    radius, height = (part[:, None] for part in profile.T)
    points = np.stack(np.broadcast_arrays(radius * np.cos(turn), radius * np.sin(turn), height), -1).reshape(-1, 3)
    if bumps is not None:
        points = points * bumps(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9))[:, None]
    points[:, 0] *= stretch[0]
    points[:, 1] *= stretch[1]
    points = turned(points, angle)
    vertices = points + centre
    faces = without_slivers(vertices, lattice(len(profile) - 1, around))
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    width = 2 * np.pi * float(profile[:, 0].max()) * (stretch[0] + stretch[1]) / 2
    chart = np.stack(np.broadcast_arrays(turn / (2 * np.pi) * width, along[:, None]), -1).reshape(-1, 2)
    return Piece(vertices, faces, chart, (width, float(along[-1])), np.full(len(faces), label), paint)


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Points [n, 2 or 3] turned about the vertical by an angle, radians."""
    out = np.array(points, float)
    cos, sin = np.cos(angle), np.sin(angle)
    out[:, 0], out[:, 1] = cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]
    return out


def bumpy(height: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A smooth random factor on a sphere, of mean 1 and r.m.s. `height`, at least 0.4."""
    waves, phases = rng.normal(0, 3.0, (8, 3)), rng.uniform(0, 2 * np.pi, 8)

    def factor(directions: np.ndarray) -> np.ndarray:
        swing = np.cos(directions @ waves.T + phases).sum(axis=1) / 2
        return np.maximum(1 + height * swing, 0.4)

    return factor
