"""Small events of straight tracks that cross, and blobs of showers, with all products that fragment tasks read."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.io.products import CLUSTERS, META, PARTICLES, SHOWER, TRACK, Ragged


def build(parts: list[tuple[int, np.ndarray]], size: int = 64) -> dict[str, Any]:
    """An event of particles, each of a class with voxels int [n, 3]; a voxel of several belongs to the first."""
    coords = np.concatenate([np.empty((0, 3), np.int32), *(np.asarray(voxels, np.int32) for _, voxels in parts)])
    owner = np.repeat(np.arange(len(parts)), [len(voxels) for _, voxels in parts])
    key = (coords[:, 2] * size + coords[:, 1]) * size + coords[:, 0]
    _, first = np.unique(key, return_index=True)
    voxels, owner = coords[first], owner[first]
    shapes = np.array([shape for shape, _ in parts], np.int8)
    clusters = []
    for k in range(len(parts)):
        cluster = np.zeros(int((owner == k).sum()), CLUSTERS.dtype)
        cluster["voxel"], cluster["energy"] = np.flatnonzero(owner == k), 1.0
        clusters.append(cluster)
    particles = np.zeros(len(parts), PARTICLES.dtype)
    particles["shape"], particles["group_id"], particles["id"] = shapes, np.arange(len(parts)), np.arange(len(parts))
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = 0.3, size
    semantics = shapes[owner].astype(np.int8)[:, None] if len(parts) else np.empty((0, 1), np.int8)
    truth = {
        "voxels": voxels.astype(np.int32),
        "charge": (1 + (voxels.sum(1, keepdims=True) % 5)).astype(np.float32),
        "semantics": semantics,
        "clusters": Ragged.of(clusters, np.empty(0, CLUSTERS.dtype)),
        "particles": particles,
        "meta": meta,
    }
    return truth | {f"truth/{name}": value for name, value in truth.items()}


def track(start: Any, direction: Any, length: int) -> np.ndarray:
    step = np.asarray(direction, float) / np.abs(direction).max()
    return np.round(np.asarray(start) + np.arange(length)[:, None] * step).astype(np.int32)


def event(seed: int = 0) -> dict[str, Any]:
    """Three tracks from a vertex, and two showers that touch neither each other nor the tracks."""
    rng = np.random.default_rng(seed)
    ways = np.array([[1, 0.3, 0.1], [-0.4, 1, 0.2], [0.1, -0.5, 1]])
    tracks = [track(np.array([26, 26, 26]), way * rng.choice([-1, 1]), 24) for way in ways]
    blobs = [np.unique(rng.integers(0, 6, (50, 3)), axis=0) + corner for corner in ([2, 2, 50], [54, 52, 4])]
    return build([*((TRACK, voxels) for voxels in tracks), *((SHOWER, voxels) for voxels in blobs)])
