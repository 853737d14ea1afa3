"""The pixels of a texture under each face: exact rasterisation, and subsets that are spread over the face (spec §5).

Coordinates of texture run from 0 to 1, u from the left edge and v from the bottom one, so that the centre of the pixel
in row i and column j of an image [h, w] lies at u = (j + ½)/w, v = 1 − (i + ½)/h. A pixel is under a face where its
centre lies in the triangle or on its edge; a face without any has the one pixel that its centre of texture lies in. In
each row of pixels the ones inside are an interval, so a face costs its rows, not its bounding box.

A face that has more than the cap keeps one pixel of each of as many equal strata of its raster, at places of a sequence
of low discrepancy: not the first rows, as the original did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.compiled import kernel
from weft.errors import WeftError

Wrap = Literal["repeat", "clamp"]

#: Fractional part of the golden ratio, whose multiples are spread the most evenly (Kronecker sequence).
_GOLDEN = (math.sqrt(5) - 1) / 2
#: Rows of pixels that a face may reach over, and pixels; beyond, its coordinates are no coordinates of texture.
_REACH = 1 << 24


class FacePixels(NamedTuple):
    """Pixels of faces, end to end: face k has the rows offsets[k] to offsets[k + 1]."""

    rgb: NDArray[np.uint8]
    """[n, 3]"""
    weights: NDArray[np.float16]
    """[n, 2], barycentric coordinates of corners 1 and 2 at the centre of the pixel, ⅓ for faces below a pixel"""
    offsets: NDArray[np.int64]
    """[M + 1]"""
    capped: int
    """faces that have more pixels than were kept"""
    under: int
    """pixels under all faces, those that were not kept too"""


def face_pixels(uv: np.ndarray, texture: np.ndarray, max_pixels: int = 256, wrap: Wrap = "repeat") -> FacePixels:
    """The pixels under faces that have one texture: see :func:`textured_pixels`.

    uv: [M, 6], u and v of the three corners; NaN: no texture. texture: uint8 [h, w, 3], red, green, blue.
    """
    which = np.where(np.isfinite(uv).all(axis=1), 0, -1)
    return textured_pixels(uv, which, [texture.shape[:2]], lambda _: texture, max_pixels, wrap)


def textured_pixels(
    uv: np.ndarray,
    which: np.ndarray,
    sizes: Sequence[tuple[int, ...]],
    load: Callable[[int], np.ndarray],
    max_pixels: int = 256,
    wrap: Wrap = "repeat",
) -> FacePixels:
    """The pixels under the faces of a mesh, whose textures are loaded one after the other.

    Args:
        uv: [M, 6], u and v of the three corners; NaN: no texture.
        which: [M], number of the texture, −1: none.
        sizes: (h, w) of each texture.
        load: uint8 [h, w, 3], red, green, blue, of a texture.
        max_pixels: that are kept of a face.
        wrap: what coordinates beyond 0 and 1 mean: the texture again, or its border.

    Raises:
        WeftError: a texture that does not exist or has another size, coordinates beyond any texture, nothing to keep.
    """
    if max_pixels < 1:
        raise WeftError(f"{max_pixels} pixels of a face, expected at least 1")
    uv = np.ascontiguousarray(uv, np.float64)
    which = np.where(np.isfinite(uv).all(axis=1), which, -1).astype(np.int64)
    if len(which) and which.max() >= len(sizes):
        raise WeftError(f"a face has texture {which.max()}, of {len(sizes)} counted from 0")
    size = np.array([*(shape[:2] for shape in sizes), (0, 0)], np.int64)[which]
    if np.abs(np.where(which[:, None] >= 0, uv * np.tile(size[:, ::-1], 3), 0)).max(initial=0) > _REACH:
        raise WeftError(f"coordinates of texture up to {np.nanmax(np.abs(uv)):.3g}, expected about 0 to 1")
    counts = _count(uv, size)
    kept = np.minimum(counts, max_pixels)
    offsets = np.zeros(len(uv) + 1, np.int64)
    np.cumsum(kept, out=offsets[1:])
    rgb = np.empty((offsets[-1], 3), np.uint8)
    weights = np.empty((offsets[-1], 2), np.float32)
    for number, shape in enumerate(sizes):
        rows = np.flatnonzero(which == number)
        if len(rows):
            texture = load(number)
            if texture.shape != (*shape[:2], 3) or texture.dtype != np.uint8:
                raise WeftError(
                    f"texture {number} is {texture.dtype} {texture.shape}, expected uint8 {(*shape[:2], 3)}"
                )
            _fill(uv, rows, counts, offsets, np.ascontiguousarray(texture), wrap == "repeat", rgb, weights)
    return FacePixels(rgb, weights.astype(np.float16), offsets, int((counts > kept).sum()), int(counts.sum()))


def sample_pixels(
    counts: np.ndarray, most: int, rng: np.random.Generator | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most `most` of the pixels of each face, one of each of as many equal strata, in the order that they have.

    counts: [M], pixels of the faces. rng: draws them at random; None: always the same ones, of low discrepancy.
    Returns int64 [sum] number of each pixel within its face, and int64 [M] how many each face has.
    """
    counts = np.asarray(counts, np.int64)
    kept = np.minimum(counts, most)
    starts = np.cumsum(kept) - kept
    number = np.arange(int(kept.sum())) - np.repeat(starts, kept)
    where = np.modf((number + 1) * _GOLDEN)[0] if rng is None else rng.random(len(number))
    of, parts = np.repeat(counts, kept), np.repeat(kept, kept)
    low, high = number * of // parts, (number + 1) * of // parts
    return low + np.minimum((where * (high - low)).astype(np.int64), high - low - 1), kept


@kernel
def _inside(c: np.ndarray, x: float, y: float) -> bool:
    """Whether a point lies in a triangle of positive area or on its edge."""
    for k in range(3):
        a, b = 2 * k, 2 * ((k + 1) % 3)
        if (c[b] - c[a]) * (y - c[a + 1]) - (c[b + 1] - c[a + 1]) * (x - c[a]) < 0:
            return False
    return True


@kernel
def _span(c: np.ndarray, row: int) -> tuple[int, int]:
    """First column inside a triangle in a row of pixels, and the one after the last."""
    y = row + 0.5
    low, high = -np.inf, np.inf
    for k in range(3):
        a, b = 2 * k, 2 * ((k + 1) % 3)
        dx, dy = c[b] - c[a], c[b + 1] - c[a + 1]
        side = dx * (y - c[a + 1])
        if dy == 0:
            if side < 0:
                return 0, 0
            continue
        x = c[a] + side / dy
        if dy > 0:
            high = min(high, x)
        else:
            low = max(low, x)
    if not low <= high + 1:
        return 0, 0
    # Rounding may be off by a pixel at either end; the edge functions decide.
    first, last = math.ceil(low - 0.5) - 1, math.floor(high - 0.5) + 1
    while first <= last and not _inside(c, first + 0.5, y):
        first += 1
    while last > first and not _inside(c, last + 0.5, y):
        last -= 1
    return first, last + 1


@kernel
def _corners(uv: np.ndarray, height: int, width: int, c: np.ndarray) -> float:
    """Corners of a face in pixels, x and y of each, anticlockwise where y is up; twice its area."""
    for k in range(3):
        c[2 * k] = uv[2 * k] * width
        c[2 * k + 1] = (1 - uv[2 * k + 1]) * height
    area = (c[2] - c[0]) * (c[5] - c[1]) - (c[3] - c[1]) * (c[4] - c[0])
    if area < 0:
        c[2], c[4] = c[4], c[2]
        c[3], c[5] = c[5], c[3]
    return area


@kernel
def _count(uv: np.ndarray, size: np.ndarray) -> np.ndarray:
    """int64 [M], pixels under each face: at least one where it has a texture."""
    counts = np.zeros(len(uv), np.int64)
    c = np.empty(6)
    for face in range(len(uv)):
        if size[face, 0] == 0:
            continue
        if _corners(uv[face], size[face, 0], size[face, 1], c) != 0:
            for row in range(math.floor(min(c[1], c[3], c[5])), math.ceil(max(c[1], c[3], c[5]))):
                first, stop = _span(c, row)
                counts[face] += stop - first
        counts[face] = max(counts[face], 1)
    return counts


@kernel
def _texel(place: int, size: int, repeat: bool) -> int:
    if repeat:
        return place % size
    return min(max(place, 0), size - 1)


@kernel
def _fill(
    uv: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
    offsets: np.ndarray,
    texture: np.ndarray,
    repeat: bool,
    rgb: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Colours and weights of the pixels that are kept, of faces that have one texture."""
    height, width = texture.shape[0], texture.shape[1]
    c = np.empty(6)
    for face in rows:
        at, kept, count = offsets[face], offsets[face + 1] - offsets[face], counts[face]
        area = _corners(uv[face], height, width, c)
        before, number = 0, 0  # pixels passed, pixels kept
        if area != 0:
            for row in range(math.floor(min(c[1], c[3], c[5])), math.ceil(max(c[1], c[3], c[5]))):
                first, stop = _span(c, row)
                while number < kept:
                    low, high = number * count // kept, (number + 1) * count // kept
                    wanted = low + min(int((((number + 1) * _GOLDEN) % 1.0) * (high - low)), high - low - 1)
                    if wanted >= before + stop - first:
                        break
                    column = first + wanted - before
                    x, y = column + 0.5, row + 0.5
                    one = ((x - c[0]) * (c[5] - c[1]) - (y - c[1]) * (c[4] - c[0])) / abs(area)
                    two = ((c[2] - c[0]) * (y - c[1]) - (c[3] - c[1]) * (x - c[0])) / abs(area)
                    i, j = _texel(row, height, repeat), _texel(column, width, repeat)
                    for k in range(3):
                        rgb[at + number, k] = texture[i, j, k]
                    # Corners 1 and 2 were exchanged where the triangle runs the other way.
                    weights[at + number, 0] = one if area > 0 else two
                    weights[at + number, 1] = two if area > 0 else one
                    number += 1
                before += stop - first
        if number == 0:
            x, y = (c[0] + c[2] + c[4]) / 3, (c[1] + c[3] + c[5]) / 3
            i, j = math.floor(y), math.floor(x)
            # The far edges belong to the last pixels, not to the texture again.
            i = height - 1 if y == height else _texel(i, height, repeat)
            j = width - 1 if x == width else _texel(j, width, repeat)
            for k in range(3):
                rgb[at, k] = texture[i, j, k]
            weights[at, 0] = weights[at, 1] = 1 / 3
