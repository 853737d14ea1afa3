"""How far the surfaces of two masks lie from each other: surface Dice, 95 % Hausdorff distance, mean distance.

The surface of a mask are its voxels that share a face with what is outside of it, the outside of the stack included; a
distance is between centres of surface voxels, in the unit of the spacing (µm). Voxels that are not judged belong to no
surface and make none: a structure that is cut off where the truth is not known ends there for both.

Definitions: surface Dice of Nikolov et al., J Med Internet Res 23 (2021) e26151; the others as in MONAI (Hausdorff: the
larger one of the directed percentiles; mean: over the voxels of both surfaces). Both empty: a surface Dice of 1 and no
distance; one empty: 0, and an infinite distance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from weft.errors import WeftError

Array = NDArray[np.float64]


class SurfaceDistances(NamedTuple):
    """From each surface voxel of one mask to the nearest one of the other; infinite where it has none."""

    predicted: Array
    """[n], of the predicted surface to the true one"""
    true: Array
    """[m], of the true surface to the predicted one"""


def surface(mask: np.ndarray, judged: np.ndarray | None = None) -> NDArray[np.bool_]:
    """bool, shape of the mask: its voxels that share a face with a judged one outside, or with the stack's outside."""
    inside = mask.astype(bool) if judged is None else mask.astype(bool) & judged
    outside = ~mask.astype(bool) if judged is None else ~mask.astype(bool) & judged
    open_ = np.zeros(mask.shape, bool)
    for axis in range(mask.ndim):
        here, there = np.moveaxis(open_, axis, 0), np.moveaxis(outside, axis, 0)
        here[1:] |= there[:-1]
        here[:-1] |= there[1:]
        here[:1] = True
        here[-1:] = True
    return inside & open_


def surface_distances(
    truth: np.ndarray, predicted: np.ndarray, spacing: tuple[float, ...], judged: np.ndarray | None = None
) -> SurfaceDistances:
    """Distances between the surfaces of two masks of one shape.

    spacing: of the voxels along each axis. judged: bool, which voxels count; default all.
    Raises WeftError for shapes that differ and for a spacing that is no length.
    """
    if truth.shape != predicted.shape:
        raise WeftError(f"the predicted mask has shape {predicted.shape}, the true one {truth.shape}")
    if len(spacing) != truth.ndim or not all(np.isfinite(length) and length > 0 for length in spacing):
        raise WeftError(f"distances need a voxel size along each of {truth.ndim} axes, not {spacing}")
    scale = np.asarray(spacing, np.float64)
    ours = np.argwhere(surface(predicted, judged)) * scale
    theirs = np.argwhere(surface(truth, judged)) * scale
    return SurfaceDistances(_nearest(ours, theirs), _nearest(theirs, ours))


def _nearest(points: Array, others: Array) -> Array:
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(others).query(points)[0], np.float64)


def surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
    """Share of both surfaces that lies within ``tolerance`` of the other one; 1 where there are none."""
    near, total = surface_counts(distances, tolerance)
    return near / total if total else 1.0


def surface_counts(distances: SurfaceDistances, tolerance: float) -> tuple[int, int]:
    """(surface voxels within ``tolerance`` of the other surface, surface voxels), of both; they add up over images."""
    near = sum(int((side <= tolerance * (1 + 1e-12)).sum()) for side in distances)
    return near, len(distances.predicted) + len(distances.true)


def hausdorff(distances: SurfaceDistances, percent: float = 95.0) -> float:
    """The larger of the two directed percentiles of distance; NaN without surfaces, infinite with only one."""
    if not len(distances.predicted) and not len(distances.true):
        return float("nan")
    if not len(distances.predicted) or not len(distances.true):
        return float("inf")
    return max(float(np.percentile(side, percent)) for side in distances)


def mean_distance(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance: the mean over the voxels of both surfaces; NaN without any."""
    both = np.concatenate(distances)
    return float(both.mean()) if len(both) else float("nan")
