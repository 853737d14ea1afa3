"""Positions: as columns of tables, in cm, and in voxels (a voxel's index plus a half is its centre)."""

from __future__ import annotations

import numpy as np


def to_cm(position: np.ndarray, meta: np.ndarray) -> np.ndarray:
    """float64 [n, 3] cm of positions in voxel units; meta: the product of that name, one row."""
    low, size = _box(meta)
    return low + np.asarray(position, np.float64) * size


def to_voxels(position: np.ndarray, meta: np.ndarray) -> np.ndarray:
    """float64 [n, 3] voxel units of positions in cm; the inverse of :func:`to_cm`."""
    low, size = _box(meta)
    return (np.asarray(position, np.float64) - low) / size


def xyz(table: np.ndarray, name: str) -> np.ndarray:
    """float64 [n, 3]: the columns `<name>_x`, `_y`, `_z` of a table."""
    return np.stack([table[f"{name}_{axis}"] for axis in "xyz"], axis=-1).astype(np.float64)


def set_xyz(table: np.ndarray, name: str, values: np.ndarray) -> None:
    """Fill the columns `<name>_x`, `_y`, `_z` from [n, 3]."""
    for k, axis in enumerate("xyz"):
        table[f"{name}_{axis}"] = values[:, k]


def _box(meta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    box = meta[0]
    return np.array([box[f"min_{a}"] for a in "xyz"]), np.array([box[f"size_{a}"] for a in "xyz"])
