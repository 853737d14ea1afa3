"""What trees read of a face: its shape, its place above the ground, its colours, and the faces around it.

Nothing depends on where on the map a mesh lies, or which way it is turned about the vertical. The features follow the
random forest of SUM (specification §3: verticality, elevation, colours in HSV, greenness, linearity, …), of faces where
that has segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.io.products import Ragged
from weft.meshes.geometry import areas, centroids, corner_angles, normals

_SHAPE = (
    "normal_z", "slope", "log_area", "smallest_angle", "largest_angle", "shortest_edge", "longest_edge", "above_lowest",
)  # fmt: skip
_SURFACE = ("height", "roughness")
_COLOUR = (
    "red", "green", "blue", "spread_red", "spread_green", "spread_blue", "hue_x", "hue_y", "saturation", "value",
    "spread_value", "greenness", "log_pixels",
)  # fmt: skip
#: Faces whose surroundings are looked at together: a few hundred neighbours each.
_BLOCK = 8192
_AROUND = ("faces", "up", "height_above", "height_spread", "linearity", "planarity", "sphericity", "verticality")


def names(surface: bool, colours: bool, radii: Sequence[float] = ()) -> tuple[str, ...]:
    """Names of the columns of :func:`face_statistics`."""
    made = (*_SHAPE, *(_SURFACE if surface else ()), *(_COLOUR if colours else ()))
    for radius in radii:
        around = (*_AROUND, *(_COLOUR if colours else ()))
        made += tuple(f"{name}_within_{radius:g}" for name in around)
    return made


def face_statistics(event: Any, surface: bool, colours: bool, radii: Sequence[float] = ()) -> NDArray[np.float32]:
    """float32 [M, F], the columns of :func:`names`; NaN for the colours of a face without a texture.

    event: has `vertices` and `faces`, `face_surface` for `surface`, `face_pixels` for `colours`. radii: m.
    """
    vertices, faces = np.asarray(event["vertices"]), np.asarray(event["faces"])
    corners = vertices[faces].reshape(-1, 3, 3)
    columns = [_shape(corners)]
    if surface:
        columns.append(np.asarray(event["face_surface"], np.float64))
    painted = _colours(event["face_pixels"]) if colours else np.zeros((len(faces), 0))
    columns.append(painted)
    columns += [_around(corners, painted, radius) for radius in radii]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _shape(corners: np.ndarray) -> np.ndarray:
    up = normals(corners)[:, 2]
    angles = corner_angles(corners)
    edges = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    z = corners[..., 2].mean(axis=1)
    lowest = z.min(initial=np.inf) if len(z) else 0.0
    return np.column_stack(
        [
            up,
            np.arccos(np.clip(np.abs(up), 0, 1)),
            np.log1p(areas(corners)),
            angles.min(axis=1),
            angles.max(axis=1),
            edges.min(axis=1),
            edges.max(axis=1),
            z - lowest,
        ]
    )


def _colours(pixels: Ragged) -> np.ndarray:
    """float64 [M, 13] of the pixels under each face, in [0, 1]; the hue as a point, as long as the colour is strong."""
    counts = pixels.counts
    rgb = np.stack([pixels.values[name] for name in "rgb"], 1).astype(np.float64) / 255
    most, least = rgb.max(axis=1, initial=0), rgb.min(axis=1, initial=1)
    chroma = most - least
    with np.errstate(divide="ignore", invalid="ignore"):
        saturation = np.where(most > 0, chroma / most, 0)
    red, green, blue = rgb.T
    hue = np.stack([red - (green + blue) / 2, np.sqrt(3) / 2 * (green - blue)], 1)
    of_pixel = np.column_stack([rgb, rgb**2, hue, saturation, most, most**2, 2 * green - red - blue])
    sums = np.zeros((len(counts), of_pixel.shape[1]))
    np.add.at(sums, np.repeat(np.arange(len(counts)), counts), of_pixel)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / counts[:, None]
    spread = np.sqrt(np.maximum(mean[:, 3:6] - mean[:, :3] ** 2, 0))
    value = mean[:, 9]
    spread_value = np.sqrt(np.maximum(mean[:, 10] - value**2, 0))
    columns = [mean[:, :3], spread, mean[:, 6:9], value[:, None], spread_value[:, None], mean[:, 11:12]]
    return np.column_stack([*columns, np.where(counts > 0, np.log1p(counts), np.nan)])


def _around(corners: np.ndarray, painted: np.ndarray, radius: float) -> np.ndarray:
    """float64 [M, 8 + colours] of the faces whose centroid is within a radius, m: how many, what they are like on the
    mean, and how their centroids lie (Weinmann et al., ISPRS Journal 105 (2015) 286)."""
    from scipy.spatial import cKDTree

    points, up = centroids(corners), normals(corners)[:, 2]
    if not len(points):
        return np.zeros((0, len(_AROUND) + painted.shape[1]))
    points = points - points.mean(axis=0)
    products = points[:, [0, 1, 2, 0, 0, 1]] * points[:, [0, 1, 2, 1, 2, 2]]
    values = np.column_stack([np.ones(len(points)), up, points, products])
    tree = cKDTree(points)
    blocks = (slice(start, start + _BLOCK) for start in range(0, len(points), _BLOCK))
    return np.concatenate([_of_block(tree, points[rows], values, painted, radius) for rows in blocks])


def _of_block(tree: Any, points: np.ndarray, values: np.ndarray, painted: np.ndarray, radius: float) -> np.ndarray:
    """What is around some points [m, 3]: rows of :func:`_around`."""
    from scipy.sparse import csr_array

    near = tree.query_ball_point(points, radius, return_sorted=True)
    ends = np.cumsum([0, *map(len, near)])
    which = csr_array((np.ones(ends[-1]), np.concatenate(near), ends), (len(points), len(values)))
    sums = which @ values
    counts = sums[:, :1]
    means = sums / counts
    middle = means[:, 2:5]
    xx, yy, zz, xy, xz, yz = (means[:, 5:] - middle[:, [0, 1, 2, 0, 0, 1]] * middle[:, [0, 1, 2, 1, 2, 2]]).T
    covariance = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], 1).reshape(-1, 3, 3)
    sizes, axes = np.linalg.eigh(covariance)
    small, middling, large = np.maximum(sizes, 0).T
    flat = np.maximum(large, 1e-12)
    known = np.isfinite(painted)
    with np.errstate(invalid="ignore"):
        # The mean over the faces that have a texture.
        colours = (which @ np.where(known, painted, 0)) / (which @ known.astype(np.float64))
    shape = [(large - middling) / flat, (middling - small) / flat, small / flat, 1 - np.abs(axes[:, 2, 0])]
    above = points[:, 2] - middle[:, 2]
    spread = np.sqrt(np.maximum(zz, 0))
    return np.column_stack([np.log1p(counts[:, 0]), means[:, 1], above, spread, *shape, colours])
