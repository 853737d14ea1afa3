"""Random changes of the intensities of a patch, all in float32 (spec §4). Labels and costs stay as they are.

A patch is [C, Z, Y, X]; every function takes a generator and depends on nothing else, and gives a new array.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.volumes.augment_options import AugmentOptions, BiasField, LowResolution

Patch = NDArray[np.float32]
_ORDER = 3  # of the polynomial of a bias field


def vary_intensities(patch: Patch, options: AugmentOptions, rng: np.random.Generator) -> Patch:
    """The patch after those changes that this generator picks: bias field, blur, low resolution, noise, brightness,
    contrast and gamma, in this order, which is that of the light through a microscope."""
    made = patch
    if _picked(options.bias_field, rng):
        assert options.bias_field is not None
        made = made * bias_field(made.shape[1:], options.bias_field, rng)
    if _picked(options.blur, rng):
        assert options.blur is not None
        sigma = rng.uniform(options.blur.low, options.blur.high)
        made = ndimage.gaussian_filter(made, (0, 0, sigma, sigma), mode="nearest")
    if _picked(options.low_resolution, rng):
        assert options.low_resolution is not None
        made = low_resolution(made, options.low_resolution, rng)
    if _picked(options.noise, rng):
        assert options.noise is not None
        sigma = rng.uniform(options.noise.low, options.noise.high)
        made = made + np.float32(sigma) * rng.standard_normal(made.shape, np.float32)
    if _picked(options.brightness, rng):
        assert options.brightness is not None
        made = made + np.float32(rng.uniform(options.brightness.low, options.brightness.high))
    if _picked(options.contrast, rng):
        assert options.contrast is not None
        mean = made.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
        made = mean + np.float32(rng.uniform(options.contrast.low, options.contrast.high)) * (made - mean)
    if _picked(options.gamma, rng):
        assert options.gamma is not None
        made = to_power(made, rng.uniform(options.gamma.low, options.gamma.high))
    return np.ascontiguousarray(made, np.float32)


def _picked(options: object, rng: np.random.Generator) -> bool:
    """Whether a change is done; an option that is null draws nothing."""
    return options is not None and bool(rng.random() < getattr(options, "probability"))  # noqa: B009


def bias_field(shape: tuple[int, ...], options: BiasField, rng: np.random.Generator) -> Patch:
    """float32 [Z, Y, X] > 0: exp of a polynomial of third order of the coordinates, which go from -1 to 1."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in shape]
    total = np.zeros(shape, np.float32)
    for i, j, k in product(range(_ORDER + 1), repeat=3):
        if 0 < i + j + k <= _ORDER:
            coefficient = np.float32(rng.uniform(-options.strength, options.strength))
            total += coefficient * (axes[0] ** i)[:, None, None] * (axes[1] ** j)[None, :, None] * axes[2] ** k
    return np.exp(total)


def low_resolution(patch: Patch, options: LowResolution, rng: np.random.Generator) -> Patch:
    """Every so-manyth voxel of each plane, and lines between them."""
    factor = rng.uniform(options.low, options.high)
    made = patch
    for axis in (2, 3):
        n = patch.shape[axis]
        kept = np.round(np.linspace(0, n - 1, max(1, round(n / factor)))).astype(np.intp)
        place = np.interp(np.arange(n), kept, np.arange(len(kept)))
        low = np.floor(place).astype(np.intp)
        share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(4)])
        coarse = made.take(kept, axis)
        high = np.minimum(low + 1, len(kept) - 1)
        made = coarse.take(low, axis) * (1 - share) + coarse.take(high, axis) * share
    return made


def to_power(patch: Patch, power: float) -> Patch:
    """The intensities of each channel, from its smallest to its largest, to a power; those two stay."""
    low = patch.min(axis=(1, 2, 3), keepdims=True)
    width = patch.max(axis=(1, 2, 3), keepdims=True) - low
    scaled = (patch - low) / np.where(width > 0, width, 1)
    made: Patch = scaled ** np.float32(power) * width + low
    return made
