"""What a network that knows coordinates sees of an event: charge as a feature, and random views inside the image."""

from __future__ import annotations

from typing import Literal

import numpy as np

_LOG_RANGE = np.log10(np.array([0.01, 20.0], np.float32))  # MeV, the range of PILArNet readers (anchors §1.1)


def charge_feature(charge: np.ndarray, kind: Literal["log", "linear"]) -> np.ndarray:
    """float32 [N, 1] of the charge in MeV: as it is, or 0.01 to 20 MeV mapped to −1 to 1 on a logarithmic scale."""
    if kind == "linear":
        return charge.astype(np.float32)
    low, high = _LOG_RANGE
    return ((np.log10(np.maximum(charge, 10**low)) - low) * (2 / (high - low)) - 1).astype(np.float32)


def view(coords: np.ndarray, size: int, rng: np.random.Generator, flip: bool, rotate: bool, shift: int) -> np.ndarray:
    """int32 [N, D]: the voxels mirrored in the middle of an image of `size` voxels, with permuted axes, moved.

    flip: mirror each axis with probability 1/2. rotate: permute the axes. shift: move by up to so many voxels either
    way along each axis. Distances between voxels stay what they are.
    """
    dims = coords.shape[1]
    if rotate:
        coords = coords[:, rng.permutation(dims)]
    if flip:
        coords = np.where(rng.random(dims) < 0.5, size - 1 - coords, coords)
    if shift:
        coords = coords + rng.integers(-shift, shift, dims, np.int32, endpoint=True)
    return coords.astype(np.int32)
