"""Grey, hue, saturation and value of colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Shares of red, green and blue in the luminance (ITU-R BT.601).
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def grey(rgb: np.ndarray) -> NDArray[np.float32]:
    """float32 [n], luminance of colours float32 [n, 3]."""
    made: NDArray[np.float32] = rgb @ _LUMINANCE
    return made


def hue_saturation_value(rgb: np.ndarray) -> NDArray[np.float32]:
    """float32 [n, 3] in [0, 1] of colours float32 [n, 3] in [0, 1]; the hue of a grey is 0 (Smith, SIGGRAPH 1978)."""
    rgb = np.asarray(rgb, np.float32)
    value, low = rgb.max(axis=1, initial=0), rgb.min(axis=1, initial=1)
    chroma = np.maximum(value - low, 0)
    scale = np.where(chroma > 0, chroma, 1)
    r, g, b = rgb.T
    sector = np.select(
        [chroma == 0, value == r, value == g], [0, (g - b) / scale, 2 + (b - r) / scale], 4 + (r - g) / scale
    )
    saturation = chroma / np.where(value > 0, value, 1)
    return np.stack([(sector / 6) % 1, saturation, value], axis=1).astype(np.float32)


def from_hue_saturation_value(hsv: np.ndarray) -> NDArray[np.float32]:
    """The inverse of :func:`hue_saturation_value`; hues are taken modulo 1."""
    hue, saturation, value = np.asarray(hsv, np.float32).T
    place = (np.array([5, 3, 1], np.float32) + 6 * (hue % 1)[:, None]) % 6
    dip = np.clip(np.minimum(place, 4 - place), 0, 1)
    made: NDArray[np.float32] = value[:, None] * (1 - saturation[:, None] * dip)
    return made.astype(np.float32)


def turned_hue(rgb: np.ndarray, turn: float) -> NDArray[np.float32]:
    """float32 [n, 3], colours with their hue turned by a share of the whole circle."""
    hsv = hue_saturation_value(rgb)
    hsv[:, 0] += np.float32(turn)
    return from_hue_saturation_value(hsv)
