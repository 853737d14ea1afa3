"""Classical filters that answer where something bright is: blurred, like a blob, like a tube, like a plate.

Sizes are physical: one sigma along all axes, of which each has its own number of voxels, so that an anisotropic stack
is filtered as the specimen and not as the grid. Derivatives are normalised by scale (Lindeberg 1998), so answers of
several sizes compare.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.volumes.smoothing import blur

Volume = NDArray[np.float32]
Sizes = tuple[float, float, float]
"""of a filter in voxels along z, y, x"""

_TRUNCATE = 3.0
_ALPHA, _BETA = 0.5, 0.5  # Frangi et al. 1998
_RIDGE = 0.5  # share of the strongest curvature of the stack from which an answer counts fully


def in_voxels(size: float, spacing: Sizes) -> Sizes:
    """A size in µm as voxels along z, y, x; where the voxel size is not known it is in voxels of x itself."""
    if not np.isfinite(spacing).all():
        return size, size, size
    return size / spacing[0], size / spacing[1], size / spacing[2]


def gaussian(volume: Volume, sigma: Sizes) -> Volume:
    """float32 [Z, Y, X], blurred."""
    for axis, size in enumerate(sigma):
        volume = blur(volume, size, axis, _TRUNCATE)
    return volume


def top_hat(volume: Volume, radius: Sizes) -> Volume:
    """float32 [Z, Y, X]: what is narrower than a box of this half width, less its surroundings (white top hat)."""
    size = [2 * max(round(r), 1) + 1 if n > 1 else 1 for r, n in zip(radius, volume.shape, strict=True)]
    return np.asarray(volume - ndimage.grey_opening(volume, size, mode="nearest"), np.float32)


class Curvature(NamedTuple):
    """Eigenvalues [Z, Y, X] of the Hessian, scale-normalised: first the one of the largest absolute value."""

    strong: Volume
    middle: Volume
    weak: Volume


def curvature(volume: Volume, sigma: Sizes) -> Curvature:
    """Second derivatives along the main directions of each voxel, of the volume blurred by sigma."""
    volume = np.asarray(volume, np.float32)
    volume = volume - volume.min(initial=np.inf)  # rounding gives a bright flat stack some curvature, a dark one none
    hessian = {}
    for i, along_x in enumerate([blur(volume, sigma[2], 2, _TRUNCATE, order) for order in range(3)]):
        for j in range(3 - i):
            along_y = blur(along_x, sigma[1], 1, _TRUNCATE, j)
            orders = (2 - i - j, j, i)
            key = tuple(axis for axis in range(3) for _ in range(orders[axis]))
            made = blur(along_y, sigma[0], 0, _TRUNCATE, orders[0])
            hessian[key] = made * np.float32(sigma[key[0]] * sigma[key[1]])
    out = Curvature(*(np.empty(volume.shape, np.float32) for _ in range(3)))
    for z in range(volume.shape[0]):
        values = _eigenvalues(*(hessian[key][z].astype(np.float64) for key in sorted(hessian)))
        order_ = np.argsort(-np.abs(values), axis=0, kind="stable")
        for k, target in enumerate(out):
            target[z] = np.take_along_axis(values, order_[k : k + 1], 0)[0]
    return out


def _eigenvalues(
    zz: np.ndarray, zy: np.ndarray, zx: np.ndarray, yy: np.ndarray, yx: np.ndarray, xx: np.ndarray
) -> np.ndarray:
    """float64 [3, ...] of symmetric matrices, in closed form (Smith 1961)."""
    mean = (zz + yy + xx) / 3
    a, b, c = zz - mean, yy - mean, xx - mean
    size = np.sqrt((a * a + b * b + c * c + 2 * (zy * zy + zx * zx + yx * yx)) / 6)
    determinant = a * (b * c - yx * yx) - zy * (zy * c - yx * zx) + zx * (zy * yx - b * zx)
    cosine = np.divide(determinant, 2 * size**3, out=np.zeros_like(size), where=size > 0)
    angle = np.arccos(np.clip(cosine, -1, 1)) / 3
    first = mean + 2 * size * np.cos(angle)
    last = mean + 2 * size * np.cos(angle + 2 * np.pi / 3)
    return np.stack([first, 3 * mean - first - last, last])


def blobness(found: Curvature) -> Volume:
    """Minus the Laplacian of the Gaussian: positive in the middle of what is bright."""
    return -(found.strong + found.middle + found.weak)


def vesselness(found: Curvature) -> Volume:
    """In [0, 1], bright tubes: Frangi et al., Multiscale vessel enhancement filtering, MICCAI 1998."""
    flat = _ratio(np.abs(found.middle), np.abs(found.strong))
    round_ = _ratio(np.abs(found.weak), np.sqrt(np.abs(found.strong * found.middle)))
    answer = (1 - np.exp(-(flat**2) / (2 * _ALPHA**2))) * np.exp(-(round_**2) / (2 * _BETA**2)) * _strength(found)
    return np.where((found.strong < 0) & (found.middle < 0), answer, np.float32(0))


def plateness(found: Curvature) -> Volume:
    """In [0, 1], bright plates: curved along one direction only (Descoteaux et al., MICCAI 2005)."""
    flat = _ratio(np.abs(found.middle), np.abs(found.strong))
    answer = np.exp(-(flat**2) / (2 * _ALPHA**2)) * _strength(found)
    return np.where(found.strong < 0, answer, np.float32(0))


def _strength(found: Curvature) -> Volume:
    """How curved a voxel is, from 0 to 1, against the strongest of the stack."""
    size = np.sqrt(found.strong**2 + found.middle**2 + found.weak**2)
    scale = _RIDGE * float(size.max(initial=0))
    if not scale:
        return np.zeros_like(size)
    return 1 - np.exp(-(size**2) / np.float32(2 * scale**2))


def _ratio(part: Volume, whole: Volume) -> Volume:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
