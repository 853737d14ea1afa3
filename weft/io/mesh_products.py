"""Products of meshes: a tile, its texture, its truth, and what a segmentation predicts of its faces.

Lengths are metres, coordinates those of the file. Faces are triangles in the order of the file; duplicates, edges of
more than two faces, degenerate faces and isolated parts are kept as they are. Truth and prediction have the same name:
`face_labels`. A store holds what its files have: a product that no mesh of a shard has is absent; where some have it,
the others are filled (labels −1, texture −1, coordinates of texture NaN, no pixels), which the conversion notes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.io.products import Column, Schema, structured

#: No valid label, or no texture.
UNKNOWN = -1

VERTICES = Schema(
    "vertices", "table", np.dtype("f8"), tuple(Column(axis, "m", f"{axis} of the file") for axis in "xyz"),
    description="corners of the faces",
)  # fmt: skip

FACES = Schema(
    "faces", "table", np.dtype("i4"),
    tuple(Column(f"corner_{k}", "", "row of `vertices` in this event") for k in range(3)),
    description="triangles, in the order of the file; polygons are cut into fans",
)  # fmt: skip

PARENT_FACE = Schema(
    "parent_face", "table", np.dtype("i4"), (Column("face", "", "number of the polygon in the file"),), on="faces",
    description="which polygon of the file a triangle is cut from; missing: the file has triangles only",
)  # fmt: skip

TEXCOORDS = Schema(
    "texcoords", "table", np.dtype("f4"),
    tuple(Column(f"{axis}{k}", "", f"{axis} of corner {k}; NaN: none") for k in range(3) for axis in "uv"), on="faces",
    description="where the corners lie in the texture: 0 to 1 from its left and from its bottom",
)  # fmt: skip

TEXTURE = Schema(
    "texture", "table", np.dtype("i2"), (Column("texture", "", "number in the file's list of textures, −1: none"),),
    on="faces", description="which texture a face has",
)  # fmt: skip


def face_labels(classes: Sequence[str] = ()) -> Schema:
    """table int16 [M, 1] on `faces`: class of each face, −1 where there is no valid label; `classes` names 0, 1, …"""
    return Schema(
        "face_labels", "table", np.dtype("i2"), (Column("class", "", "−1: no valid label"),), on="faces",
        description="class of a face", codes={"class": dict(enumerate(classes))},
    )  # fmt: skip


#: Without names of the classes, for those who only read.
FACE_LABELS = face_labels()

_dtype, _columns = structured(
    ("r", "u1", "", "red"),
    ("g", "u1", "", "green"),
    ("b", "u1", "", "blue"),
    ("w1", "f2", "", "weight of corner 1 at the pixel's centre"),
    ("w2", "f2", "", "weight of corner 2; that of corner 0 is 1 − w1 − w2"),
)
FACE_PIXELS = Schema(
    "face_pixels", "list", _dtype, _columns, items_on="faces",
    description="pixels of the texture under each face, with their barycentric coordinates; empty: no texture",
)  # fmt: skip

FACE_SURFACE = Schema(
    "face_surface", "table", np.dtype("f4"),
    (Column("height", "m", "of the centroid over the ground around it"),
     Column("roughness", "m", "standard deviation of the heights of the faces around it")), on="faces",
    description="what the surroundings of a face say of it",
)  # fmt: skip

_dtype, _columns = structured(("mesh", "i4", "", "name of the file, without its ending"))
ORIGIN = Schema(
    "origin", "table", _dtype, _columns, codes={"mesh": {}}, description="which mesh it is; one row per event"
)

# ------------------------------------------------------------------------------------------------ predictions


def face_probabilities(classes: Sequence[str]) -> Schema:
    """table float32 [M, C] on `faces`: softmax over the classes, sum 1."""
    columns = tuple([Column(name, "", "probability") for name in classes])
    return Schema("face_probabilities", "table", np.dtype("f4"), columns, on="faces", description="of each class")
