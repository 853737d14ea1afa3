"""Gaussian blur and its derivatives as products with banded matrices.

A convolution along one axis is a matrix product, which BLAS makes ten times faster than a loop over taps once sigma is
tens of voxels. Edges are repeated ("nearest") and the kernel is cut, as in `scipy.ndimage.gaussian_filter`.
"""

from __future__ import annotations

import math

import numpy as np

_BLOCK = 256  # rows of the product at a time: the band outside of a block is never multiplied


def gaussian_taps(sigma: float, truncate: float = 3.0, order: int = 0) -> np.ndarray:
    """float64 (2r + 1,), r = truncate·sigma rounded: a Gaussian that sums to 1, or its first or second derivative."""
    radius = int(truncate * sigma + 0.5)
    place = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * np.square(place / sigma))
    taps /= taps.sum()
    if order == 0:
        return taps
    # The value at a voxel is what the taps say of those around it: a derivative of the kernel, mirrored.
    return taps * place / sigma**2 if order == 1 else taps * (np.square(place) / sigma**2 - 1) / sigma**2


def blur(array: np.ndarray, sigma: float, axis: int, truncate: float = 3.0, order: int = 0) -> np.ndarray:
    """float32, `array` blurred along an axis (0 or above), with ``order`` 1 or 2 that derivative; sigma in voxels."""
    taps = gaussian_taps(sigma, truncate, order)
    array = np.ascontiguousarray(array, np.float32)
    n, radius = array.shape[axis], len(taps) // 2
    after = math.prod(array.shape[axis:][1:])
    out = np.empty_like(array)
    # [before, n, after]; along the last axis, where `after` is 1, the matrix stands on the other side.
    given, made = (values.reshape((-1, n) if after == 1 else (-1, n, after)) for values in (array, out))
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        first, last = max(start - radius, 0), min(stop + radius, n)
        band = _band(taps, start, stop, first, last, n)
        if after == 1:
            made[:, start:stop] = given[:, first:last] @ band.T
        else:
            made[:, start:stop] = np.matmul(band, given[:, first:last])
    return out


def _band(taps: np.ndarray, start: int, stop: int, first: int, last: int, n: int) -> np.ndarray:
    """float32 (stop - start, last - first): what each row takes from each input, edges repeated."""
    radius = len(taps) // 2
    rows = np.arange(start, stop)
    sources = np.clip(rows[:, None] + np.arange(-radius, radius + 1), 0, n - 1) - first
    band = np.zeros((stop - start, last - first))
    np.add.at(band, (np.broadcast_to((rows - start)[:, None], sources.shape), sources), taps)
    return band.astype(np.float32)
