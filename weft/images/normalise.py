"""Numbers of a file as a network reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from weft.errors import WeftError


def unit(picture: np.ndarray, channels: int) -> NDArray[np.float32]:
    """float32 [channels, Y, X] in units of full scale: uint8 over 255, uint16 over 65535, floats as they are.

    A grey picture gives the same for each of several channels. Raises WeftError for other numbers of channels.
    """
    if picture.ndim != 3:
        raise WeftError(f"a picture of shape {picture.shape}: expected [channels, rows, columns]")
    made = picture.astype(np.float32)
    if picture.dtype.kind in "iu":
        made /= np.float32(np.iinfo(picture.dtype).max)
    if made.shape[0] == 1 and channels > 1:
        return np.repeat(made, channels, axis=0)
    if made.shape[0] != channels:
        raise WeftError(f"a picture of {made.shape[0]} channels for a network of {channels}: see data.mean, data.std")
    return made


def within_full_scale(picture: np.ndarray) -> bool:
    """Whether all values are from 0 to 1; floats of a file need not be."""
    return bool(picture.min(initial=0) >= 0 and picture.max(initial=0) <= 1)


def normalised(picture: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """(picture − mean) / std, channel by channel, of a picture in units of full scale."""
    middle, width = (np.array(values, np.float32)[:, None, None] for values in (mean, std))
    return (picture - middle) / width
