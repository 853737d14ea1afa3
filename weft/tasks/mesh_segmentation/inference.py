"""Whole meshes through a network: part by part, with context around each; every face once a clustering (spec §14).

Memory is that of the mesh, its probabilities and one batch of parts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from weft.engine.task import Products, Sample
from weft.errors import WeftError
from weft.meshes.adjacency import neighbours
from weft.meshes.samples import Part, prediction_parts
from weft.meshes.smoothing import smooth_labels
from weft.tasks.mesh_segmentation.batch import MeshBatch, of_samples
from weft.tasks.mesh_segmentation.clustered import Clustered
from weft.tasks.mesh_segmentation.network import MeshNetwork
from weft.tasks.mesh_segmentation.options import DataOptions
from weft.tasks.mesh_segmentation.sampling import fixed_sample
from weft.tasks.mesh_segmentation.tile import Reads, Tile


@torch.inference_mode()
def predict_tile(network: MeshNetwork, tile: Tile, data: DataOptions, places: Reads) -> Products:
    """``face_labels`` int16 [M, 1] and ``face_probabilities`` float32 [M, C] of all faces of a mesh.

    Probabilities are means over ``data.inference.shifted`` clusterings; a label is the most probable class, after the
    smoothing that is asked for.
    """
    asked = data.inference
    total = np.zeros((len(tile.faces), len(data.classes)))
    predicted = np.zeros(len(tile.faces), np.int64)
    for shift in range(asked.shifted):
        mesh = Clustered.of(tile, data.clusters, seed=None if shift == 0 else shift)
        for part, batch in _batches(mesh, data, places):
            _add(network, part, mesh, batch, total, predicted)
    wrong = np.flatnonzero(predicted != asked.shifted)
    if len(wrong):
        raise WeftError(f"face {wrong[0]} was predicted {predicted[wrong[0]]} times, expected {asked.shifted}")
    probabilities = (total / asked.shifted).astype(np.float32)
    if asked.smoothing is None:
        labels = probabilities.argmax(1).astype(np.int16)
    else:
        near = neighbours(tile.vertices, tile.faces, asked.smoothing.crease)
        labels = smooth_labels(probabilities, near, asked.smoothing.strength)
    return {"face_labels": labels[:, None], "face_probabilities": probabilities}


def _batches(mesh: Clustered, data: DataOptions, places: Reads) -> Iterator[tuple[list[Part], MeshBatch]]:
    asked = data.inference
    clusters = asked.clusters or data.clusters.per_sample + asked.context
    parts = prediction_parts(mesh.centres, clusters, asked.context)
    for start in range(0, len(parts), asked.batch_size):
        some = parts[start : start + asked.batch_size]
        chosen = [np.concatenate([part.core, part.context]) for part in some]
        yield some, of_samples([Sample(fixed_sample(mesh, each, data, places), (0, 0)) for each in chosen])


def _add(
    network: MeshNetwork,
    parts: list[Part],
    mesh: Clustered,
    batch: MeshBatch,
    total: NDArray[np.float64],
    predicted: NDArray[np.int64],
) -> None:
    """Softmax of the faces of the cores, added to what is known of them."""
    assert batch.real is not None
    assert batch.face is not None
    logits = network(batch.to(next(network.parameters()).device)).float()
    made, real, face = logits.softmax(3).cpu().numpy(), batch.real.numpy(), batch.face.numpy()
    for b, part in enumerate(parts):
        faces, own = face[b][real[b]], made[b][real[b]]
        core = np.isin(mesh.clusters[faces], part.core)
        total[faces[core]] += own[core]  # each face is in a part once
        np.add.at(predicted, faces[core], 1)
