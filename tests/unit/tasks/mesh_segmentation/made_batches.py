"""Samples of a few clusters of faces, made at random."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.engine.task import Sample
from weft.tasks.mesh_segmentation.batch import MeshBatch, of_samples

FEATURES = 16


def sample(sizes: Sequence[int], seed: int = 0, pixels: int = 6, textured: float = 0.7, classes: int = 3) -> Sample:
    """Clusters of these sizes; a share of the faces has 1 to ``pixels`` pixels."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    faces = np.flatnonzero(rng.random(n) < textured)
    counts = rng.integers(1, pixels + 1, len(faces))
    return Sample(
        {
            "cluster": np.repeat(np.arange(len(sizes)), sizes),
            "face": np.arange(n),
            "geometry": rng.normal(size=(n, FEATURES)).astype(np.float32),
            "centroids": rng.normal(scale=20, size=(n, 3)).astype(np.float32),
            "labels": rng.integers(-1, classes, n),
            "area": rng.random(n).astype(np.float32),
            "textured": faces,
            "pixel_counts": counts,
            "pixels": rng.integers(0, 256, (counts.sum(), 3)).astype(np.uint8),
            "places": rng.random((counts.sum(), 2)).astype(np.float32),
        },
        (0, seed),
    )


def batch(*samples: Sample) -> MeshBatch:
    return of_samples(samples)


def reordered(made: Sample, order: np.ndarray) -> Sample:
    """The same faces in another order."""
    arrays: dict[str, Any] = {name: made.arrays[name][order] for name in
                              ("cluster", "face", "geometry", "centroids", "labels", "area")}  # fmt: skip
    inverse = np.argsort(order)
    return made.with_arrays(**arrays, textured=inverse[made.arrays["textured"]])
