"""What the training meshes say beside the weights: statistics of features and colours, how much there is of a class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.errors import WeftError
from weft.meshes.feature_options import FeatureOptions
from weft.meshes.features import face_features, feature_names, needs_frame
from weft.meshes.geometry import areas
from weft.meshes.statistics import standard
from weft.tasks.mesh_segmentation.clustered import Clustered

_BYTES = 256


def measure_meshes(meshes: Iterable[Clustered], options: FeatureOptions, classes: Sequence[str]) -> dict[str, Any]:
    """Plain data: ``features`` and ``colours``, their mean and deviation over the faces, and pixels, of all meshes;
    ``faces`` and ``area``, labelled faces and m2 of each class.

    Raises:
        WeftError: there is no face, or textures are read and no face has one.
    """
    colours: NDArray[np.int64] = np.zeros((3, _BYTES), np.int64)
    counted, area = np.zeros(len(classes)), np.zeros(len(classes))
    textures = False

    def features() -> Iterator[np.ndarray]:
        nonlocal textures, counted, area
        for mesh in meshes:
            tile = mesh.tile
            if tile.pixels is not None:
                textures = True
                for k, channel in enumerate("rgb"):
                    colours[k] += np.bincount(tile.pixels.values[channel], minlength=_BYTES)
            if tile.labels is not None:
                known = tile.labels >= 0
                own = areas(tile.vertices[tile.faces[known]])
                counted += np.bincount(tile.labels[known], minlength=len(classes))
                area += np.bincount(tile.labels[known], own, minlength=len(classes))
            frame = tile.frame if needs_frame(options) else None
            yield face_features(tile.vertices, tile.faces, tile.surface, options, clusters=mesh.clusters, frame=frame)

    measured: dict[str, Any] = {"features": standard(features(), feature_names(options)).plain()}
    if textures:
        measured["colours"] = _of_bytes(colours)
    return measured | {"faces": counted.tolist(), "area": area.tolist()}


def _of_bytes(counts: NDArray[np.int64]) -> dict[str, list[float]]:
    """Mean and deviation of each colour in 0 to 1; counts: [3, 256] of each value."""
    total = counts.sum(axis=1, keepdims=True)
    if not total.all():
        raise WeftError("model.texture: no face of the training meshes has a texture; leave it out, or convert again")
    values, share = np.arange(_BYTES) / (_BYTES - 1), counts / total
    mean = share @ values
    deviation = np.sqrt((share * np.square(values - mean[:, None])).sum(axis=1))
    return {"mean": mean.tolist(), "deviation": np.where(deviation > 0, deviation, 1.0).tolist()}
