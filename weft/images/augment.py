"""Variations of a picture and its mask as functions of a generator.

Colour jitter as that of torchvision (brightness, contrast, saturation, hue in a random order), on pictures in units of
full scale; results are cut to [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft.images.augment_options import AugmentOptions

#: Luma of red, green, blue (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Picture = NDArray[np.float32]


def mirrored(
    picture: Picture, mask: np.ndarray, options: AugmentOptions, rng: np.random.Generator
) -> tuple[Picture, np.ndarray]:
    """[C, Y, X] and [Y, X], both mirrored in the same way."""
    for wanted, axis in ((options.horizontal_flip, -1), (options.vertical_flip, -2)):
        if wanted and rng.random() < 0.5:
            picture, mask = np.flip(picture, axis), np.flip(mask, axis)
    return np.ascontiguousarray(picture), np.ascontiguousarray(mask)


def jittered(picture: Picture, options: AugmentOptions, rng: np.random.Generator) -> Picture:
    """The picture [C, Y, X] in other colours; saturation and hue are of pictures in red, green and blue."""
    steps = {"brightness": _bright, "contrast": _contrast, "saturation": _saturated, "hue": hue_turned}
    for name in rng.permutation(list(steps)):
        width = getattr(options, name)
        if width and (picture.shape[0] == 3 or name in ("brightness", "contrast")):
            amount = rng.uniform(-width, width)
            picture = steps[str(name)](picture, amount if name == "hue" else 1 + amount)
    return picture


def _grey(picture: Picture) -> Picture:
    """[1, Y, X]"""
    return picture if picture.shape[0] != 3 else np.tensordot(LUMA, picture, 1)[None]


def _bright(picture: Picture, factor: float) -> Picture:
    return np.clip(picture * np.float32(factor), 0, 1)


def _contrast(picture: Picture, factor: float) -> Picture:
    mean = np.float32(_grey(picture).mean())
    return np.clip(mean + (picture - mean) * np.float32(factor), 0, 1)


def _saturated(picture: Picture, factor: float) -> Picture:
    grey = _grey(picture)
    return np.clip(grey + (picture - grey) * np.float32(factor), 0, 1)


def hue_turned(picture: Picture, turns: float) -> Picture:
    """Red, green, blue [3, Y, X] with their hue turned, 1 being the whole circle: value and saturation stay."""
    high, low = picture.max(0), picture.min(0)
    chroma = high - low
    safe = np.where(chroma > 0, chroma, 1)
    red, green, blue = picture
    of_green, of_blue = (blue - red) / safe + 2, (red - green) / safe + 4
    sixth = np.where(high == red, (green - blue) / safe % 6, np.where(high == green, of_green, of_blue))
    # Of a hue h each channel lies between low and high by where it is on the circle (Foley and van Dam).
    place = (np.array([5, 3, 1], np.float32)[:, None, None] + sixth + np.float32(6 * turns)) % 6
    return (high - chroma * np.clip(np.minimum(place, 4 - place), 0, 1)).astype(np.float32)
