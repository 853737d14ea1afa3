"""Voxel events of roughly the shape of liquid-argon ones, for timing: tracks, showers and blips, no physics."""

from __future__ import annotations

import numpy as np


def synthetic_event(rng: np.random.Generator, voxels: int = 3300, box: int = 768) -> np.ndarray:
    """Distinct voxels int32 [N, 3], N close to ``voxels``: curved lines two voxels thick and branching clouds."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < voxels:
        kind = rng.random()
        start = rng.uniform(0.2 * box, 0.8 * box, 3)
        if kind < 0.6:
            parts.append(_track(rng, start, int(rng.integers(60, 500))))
        elif kind < 0.9:
            parts.append(_shower(rng, start, int(rng.integers(10, 40))))
        else:
            parts.append(np.round(start + rng.normal(0, 3, (rng.integers(3, 12), 3))))
    points = np.concatenate(parts)
    points = points[((points >= 0) & (points < box)).all(1)].astype(np.int32)
    return np.unique(points[:voxels], axis=0)


def synthetic_batch(seed: int, events: int, voxels: int = 3300) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates int32 [N, 4] (batch first) and features float32 [N, 1] of ``events`` events."""
    rng = np.random.default_rng(seed)
    clouds = [synthetic_event(rng, voxels) for _ in range(events)]
    batch = np.repeat(np.arange(events, dtype=np.int32), [len(cloud) for cloud in clouds])
    coords = np.column_stack([batch, np.concatenate(clouds)]).astype(np.int32)
    return coords, rng.gamma(2.0, 0.5, (len(coords), 1)).astype(np.float32)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _walk(rng: np.random.Generator, start: np.ndarray, steps: int, kink: float, width: float) -> np.ndarray:
    """Points half a voxel apart along a line that scatters by ``kink`` per step, blurred by ``width`` voxels."""
    turns = _direction(rng) + np.cumsum(rng.normal(0, kink, (2 * steps, 3)), axis=0)
    line = start + np.cumsum(0.5 * turns / np.linalg.norm(turns, axis=1, keepdims=True), axis=0)
    return np.round(line + rng.normal(0, width, line.shape))


def _track(rng: np.random.Generator, start: np.ndarray, length: int) -> np.ndarray:
    return np.unique(_walk(rng, start, length, kink=0.01, width=0.5), axis=0)


def _shower(rng: np.random.Generator, start: np.ndarray, branches: int) -> np.ndarray:
    axis = _direction(rng)
    depths = rng.gamma(3.0, 25.0, branches)
    roots = start + depths[:, None] * axis + rng.normal(0, 0.08, (branches, 3)) * depths[:, None]
    return np.unique(
        np.concatenate([_walk(rng, root, int(rng.integers(5, 25)), kink=0.15, width=0.6) for root in roots]), axis=0
    )
