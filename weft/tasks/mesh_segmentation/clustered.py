"""A mesh cut into clusters, and compact sets of them (spec §4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from weft.meshes.clusters import cluster_faces
from weft.meshes.features import cluster_centres
from weft.meshes.samples import compact_samples, covering
from weft.tasks.mesh_segmentation.options import ClusterOptions
from weft.tasks.mesh_segmentation.tile import Tile

#: Passes of samples until they come again. A mesh of N clusters has N samples, one around each, so more passes have
#: hardly any other ones: of 2649 clusters in samples of 32, 97 of 100 have been a core by then. Without an end, a mesh
#: that is read anew late in a training would draw all passes before.
PASSES = 64


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
        """The clusters of training sample 0, 1, … of this mesh; none where it has no face.

        They go round it in passes that differ: each has every face (:func:`weft.meshes.samples.covering`). After
        :data:`PASSES` of them the same samples come again.
        """
        if not len(self.centres):
            return np.zeros(0, np.int32)
        if per_sample not in self._drawn:
            samples = compact_samples(self.centres, per_sample)
            cores = np.concatenate([covering(samples, number) for number in range(PASSES)])
            self._drawn[per_sample] = samples, cores
        samples, cores = self._drawn[per_sample]
        return samples[cores[turn % len(cores)]]

    @cached_property
    def _drawn(self) -> dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """The sample around each cluster, and the cores of all turns, by clusters of a sample."""
        return {}
