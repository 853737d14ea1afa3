"""A mesh cut into clusters, and compact sets of them (spec §4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray

from weft.meshes.clusters import cluster_faces
from weft.meshes.features import cluster_centres
from weft.meshes.samples import compact_samples
from weft.tasks.mesh_segmentation.options import ClusterOptions
from weft.tasks.mesh_segmentation.tile import Tile


@dataclass(frozen=True)
class Clustered:
    """A mesh and the clusters of its faces."""

    tile: Tile
    clusters: NDArray[np.int32]
    """[M], 0 ... N - 1"""

    @classmethod
    def of(cls, tile: Tile, options: ClusterOptions, seed: int | None = None) -> Clustered:
        """seed: None for the clustering to predict with, else another one."""
        return cls(tile, cluster_faces(tile.centroids, options.faces, method=options.method, seed=seed))

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """[N, 3] m"""
        return cluster_centres(self.tile.centroids, self.clusters)

    @cached_property
    def _members(self) -> list[NDArray[np.int64]]:
        order = np.argsort(self.clusters, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.clusters))[:-1]) if len(order) else []

    def rows(self, clusters: np.ndarray) -> NDArray[np.int64]:
        """The faces of some clusters, cluster by cluster."""
        return np.concatenate([np.zeros(0, np.int64), *(self._members[k] for k in clusters)])

    def sample(self, turn: int, per_sample: int) -> NDArray[np.int32]:
        """The clusters of training sample 0, 1, … of this mesh.

        Samples of a pass are all of :func:`weft.meshes.samples.compact_samples`, so a pass has every face; each pass
        has others.
        """
        if not len(self.centres):
            return np.zeros(0, np.int32)
        for number in count():
            if number == len(self._passes):
                self._passes.append(compact_samples(self.centres, per_sample, number))
            samples = self._passes[number]
            if turn < len(samples):
                return samples[turn]
            turn -= len(samples)
        raise AssertionError

    @cached_property
    def _passes(self) -> list[list[NDArray[np.int32]]]:
        return []
