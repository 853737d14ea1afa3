"""Batches of samples of a mesh, padded; or whole meshes, which are cut where they are predicted (spec §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.engine.task import Batch, Sample
from weft.io.mesh_products import UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class MeshBatch(Batch):
    """B samples of N clusters of F faces, the most of any; of whole meshes there are ``meshes`` only.

    Padding has features 0, labels -1 and face -1. There are no voxels: coords and features have no rows.
    """

    geometry: Tensor | None = None
    """[B, N, F, Dg] float32, features of the faces as measured"""
    centroids: Tensor | None = None
    """[B, N, F, 3] float32, m from the centre of the sample"""
    real: Tensor | None = None
    """[B, N, F] bool, False for padding"""
    face: Tensor | None = None
    """[B, N, F] int64, number of the face in its mesh"""
    pixels: Tensor | None = None
    """[T, P, 3] uint8, RGB of the T faces with a texture; None where textures are not read"""
    places: Tensor | None = None
    """[T, P, 2] float32, where these pixels lie (:class:`weft.tasks.mesh_segmentation.model_options.TextureOptions`)"""
    real_pixels: Tensor | None = None
    """[T, P] bool"""
    textured: Tensor | None = None
    """[T] int64, rows of these faces in [B·N·F]"""
    meshes: list[Sample] = field(default_factory=list)


def of_samples(samples: Sequence[Sample]) -> MeshBatch:
    """Samples side by side. Arrays of a sample of n faces, t of them with a texture:

    ``cluster`` int [n], 0 ... without a gap; ``face`` [n]; ``geometry`` [n, Dg]; ``centroids`` [n, 3]; and where labels
    are known ``labels`` [n] and ``area`` [n] m2; where textures are read ``textured`` [t], rows of the n;
    ``pixel_counts`` [t], ``pixels`` uint8 [sum, 3] and ``places`` [sum, 2], end to end.
    """
    import torch

    clusters = [int(sample.arrays["cluster"].max(initial=-1)) + 1 for sample in samples]
    places = [_slots(sample.arrays["cluster"]) for sample in samples]
    shape = (
        len(samples),
        max([1, *clusters]),
        max([1, *(int(slot.max(initial=-1)) + 1 for slot in places)]),
    )
    where = [
        np.ravel_multi_index((np.full(len(slot), b), sample.arrays["cluster"], slot), shape)
        for b, (sample, slot) in enumerate(zip(samples, places, strict=True))
    ]
    rows = np.concatenate(where) if where else np.zeros(0, np.int64)

    def padded(name: str, dtype: type, fill: float) -> Tensor:
        values = np.concatenate([np.asarray(sample.arrays[name], dtype) for sample in samples])
        table = np.full((int(np.prod(shape)), *values.shape[1:]), fill, dtype)
        table[rows] = values
        return torch.from_numpy(table.reshape(*shape, *values.shape[1:]))

    real = np.zeros(shape, bool)
    real.reshape(-1)[rows] = True
    batch = MeshBatch(
        **_no_voxels(samples),
        geometry=padded("geometry", np.float32, 0),
        centroids=padded("centroids", np.float32, 0),
        real=torch.from_numpy(real),
        face=padded("face", np.int64, -1),
    )
    if "labels" in samples[0].arrays:
        batch.targets = {"labels": padded("labels", np.int64, UNKNOWN), "area": padded("area", np.float32, 0)}
    if "pixels" in samples[0].arrays:
        _add_pixels(batch, samples, where)
    return batch


def of_meshes(samples: Sequence[Sample]) -> MeshBatch:
    """Whole meshes, of any sizes."""
    return MeshBatch(**_no_voxels(samples), meshes=list(samples))


def _add_pixels(batch: MeshBatch, samples: Sequence[Sample], where: Sequence[np.ndarray]) -> None:
    import torch

    counts = np.concatenate([sample.arrays["pixel_counts"] for sample in samples]).astype(np.int64)
    shape = (len(counts), int(counts.max(initial=1)))
    real = np.arange(shape[1]) < counts[:, None]
    for name, width, dtype in (("pixels", 3, np.uint8), ("places", 2, np.float32)):
        table = np.zeros((*shape, width), dtype)
        table[real] = np.concatenate([np.asarray(sample.arrays[name], dtype) for sample in samples])
        setattr(batch, name, torch.from_numpy(table))
    batch.real_pixels = torch.from_numpy(real)
    rows = [slots[sample.arrays["textured"]] for sample, slots in zip(samples, where, strict=True)]
    batch.textured = torch.from_numpy(np.concatenate(rows).astype(np.int64))


def _slots(cluster: np.ndarray) -> np.ndarray:
    """int64 [n], the how-manieth of its cluster each face is, in their order."""
    order = np.argsort(cluster, kind="stable")
    ordered = cluster[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(cluster) else np.zeros(0, np.int64)
    lengths = np.diff(np.r_[starts, len(cluster)])
    slots = np.empty(len(cluster), np.int64)
    slots[order] = np.arange(len(cluster)) - np.repeat(starts, lengths)
    return slots


def _no_voxels(samples: Sequence[Sample]) -> dict[str, Any]:
    import torch

    return {
        "coords": torch.zeros((0, 4), dtype=torch.int32),
        "features": torch.zeros((0, 1)),
        "offsets": torch.zeros(len(samples) + 1, dtype=torch.int64),
        "events": [sample.event for sample in samples],
    }
