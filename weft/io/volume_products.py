"""Products of dense volumes: microscopy stacks, their truth, and what a segmentation predicts of them.

Axes are C (channel), Z (slice), Y (row), X (column), lengths are µm. The centre of voxel (z, y, x) lies at
``(z, y, x) * spacing``, so the origin is the centre of the first voxel. Truth and prediction have the same names:
`labels` and `instances`. A store holds what its files have: a product that no image of a shard has is absent; where
some have it, the others are filled (labels and instances: −1, cost: 1), which the conversion notes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.errors import WeftError
from weft.io.products import Column, Schema, structured

#: No valid label, or no known instance.
UNKNOWN = -1
#: Types of values that images keep.
IMAGE_DTYPES = ("u1", "u2", "f4")


def image(dtype: np.dtype | str = "f4") -> Schema:
    """dense [C, Z, Y, X]: intensities as they are in the files, uint8, uint16 or float32."""
    chosen = np.dtype(dtype)
    if chosen not in map(np.dtype, IMAGE_DTYPES):
        raise WeftError(f"an image holds uint8, uint16 or float32, not {chosen}")
    return Schema("image", "dense", chosen, (Column("intensity"),), description="intensities, axes C, Z, Y, X")


_dtype, _columns = structured(*((axis, "f8", "µm", f"distance of voxels along {axis}; NaN: unknown") for axis in "zyx"))
SPACING = Schema("spacing", "table", _dtype, _columns, description="voxel size; one row per event")

_dtype, _columns = structured(
    ("image", "i4", "", "name of the image, without its ending"),
    ("time", "i4", "", "time point of the file"),
)
ORIGIN = Schema(
    "origin", "table", _dtype, _columns, codes={"image": {}}, description="which image it is; one row per event"
)

LABELS = Schema(
    "labels", "dense", np.dtype("i2"), (Column("class", "", "0 background, −1 no valid label"),),
    description="class of each voxel, axes Z, Y, X",
)  # fmt: skip

COST = Schema(
    "cost", "dense", np.dtype("f4"), (Column("cost", "", "0: not to be judged, 1: as any other, more: counts more"),),
    description="weight of each voxel, axes Z, Y, X; missing: all 1",
)  # fmt: skip

INSTANCES = Schema(
    "instances", "dense", np.dtype("i4"), (Column("instance", "", "0 background, −1 not known"),),
    description="number of the object that a voxel belongs to, axes Z, Y, X",
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ predictions

#: Maps of `uncertainty`, in this order (specification §7): entropy in nats, the others without a unit.
UNCERTAINTIES = ("entropy", "variance", "mutual_information", "one_minus_max")


def probabilities(classes: Sequence[str] = ("background", "structure")) -> Schema:
    """dense float32 [K, Z, Y, X]: softmax over the classes of the main output, sum 1."""
    columns = tuple([Column(name, "", "probability") for name in classes])
    return Schema("probabilities", "dense", np.dtype("f4"), columns, description="of each class, axes K, Z, Y, X")


UNCERTAINTY = Schema(
    "uncertainty", "dense", np.dtype("f4"), tuple([Column(name) for name in UNCERTAINTIES]),
    description="over passes with dropout, axes: map, Z, Y, X",
)  # fmt: skip

_dtype, _columns = structured(
    ("label", "i4", "", "its number in `instances`"),
    ("class", "i2", "", "its class in `labels`"),
    ("voxels", "i8", "", "number of its voxels"),
    ("volume", "f8", "µm³", "of its voxels; NaN where the voxel size is unknown"),
    *((f"centroid_{axis}", "f8", "µm", f"mean {axis} of its voxels; NaN: spacing unknown") for axis in "zyx"),
    *((f"{edge}_{axis}", "i4", "voxel", f"{what} {axis} of its box") for edge, what in
      (("start", "first"), ("stop", "one after the last")) for axis in "zyx"),
    ("mean_intensity", "f4", "", "mean of the first channel"),
    ("mean_probability", "f4", "", "mean probability of its class; NaN where there are no probabilities"),
)  # fmt: skip
OBJECTS = Schema("objects", "table", _dtype, _columns, description="one row per object, in the order of their labels")


def spacing_row(z: float, y: float, x: float) -> np.ndarray:
    """The row of `spacing`, µm; NaN where unknown.

    Raises WeftError where a length is not above zero.
    """
    for axis, length in zip("zyx", (z, y, x), strict=True):
        if not (np.isnan(length) or (np.isfinite(length) and length > 0)):
            raise WeftError(f"voxel size along {axis} is {length} µm, expected a length above 0")
    return np.array([(z, y, x)], SPACING.dtype)


def spacing_of(row: np.ndarray) -> tuple[float, float, float]:
    """(z, y, x) in µm of a `spacing` table of one event."""
    return float(row["z"][0]), float(row["y"][0]), float(row["x"][0])
