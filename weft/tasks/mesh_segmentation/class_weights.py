"""How much a class weighs in the loss, by how much of it there is in the training meshes (spec §8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.errors import WeftError
from weft.tasks.mesh_segmentation.loss_options import LossOptions

_OFFSET = 0.02


def class_weights(options: LossOptions, measured: Mapping[str, Any], classes: Sequence[str]) -> NDArray[np.float32]:
    """float32 [C], their mean over training faces, or area, is 1; a class that is not there weighs as the heaviest.

    measured: ``faces`` and ``area``, labelled faces and m2 of each class. Raises WeftError where they are missing or
    none of them has a label.
    """
    if options.class_weight == "none":
        return np.ones(len(classes), np.float32)
    counted = measured.get("faces" if options.faces == "count" else "area")
    if counted is None or len(counted) != len(classes):
        raise WeftError(
            f"loss.class_weight: {options.class_weight}: the model does not say how many faces of each of "
            f"{len(classes)} classes it was trained on; train it again"
        )
    amount = np.asarray(counted, np.float64)
    there = amount > 0
    if not there.any():
        raise WeftError(f"loss.class_weight: {options.class_weight}: no training face has a label")
    share = amount / amount.sum()
    if options.class_weight == "effective_number":
        faces = np.asarray(measured["faces"], np.float64)
        weight = -1 / np.expm1(faces[there] * np.log(options.effective_beta))
    else:
        weight = 1 / (share[there] + (_OFFSET if options.class_weight == "inverse_offset" else 0))
    made = np.full(len(classes), weight.max())
    made[there] = weight
    return (made / (made * share).sum()).astype(np.float32)
