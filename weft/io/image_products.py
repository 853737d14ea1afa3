"""Products of pictures: an image, its mask, and what a segmentation predicts of it.

Axes are C (channel), Y (row, from the top), X (column); lengths are pixels. Truth and prediction have the same name:
`mask`. A store holds what its files have: where only some images have a mask, the others are filled with −1, which the
conversion notes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weft.errors import WeftError
from weft.io.products import Column, Schema, structured

#: No valid label, or a pixel that nothing was predicted of.
UNKNOWN = -1
#: Types of values that pictures keep.
PICTURE_DTYPES = ("u1", "u2", "f4")


def picture(dtype: np.dtype | str = "u1") -> Schema:
    """dense [C, Y, X]: grey (1 channel) or red, green, blue (3), as in the file: uint8, uint16 or float32."""
    chosen = np.dtype(dtype)
    if chosen not in map(np.dtype, PICTURE_DTYPES):
        raise WeftError(f"a picture holds uint8, uint16 or float32, not {chosen}")
    return Schema("picture", "dense", chosen, (Column("intensity"),), description="grey, or red, green, blue: C, Y, X")


def mask(classes: Sequence[str] = ()) -> Schema:
    """dense int16 [Y, X]: class of each pixel, −1 where there is no valid label; `classes` names 0, 1, …"""
    return Schema(
        "mask", "dense", np.dtype("i2"), (Column("class", "", "−1: no valid label"),),
        description="class of each pixel, axes Y, X", codes={"class": dict(enumerate(classes))},
    )  # fmt: skip


#: Without names of the classes, for those who only read.
MASK = mask()

_dtype, _columns = structured(("image", "i4", "", "name of the file, without its ending"))
ORIGIN = Schema(
    "origin", "table", _dtype, _columns, codes={"image": {}}, description="which image it is; one row per event"
)

# ------------------------------------------------------------------------------------------------ predictions


def mask_probabilities(classes: Sequence[str]) -> Schema:
    """dense float32 [K, Y, X]: softmax over the classes, sum 1."""
    columns = tuple([Column(name, "", "probability") for name in classes])
    return Schema("mask_probabilities", "dense", np.dtype("f4"), columns, description="of each class, axes K, Y, X")


def require_classes(codes: Mapping[int, str], classes: Sequence[str], where: str) -> None:
    """Raise WeftError where masks name their classes otherwise than those who are to learn or to judge them."""
    if codes and [codes[k] for k in sorted(codes)] != list(classes):
        found = ", ".join(codes[k] for k in sorted(codes))
        raise WeftError(f"{where}: its masks have the classes {found}; data.classes names {', '.join(classes)}")


def require_labels(mask: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """The mask; raises WeftError where it has a class that has no name. Masks without a classes.txt are converted with
    whatever they hold."""
    highest = int(mask.max(initial=-1))
    if highest >= len(classes):
        names = ", ".join(f"{k} {name}" for k, name in enumerate(classes))
        raise WeftError(f"a mask has class {highest}, but data.classes names {len(classes)}: {names}")
    return mask
