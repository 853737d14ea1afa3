"""A mesh in memory, as it is cut into samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weft.engine.task import Event
from weft.errors import WeftError
from weft.io.products import Ragged
from weft.meshes.features import Frame, mesh_frame
from weft.meshes.geometry import centroids

Reads = Literal["none", "bary", "uv"]
"""where pixels are to lie; see :class:`weft.tasks.mesh_segmentation.model_options.TextureOptions`"""


@dataclass(frozen=True)
class Tile:
    """One mesh: V vertices, M faces."""

    vertices: NDArray[np.float64]
    """[V, 3] m"""
    faces: NDArray[np.int32]
    """[M, 3]"""
    surface: NDArray[np.float32] | None
    """[M, 2] m, height and roughness, where they are read"""
    labels: NDArray[np.int16] | None
    """[M], -1 for none, where they are read"""
    pixels: Ragged | None
    """of each face, where textures are read (:data:`weft.io.mesh_products.FACE_PIXELS`)"""
    texcoords: NDArray[np.float32] | None
    """[M, 6], where they are read"""

    @cached_property
    def centroids(self) -> NDArray[np.float64]:
        """[M, 3] m"""
        return centroids(self.vertices[self.faces])

    @cached_property
    def frame(self) -> Frame:
        """What features of its faces depend on beyond the face."""
        return mesh_frame(self.vertices, self.faces)

    @property
    def nbytes(self) -> int:
        """Of its arrays and of what is measured of them once."""
        pixels = () if self.pixels is None else (self.pixels.values, self.pixels.offsets)
        own: tuple[np.ndarray | None, ...] = (self.vertices, self.faces, self.surface, self.labels, self.texcoords)
        return sum(array.nbytes for array in (*own, *pixels) if array is not None) + 40 * len(self.faces)


def read_tile(event: Event, *, surface: bool, texture: Reads | None, classes: Sequence[str] | None) -> Tile:
    """The products of an event.

    texture: None, or where pixels are to lie. classes: of the labels; None: they are not read.
    Raises WeftError where the labels are of other classes.
    """
    labels = None
    if classes is not None:
        labels = np.asarray(event["truth/face_labels"])[:, 0]
        _check(event, labels, classes)
    return Tile(
        np.asarray(event["vertices"]),
        np.asarray(event["faces"]),
        np.asarray(event["face_surface"]) if surface else None,
        labels,
        event["face_pixels"] if texture is not None else None,
        np.asarray(event["texcoords"]) if texture == "uv" else None,
    )


def _check(event: Any, labels: np.ndarray, classes: Sequence[str]) -> None:
    codes: Mapping[str, Mapping[int, str]] = event.codes("truth/face_labels") if hasattr(event, "codes") else {}
    names = [name for _, name in sorted(codes.get("class", {}).items())]
    if names and names != list(classes):
        raise WeftError(f"data.classes: {', '.join(classes)}; the labels of the meshes are of {', '.join(names)}")
    if len(labels) and int(labels.max()) >= len(classes):
        raise WeftError(f"face_labels: class {labels.max()}, expected -1 to {len(classes) - 1}: data.classes has "
                        f"{len(classes)}")  # fmt: skip
