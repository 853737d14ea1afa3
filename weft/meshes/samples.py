"""Which clusters a network sees together: compact sets of them (spec §4).

A *sample* is a core and the clusters around it, since faces of far clusters tell each other little. In training every
cluster is in at least one sample of a pass; for prediction every cluster is in the core of exactly one, and those
around it are context that is not predicted there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from weft.errors import WeftError
from weft.meshes.split import balanced_split


class Part(NamedTuple):
    """Clusters that are predicted together."""

    core: NDArray[np.int32]
    """those that are predicted"""
    context: NDArray[np.int32]
    """those that the network sees beside them, none of the core"""


def compact_samples(centres: np.ndarray, per_sample: int) -> NDArray[np.int32]:
    """int32 [N, min(per_sample, N)], the sample around each cluster: itself, then those nearest to it, nearest first.

    centres: float [N, 3] of the clusters. Raises WeftError where ``per_sample`` is below 1.
    """
    if per_sample < 1:
        raise WeftError(f"samples of clusters: per_sample must be at least 1, got {per_sample}")
    n = len(centres)
    if not n:
        return np.zeros((0, 0), np.int32)
    own = np.arange(n)[:, None]
    near = cKDTree(np.asarray(centres, np.float64)).query(centres, range(1, min(per_sample, n) + 1))[1]
    # Where several are in one place, a cluster need not be the first found, or be found.
    others = np.argsort(near == own, axis=1, kind="stable")[:, :-1]
    return np.concatenate([own, np.take_along_axis(near, others, axis=1)], axis=1).astype(np.int32)


def covering(samples: np.ndarray, seed: int) -> NDArray[np.int32]:
    """int32 [S], cores whose samples have every cluster at least once: a pass of training.

    They are drawn one after the other from clusters that no sample has yet.
    samples: [N, per_sample], of :func:`compact_samples`.
    """
    seen = np.zeros(len(samples), bool)
    cores = []
    for core in np.random.default_rng(seed).permutation(len(samples)):
        if not seen[core]:
            cores.append(core)
            seen[samples[core]] = True
    return np.array(cores, np.int32)


def prediction_parts(centres: np.ndarray, per_sample: int, context: int) -> list[Part]:
    """Parts whose cores are all clusters, each once. centres: float [N, 3] of the clusters.

    per_sample: clusters of a part at most, those of the context with it.
    context: how many of them are context: those nearest to any cluster of the core. A mesh of ``per_sample`` clusters
    or fewer is one core without context.
    """
    if not 0 <= context < per_sample:
        raise WeftError(f"samples of clusters: context must be from 0 to {per_sample - 1}, got {context}")
    centres = np.asarray(centres, np.float64)
    n = len(centres)
    if n <= per_sample:
        return [Part(np.arange(n, dtype=np.int32), np.zeros(0, np.int32))] if n else []
    groups = balanced_split(centres, math.ceil(n / (per_sample - context)))
    parts = []
    for group in range(int(groups.max()) + 1):
        core = np.flatnonzero(groups == group).astype(np.int32)
        rest = np.flatnonzero(groups != group)
        away = cKDTree(centres[core]).query(centres[rest])[0]
        around = rest[np.argsort(away, kind="stable")[:context]]
        parts.append(Part(core, around.astype(np.int32)))
    return parts
