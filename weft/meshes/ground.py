"""The ground below a mesh: one plane, or a surface that follows hills (spec §3).

The local ground is what is left of a raster of lowest heights after a morphological opening, which takes away whatever
is narrower than its disc and keeps slopes (the progressive filter of Zhang et al., IEEE TGRS 41 (2003) 872, with one
size of window). A building that holds such a disc is ground to it, and a hilltop that holds none is cut. Within a
radius of the border of the mesh, ground that rises outwards more steeply than the mesh on the whole is taken too low;
the ground of a mesh that is narrower than the disc is level, at its lowest place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.errors import WeftError
from weft.meshes.geometry import centroids

Ground = Literal["local", "plane"]
Raster = NDArray[np.float64]

_CELLS = 1 << 24  # of a raster, 128 MiB
_SLOPES = 3  # openings that only find the slope
_POINTS = 1 << 20  # on faces, at a time
_LOWEST = 5.0  # per cent of the vertices that say where the plane lies


def heights(
    vertices: np.ndarray, faces: np.ndarray, *, ground: Ground = "local", cell: float = 2.0, radius: float = 20.0
) -> NDArray[np.float64]:
    """float64 [M], m, how far the centroid of each face is above the ground, straight up or along the plane's normal.

    vertices: float64 [V, 3] in m. faces: [M, 3].
    cell: m, width of a cell of the raster. radius: m, of the disc of the opening.
    Raises WeftError where the mesh is so wide that the raster would have more than 16 million cells.
    """
    middle = centroids(vertices[faces])
    if not len(faces):
        return np.zeros(0)
    if ground == "plane":
        return _over_plane(middle, vertices[np.unique(faces)])
    raster, origin = lowest_points(vertices, faces, cell)
    surface = opened(ndimage.median_filter(raster, 3, mode="nearest"), radius / cell)
    place = (middle[:, :2] - origin) / cell - 0.5
    below = ndimage.map_coordinates(surface, place.T, order=1, mode="nearest")
    return np.asarray(middle[:, 2] - below)


def _over_plane(middle: np.ndarray, points: np.ndarray) -> NDArray[np.float64]:
    """Over the plane through the lowest vertices, or the lowest one where they are fewer than three."""
    low = points[points[:, 2] <= np.percentile(points[:, 2], _LOWEST)]
    if len(low) < 3:
        return np.asarray(middle[:, 2] - points[:, 2].min())
    away = low - low.mean(axis=0)
    normal = np.linalg.eigh(away.T @ away)[1][:, 0]
    return np.asarray((middle - low.mean(axis=0)) @ (normal if normal[2] >= 0 else -normal))


def lowest_points(vertices: np.ndarray, faces: np.ndarray, cell: float) -> tuple[Raster, NDArray[np.float64]]:
    """float64 [X, Y], m, the lowest height of the surface in each cell, that of the nearest one where there is none;
    and float64 [2], m, the corner of cell (0, 0)."""
    corners = vertices[faces]
    origin = corners[..., :2].min(axis=(0, 1))
    extent = corners[..., :2].max(axis=(0, 1)) - origin
    shape = np.floor(extent / cell).astype(np.int64) + 1
    if math.prod(shape.tolist()) > _CELLS:
        raise WeftError(
            f"ground of a mesh of {extent[0]:.4g} x {extent[1]:.4g} m: cells of {cell:g} m would be more than "
            f"{_CELLS}; give a larger ground_cell"
        )
    raster = np.full(math.prod(shape.tolist()), np.inf)
    for points in _surface_points(corners, cell / 2):
        column = np.floor((points[:, :2] - origin) / cell).astype(np.int64)
        column = np.clip(column, 0, shape - 1)
        np.minimum.at(raster, column[:, 0] * shape[1] + column[:, 1], points[:, 2])
    raster = raster.reshape(shape)
    nearest = ndimage.distance_transform_edt(np.isinf(raster), return_distances=False, return_indices=True)
    return raster[tuple(nearest)], origin


def _surface_points(corners: np.ndarray, step: float) -> Iterator[np.ndarray]:
    """Points on faces, [n, 3] at a time: their corners, and rows of points in faces wider than a step on the map.

    Rows are a step apart at most, and so are points in a row. In a face, away from its edges, no place on the map is
    farther than 0.71 steps from one: with half a cell as the step, every cell there has one.
    """
    flat = corners[..., :2]
    lengths = np.linalg.norm(np.roll(flat, -1, axis=1) - flat, axis=2)
    length, longest = lengths.max(axis=1), lengths.argmax(axis=1)
    wide = np.flatnonzero(length > step)
    yield corners[length <= step].reshape(-1, 3)
    if not len(wide):
        return
    turned = np.take_along_axis(corners[wide], ((longest[wide, None] + np.arange(3)) % 3)[..., None], axis=1)
    start, base, side = turned[:, 0], turned[:, 1] - turned[:, 0], turned[:, 2] - turned[:, 0]
    across = np.abs(base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0]) / length[wide]
    steps = np.ceil(np.stack([length[wide], np.maximum(across, step)], axis=1) / step).astype(np.int64)
    kinds, kind = np.unique(steps, axis=0, return_inverse=True)
    order = np.argsort(kind.reshape(-1), kind="stable")
    for (along, up), faces in zip(kinds, np.split(order, np.cumsum(np.bincount(kind.reshape(-1)))[:-1]), strict=True):
        i, j = (grid.reshape(-1) for grid in np.indices((along + 1, up + 1)))
        inside = i * up + j * along <= along * up
        s, t = (i[inside] / along)[:, None], (j[inside] / up)[:, None]
        for mine in np.array_split(faces, math.ceil(len(faces) * len(s) / _POINTS)):
            yield (start[mine, None] + s * base[mine, None] + t * side[mine, None]).reshape(-1, 3)


def opened(raster: Raster, radius: float) -> Raster:
    """A raster [X, Y] after a grey opening with a disc, radius in cells, which follows the slope of the whole.

    Edges are repeated, which is wrong on a slope: so the plane through an opening, in which little but ground is left,
    is taken off before the next one. Each finds most of what slope is left.
    """
    reach = int(radius)
    place = np.arange(-reach, reach + 1)
    disc = np.hypot(place[:, None], place[None, :]) <= radius
    slope = np.zeros_like(raster)
    for _ in range(_SLOPES):
        slope = slope + _plane(_grey_opening(raster - slope, disc))
    return _grey_opening(raster - slope, disc) + slope


def _grey_opening(raster: Raster, disc: np.ndarray) -> Raster:
    eroded = ndimage.grey_erosion(raster, footprint=disc, mode="nearest")
    return np.asarray(ndimage.grey_dilation(eroded, footprint=disc, mode="nearest"))


def _plane(raster: Raster) -> Raster:
    """The plane of least squares, in the shape of the raster."""
    x, y = (np.arange(n) - (n - 1) / 2 for n in raster.shape)
    away = raster - raster.mean()
    slope_x = (x @ away.mean(axis=1)) / max(x @ x, 1)
    slope_y = (y @ away.mean(axis=0)) / max(y @ y, 1)
    return raster.mean() + slope_x * x[:, None] + slope_y * y[None, :]
