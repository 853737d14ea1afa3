"""Which fragment every voxel belongs to: the labels that SPICE and Graph-SPICE learn from (spec §1.0, §1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from weft.reco.clustering_scores import Answer
from weft.reco.dbscan import break_clusters
from weft.reco.labels import voxel_particles
from weft.reco.nodes import numbered_by_first, voxel_labels

#: The true products that labels are made of.
TRUTH = ("voxels", "semantics", "clusters", "particles")


class Store(Protocol):
    """Events with the true products and the predictions of a shard; ``store[name][i]`` is that of event i."""

    def __len__(self) -> int: ...
    def __getitem__(self, product: str) -> Any: ...


def fragment_labels(
    truth: Mapping[str, Any], semantics: np.ndarray, classes: Sequence[int], broken: bool = True
) -> np.ndarray:
    """int32 [N]: the true fragment of each voxel, numbered from 0 in the order of their first voxels; −1: no label.

    truth: the true products `voxels, semantics, clusters, particles` of an event.
    semantics: integer [N], the class of each voxel as the stage is fed it, true or predicted. A voxel has a label where
        that class is the true one, the class of the particle that owns it, and one of `classes`; what was put into a
        wrong class belongs to nothing in it.
    broken: pieces of a particle that do not touch (by a face, an edge or a corner) are fragments of their own: what
        lies between them is not seen, and joining them is the affair of a later stage.
    """
    owner = voxel_particles(truth)
    true, shape = truth["semantics"][:, 0], truth["particles"]["shape"]
    valid = (owner >= 0) & (true == semantics) & np.isin(true, list(classes))
    valid[valid] = shape[owner[valid]] == true[valid]
    labels = np.where(valid, owner, -1)
    if broken:
        return break_clusters(truth["voxels"], labels).astype(np.int32)
    return numbered_by_first(labels).astype(np.int32)


def fragment_answers(store: Store, classes: Sequence[int], broken: bool) -> Iterator[Answer]:
    """The true and the predicted fragment of every voxel, event by event, of a store with truth and predictions.

    Judged are the voxels that have a true fragment by :func:`fragment_labels` of the true classes, whatever classes the
    prediction was fed.
    """
    for i in range(len(store)):
        truth = {name: store[f"truth/{name}"][i] for name in TRUTH}
        semantics = truth["semantics"][:, 0]
        predicted = voxel_labels(store["prediction/fragment_voxels"][i], len(semantics))
        labels = fragment_labels(truth, semantics, classes, broken)
        yield Answer(labels, predicted, semantics, store["truth/charge"][i][:, 0])
