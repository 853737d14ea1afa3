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


def charge_view(charge: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """float32: charges times one factor for all of them, exp(spread · normal); nothing is drawn without spread."""
    return charge * np.float32(np.exp(spread * rng.standard_normal())) if spread else charge


def orientation(dims: int, flip: bool, rotate: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One of the ways in which a grid maps on itself: int64 [D] order of the axes, bool [D] which are mirrored.

    rotate: permute the axes, else they stay in order. flip: mirror each axis with probability 1/2, else none.
    """
    order = rng.permutation(dims) if rotate else np.arange(dims)
    return order, rng.random(dims) < 0.5 if flip else np.zeros(dims, bool)


def view(
    coords: np.ndarray, count: np.ndarray, rng: np.random.Generator, flip: bool, rotate: bool, shift: int
) -> np.ndarray:
    """int32 [N, D]: the voxels mirrored in the middle of their image, with permuted axes, moved.

    count: int [D], voxels of the image along each axis; a network that knows coordinates sees only those that a
    prediction has, too. flip: mirror each axis with probability 1/2. rotate: permute the axes. shift: move by up to so
    many voxels either way along each axis. Distances between voxels stay what they are.
    """
    dims = coords.shape[1]
    order, mirrored = orientation(dims, flip, rotate, rng)
    coords = np.where(mirrored, count[order] - 1 - coords[:, order], coords[:, order])
    if shift:
        coords = coords + rng.integers(-shift, shift, dims, np.int32, endpoint=True)
    return coords.astype(np.int32)
