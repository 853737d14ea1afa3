"""The place of a colour on the circle of colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def turned_hue(colours: np.ndarray, turns: float) -> NDArray[np.float32]:
    """float32 [..., 3], colours of that shape with their hue turned, 1 being the whole circle.

    The largest and the smallest of red, green and blue stay what they are, so a grey stays as it is.
    """
    red, green, blue = np.moveaxis(colours, -1, 0)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    chroma = high - low
    safe = np.where(chroma > 0, chroma, 1)
    of_green, of_blue = (blue - red) / safe + 2, (red - green) / safe + 4
    sixth = np.where(high == red, (green - blue) / safe % 6, np.where(high == green, of_green, of_blue))
    made = np.empty_like(colours, np.float32)
    # Of a hue h each channel lies between low and high by where it is on the circle (Foley and van Dam).
    for channel, corner in enumerate((5, 3, 1)):
        place = (np.float32(corner) + sixth + np.float32(6 * turns)) % 6
        made[..., channel] = high - chroma * np.clip(np.minimum(place, 4 - place), 0, 1)
    return made
