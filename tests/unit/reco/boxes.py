"""The box of voxels that small events of several tests lie in."""

import numpy as np

from weft.io.products import META


def box(low: tuple[float, float, float] = (-1.0, 0.0, 10.0), size: float = 0.5) -> np.ndarray:
    """One row of `meta`: 64 voxels along each side, cm."""
    meta = np.zeros(1, META.dtype)
    for axis, value in zip("xyz", low, strict=True):
        meta[f"min_{axis}"], meta[f"size_{axis}"], meta[f"n{axis}"] = value, size, 64
    return meta
