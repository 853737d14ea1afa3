"""One picture or mask out of a file, through Pillow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from weft.errors import WeftError

#: Key of the text in a PNG that says which event it is.
RECORD = "weft"
_ORIENTATION = 0x0112
#: Modes of Pillow that hold one number a pixel, by the type that is kept of a picture.
_GREY = {"1": "u1", "L": "u1", "I;16": "u2", "I;16L": "u2", "I;16B": "u2", "I": "u2", "F": "f4"}
#: Modes that are ids as they are: grey, and the numbers of a palette.
_IDS = ("1", "L", "P", "I;16", "I;16L", "I;16B", "I")


class Head(NamedTuple):
    """What is known of a picture before its pixels are read: (rows, columns), type, and who it is where it says so."""

    size: tuple[int, int]
    dtype: str
    event: tuple[int, int, int] | None


def size_of(path: str | Path) -> Head:
    """The head of a picture. Raises WeftError for what cannot be read."""
    with _opened(path) as image:
        turned = _is_turned(image)
        columns, rows = image.size[::-1] if turned else image.size
        return Head((rows, columns), str(np.dtype(_GREY.get(image.mode, "u1"))), _event(image))


def is_turned(path: str | Path) -> bool:
    """Whether rows of a picture are columns when it is read, since its camera was turned. Raises WeftError likewise."""
    with _opened(path) as image:
        return _is_turned(image)


def _is_turned(image: Image.Image) -> bool:
    return bool(image.getexif().get(_ORIENTATION, 1) >= 5)


def read_picture(path: str | Path) -> tuple[np.ndarray, list[str]]:
    """[C, Y, X] of 1 or 3 channels, uint8, uint16 or float32, and what had to be done to it.

    Raises WeftError for a damaged file, and for numbers that uint16 does not hold.
    """
    remarks = []
    with _opened(path) as image:
        if image.getexif().get(_ORIENTATION, 1) > 1:
            image = ImageOps.exif_transpose(image)
            remarks.append("turned as the camera says")
        if image.mode in _GREY:
            array = np.asarray(image)
            if image.mode == "1":
                array = array.astype(np.uint8) * np.uint8(255)
            elif image.mode == "I":
                if array.min(initial=0) < 0 or array.max(initial=0) > np.iinfo(np.uint16).max:
                    raise WeftError(f"{path}: values from {array.min()} to {array.max()}, expected those of 16 bits")
                array = array.astype(np.uint16)
            return np.ascontiguousarray(array.astype(_GREY[image.mode], copy=False)[None]), remarks
        if image.mode in ("LA", "La"):
            remarks.append("transparency left out")
            return np.ascontiguousarray(np.asarray(image)[None, ..., 0]), remarks
        if image.mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
            remarks.append("transparency left out")
        elif image.mode not in ("RGB", "P"):
            remarks.append(f"{image.mode} as red, green, blue")
        colours = np.asarray(image.convert("RGBA"))[..., :3] if image.mode in ("P", "PA") else np.asarray(
            image.convert("RGB")
        )  # fmt: skip
        return np.ascontiguousarray(colours.transpose(2, 0, 1)), remarks


def read_mask(path: str | Path) -> np.ndarray:
    """int32 [Y, X], the ids of a mask.

    Raises WeftError for a damaged file, for colours, and for ids below 0.
    """
    with _opened(path) as image:
        if image.mode not in _IDS:
            raise WeftError(
                f"{path}: a mask of mode {image.mode}: expected the id of a class in each pixel (grey of 8 or 16 bits, "
                "or a palette), no colours"
            )
        if image.getexif().get(_ORIENTATION, 1) > 1:
            image = ImageOps.exif_transpose(image)
        ids = np.asarray(image).astype(np.int32)
    if ids.min(initial=0) < 0:
        raise WeftError(f"{path}: ids down to {ids.min()}, expected 0 and above")
    return ids


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise WeftError(f"{path}: cannot be read as an image ({' '.join(str(error).split())})") from None


def _event(image: Image.Image) -> tuple[int, int, int] | None:
    try:
        run, subrun, event = json.loads(image.info[RECORD])["event"]
        return int(run), int(subrun), int(event)
    except (KeyError, TypeError, ValueError):
        return None
