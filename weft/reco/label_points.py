"""Points that mark true particles: what PPN learns to find, and what point up-weighting looks at (spec §1.0)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.io.products import LOW_ENERGY, TRACK
from weft.reco.positions import to_voxels, xyz

_ELECTROMAGNETIC = (11, -11, 22)
_NUCLEUS = 1_000_000_000


class LabelPoints(NamedTuple):
    """Label points of one event."""

    position: np.ndarray
    """[P, 3] float32, voxel units, not floored"""
    shape: np.ndarray
    """[P] int8, semantic class of the particle"""
    particle: np.ndarray
    """[P] int32, row of the particle"""
    end: np.ndarray
    """[P] bool, whether it is the end of a track and not a start"""


def label_points(particles: np.ndarray, meta: np.ndarray, min_voxels: int = 1, min_energy: float = 0.0) -> LabelPoints:
    """The first step of every particle, and the last one of tracks.

    particles: structured rows of the product ``particles``; meta: one row of the product ``meta``.
    min_voxels, min_energy [MeV]: particles with less are left out, as are nuclei, electrons and photons that enter
    the box from outside, and particles without one of the classes 0 to 3.
    """
    box = meta[0]
    low = np.array([box[f"min_{axis}"] for axis in "xyz"])
    size = np.array([box[f"size_{axis}"] for axis in "xyz"])
    count = np.array([box[f"n{axis}"] for axis in "xyz"])
    first, last = xyz(particles, "first_step"), xyz(particles, "last_step")
    shape = particles["shape"]
    inside = ((first >= low) & (first <= low + size * count)).all(axis=1)
    entering = np.isin(particles["pdg"], _ELECTROMAGNETIC) & ~inside
    kept = (
        (particles["num_voxels"] >= min_voxels)
        & (particles["energy_deposit"] >= min_energy)
        & (np.abs(particles["pdg"].astype(np.int64)) <= _NUCLEUS)
        & (shape >= 0)
        & (shape < LOW_ENERGY)
        & ~entering
    )
    starts = np.flatnonzero(kept)
    ends = np.flatnonzero(kept & (shape == TRACK))
    rows = np.concatenate([starts, ends])
    return LabelPoints(
        to_voxels(np.concatenate([first[starts], last[ends]]), meta).astype(np.float32),
        shape[rows].astype(np.int8),
        rows.astype(np.int32),
        np.arange(len(rows)) >= len(starts),
    )


def near_points(voxels: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """[N] bool: whether a voxel index [N, 3] lies within ``radius`` voxels (inclusive) of any point [P, 3]."""
    # A quarter of a second, and most of what asks for label points does not ask this.
    from scipy.spatial import cKDTree

    if not len(points) or not len(voxels):
        return np.zeros(len(voxels), bool)
    distance, _ = cKDTree(points).query(voxels, distance_upper_bound=np.nextafter(radius, np.inf))
    return distance <= radius
