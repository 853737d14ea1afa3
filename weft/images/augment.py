"""Variations of a picture and its mask as functions of a generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft.colours import jitter
from weft.images.augment_options import AugmentOptions

Picture = NDArray[np.float32]


def mirrored(
    picture: Picture, mask: np.ndarray, options: AugmentOptions, rng: np.random.Generator
) -> tuple[Picture, np.ndarray]:
    """[C, Y, X] and [Y, X], both mirrored in the same way."""
    for wanted, axis in ((options.horizontal_flip, -1), (options.vertical_flip, -2)):
        if wanted and rng.random() < 0.5:
            picture, mask = np.flip(picture, axis), np.flip(mask, axis)
    return np.ascontiguousarray(picture), np.ascontiguousarray(mask)


def jittered(picture: Picture, options: AugmentOptions, rng: np.random.Generator, *, cut: bool) -> Picture:
    """The picture [C, Y, X] in other colours (:func:`weft.colours.jitter.jittered`).

    cut: whether values stay within [0, 1]; for pictures that do (:func:`weft.images.normalise.within_full_scale`).
    """
    return np.moveaxis(jitter.jittered(np.moveaxis(picture, 0, -1), options, rng, cut=cut), -1, 0)
