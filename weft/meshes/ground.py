"""The ground below a mesh: one plane, or a surface that follows hills (spec §3).

The local ground is the simple morphological filter of Pingel, Clarke and McBride (ISPRS J. 77 (2013) 21) on a raster of
lowest heights. Openings with larger and larger discs take away what is narrower than them; a cell is an object, and no
ground, where an opening lowers it by more than a slope times the radius of its disc. So hills stay, and what stands on
them with steep sides goes. Below objects the ground is the smoothest surface that joins what is around them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve

from weft.errors import WeftError
from weft.meshes.geometry import centroids
from weft.meshes.surface_settings import Ground

Raster = NDArray[np.float64]

_CELLS = 1 << 22  # of a raster: filling 4 km2 takes about 3 GB
_GROWTH = 1.3  # of the radius from one opening to the next
_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
_KNOWN, _OUTSIDE = -1, -2
_POINTS = 1 << 20  # on faces, at a time
_LOWEST = 5.0  # per cent of the vertices that say where the plane lies


def heights(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    ground: Ground = "local",
    cell: float = 1.0,
    radius: float = 20.0,
    slope: float = 0.2,
) -> NDArray[np.float64]:
    """float64 [M], m, how far the centroid of each face is above the ground, straight up or along the plane's normal.

    vertices: float64 [V, 3] in m. faces: [M, 3].
    cell: m, width of a cell of the raster. radius: m, of the largest disc: what holds one is ground.
    slope: height over length, steepest ground; what is lower than it times half its own width is ground too.
    Raises WeftError where the mesh is so wide that the raster would have more than 4 million cells.
    """
    if not len(faces):
        return np.zeros(0)
    middle = centroids(vertices[faces])
    if ground == "plane":
        return _over_plane(middle, vertices[np.unique(faces)])
    raster, origin = lowest_points(vertices, faces, cell)
    raster = ndimage.median_filter(raster, 3, mode="nearest")  # a single point below the ground is an error
    surface = smoothly_filled(raster, objects(raster, cell, radius, slope))
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


def objects(raster: Raster, cell: float, radius: float, slope: float) -> NDArray[np.bool_]:
    """bool [X, Y], which cells of a raster of heights are what stands on the ground, and those beside them, which the
    foot of a wall reaches into. Beyond its edges the raster goes on with their values."""
    last, found = raster, np.zeros(raster.shape, bool)
    for reach in _radii(max(1, round(radius / cell))):
        opened = -lowest_in_disc(-lowest_in_disc(last, reach), reach)
        found |= last - opened > slope * reach * cell
        last = opened
    grown = np.asarray(ndimage.binary_dilation(found))
    return found if grown.all() else grown  # the lowest cell at least is ground


def lowest_in_disc(raster: Raster, reach: int) -> Raster:
    """The least of a raster [X, Y] in a disc around each cell, radius in cells: grey erosion, row by row of the disc,
    whose time grows as the radius and not as its square."""
    least = ndimage.minimum_filter1d(raster, 2 * reach + 1, axis=1, mode="nearest")
    high = np.pad(raster, ((reach, reach), (0, 0)), mode="edge")
    for away in range(1, reach + 1):
        row = ndimage.minimum_filter1d(high, 2 * math.isqrt(reach**2 - away**2) + 1, axis=1, mode="nearest")
        for start in (reach - away, reach + away):
            np.minimum(least, row[start : start + len(raster)], out=least)
    return np.asarray(least)


def _radii(largest: int) -> list[int]:
    """1, 2, 3, 4, 5, 6, 8, ... to the largest, each at most a third larger than the last or by one."""
    radii = [1]
    while radii[-1] < largest:
        radii.append(min(largest, max(radii[-1] + 1, round(_GROWTH * radii[-1]))))
    return radii


def smoothly_filled(raster: Raster, unknown: np.ndarray) -> Raster:
    """A raster [X, Y] whose unknown cells are each the mean of their four neighbours, or of those that there are.

    Something must be known.
    """
    n = int(unknown.sum())
    if not n:
        return raster
    # An equation per unknown cell: itself as often as it has neighbours, less the unknown ones, is the sum of the rest.
    number = np.full(np.add(raster.shape, 2), _OUTSIDE)
    number[1:-1, 1:-1] = _KNOWN
    number[1:-1, 1:-1][unknown] = np.arange(n)
    x, y = np.nonzero(number >= 0)
    near = np.stack([number[x + dx, y + dy] for dx, dy in _SIDES], axis=1)
    there = np.pad(raster, 1)
    height = np.stack([there[x + dx, y + dy] for dx, dy in _SIDES], axis=1)
    row, side = np.nonzero(near >= 0)
    entries = np.concatenate([-np.ones(len(row)), (near != _OUTSIDE).sum(axis=1)])
    places = np.concatenate([row, np.arange(n)]), np.concatenate([near[row, side], np.arange(n)])
    filled = raster.copy()
    filled[unknown] = spsolve(csc_array((entries, places), (n, n)), np.where(near == _KNOWN, height, 0).sum(axis=1))
    return filled
