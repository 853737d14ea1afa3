"""What candidates are held against: the true groups of particles, voxel by voxel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weft.engine.task import Store
from weft.io.products import LOW_ENERGY
from weft.reco.clustering_scores import Answer
from weft.reco.labels import particle_labels, voxel_particles
from weft.reco.nodes import voxel_labels

#: The true products that say whose a low-energy voxel is.
TRUTH = ("voxels", "semantics", "clusters", "particles", "meta")


def answers(store: Store, low_energy: bool) -> Iterator[Answer]:
    """The true and the predicted candidate of every voxel, event by event.

    Judged are the voxels of true candidates, whatever the stage was fed: what no fragment holds is missed. With
    `low_energy` so are voxels of that class whose particle is of a known group.
    """
    for i in range(len(store)):
        semantics = store["truth/semantics"][i][:, 0]
        truth = voxel_labels(store["truth/candidate_voxels"][i], len(semantics))
        if low_energy:
            truth = with_low_energy({name: store[f"truth/{name}"][i] for name in TRUTH}, truth)
        predicted = voxel_labels(store["prediction/candidate_voxels"][i], len(semantics))
        yield Answer(truth, predicted, semantics, store["truth/charge"][i][:, 0])


def with_low_energy(truth: Mapping[str, Any], labels: np.ndarray) -> np.ndarray:
    """int64 [N]: labels in which low-energy voxels have that of the candidate of their group, or a new one for it.

    truth: the products :data:`TRUTH` of an event. labels: int64 [N], true candidate of each voxel, −1 for none.
    """
    owner = voxel_particles(truth)
    group = np.append(particle_labels(truth, owner)["group"].astype(np.int64), -1)[owner]
    known = np.flatnonzero((labels >= 0) & (group >= 0))
    candidate = np.arange(len(truth["particles"])) + labels.max(initial=-1) + 1
    candidate[group[known]] = labels[known]
    added = (truth["semantics"][:, 0] == LOW_ENERGY) & (group >= 0) & (labels < 0)
    return np.where(added, np.append(candidate, -1)[group], labels)
