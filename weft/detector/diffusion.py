"""Spreading point charges over the voxels that their diffused clouds cover."""

from __future__ import annotations

import math

import numpy as np

from weft.compiled import kernel


@kernel
def _edge_shares(u: float, s: float, floor: float, shares: np.ndarray) -> None:
    """Shares of a unit Gaussian at `u` in [0, 1), width `s` (voxels), in the voxel before, its own and the next."""
    shares[0] = shares[2] = 0.0
    if s > 0.0:
        shares[0] = 0.5 * math.erfc(u / (s * math.sqrt(2.0)))
        shares[2] = 0.5 * math.erfc((1.0 - u) / (s * math.sqrt(2.0)))
        if shares[0] < floor:
            shares[0] = 0.0
        if shares[2] < floor:
            shares[2] = 0.0
    shares[1] = 1.0 - shares[0] - shares[2]


@kernel
def spread_over_voxels(
    position: np.ndarray, sigma: np.ndarray, count: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share each point's charge among its voxel and the 26 around it.

    A cloud is a Gaussian with axis-parallel widths; what would fall beyond the nearest voxels, or outside the box, is
    counted in the last voxel reached, and shares under `floor` per axis stay in the own voxel: the shares of a
    point add up to one exactly.

    Args:
        position: (n, 3), in voxels from the lower corner, inside the box.
        sigma: (n, 3), in voxels; less than about 0.6, so that the next voxel takes all of the tail.
        count: int64 (3,), voxels of the box.
        floor: smallest share kept apart.

    Returns:
        point int64 (m,), voxel id int64 (m,), share float64 (m,).
    """
    n = len(position)
    point = np.empty(27 * n, np.int64)
    voxel = np.empty(27 * n, np.int64)
    share = np.empty(27 * n, np.float64)
    shares = np.empty((3, 3))
    base = np.empty(3, np.int64)
    m = 0
    for i in range(n):
        for a in range(3):
            base[a] = min(int(position[i, a]), count[a] - 1)
            _edge_shares(position[i, a] - base[a], sigma[i, a], floor, shares[a])
            if base[a] == 0:
                shares[a, 1] += shares[a, 0]
                shares[a, 0] = 0.0
            if base[a] == count[a] - 1:
                shares[a, 1] += shares[a, 2]
                shares[a, 2] = 0.0
        for dz in range(3):
            if shares[2, dz] == 0.0:
                continue
            for dy in range(3):
                if shares[1, dy] == 0.0:
                    continue
                for dx in range(3):
                    if shares[0, dx] == 0.0:
                        continue
                    point[m] = i
                    voxel[m] = (((base[2] + dz - 1) * count[1]) + base[1] + dy - 1) * count[0] + base[0] + dx - 1
                    share[m] = shares[0, dx] * shares[1, dy] * shares[2, dz]
                    m += 1
    return point[:m], voxel[:m], share[:m]
