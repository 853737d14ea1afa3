"""What the surroundings of a pixel look like: the features of the baseline. The names say what each column is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.colours.luma import LUMA

#: Widths of the surroundings, pixels.
SCALES = (2.0, 6.0)
_COLOURS = ("red", "green", "blue")
FEATURES = (
    "row",
    "column",
    *_COLOURS,
    "hue_cos",
    "hue_sin",
    "saturation",
    *(f"{name}_{scale:g}" for scale in SCALES for name in _COLOURS),
    *(f"contrast_{scale:g}" for scale in SCALES),
    *(f"edges_{direction}_{scale:g}" for scale in SCALES for direction in ("x", "y")),
)


def pixel_features(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [Y, X, F] of a picture [3, Y, X] in units of full scale.

    row, column: share of the picture, from top and left. Colours: of the pixel, and blurred. hue_cos, hue_sin,
    saturation: projections on the plane of colours, 0 for grey. contrast: standard deviation of the grey around the
    pixel. edges: mean absolute gradient along x and y around it.
    """
    rows, columns = picture.shape[1:]
    made = np.empty((rows, columns, len(FEATURES)), np.float32)
    made[..., 0] = ((np.arange(rows) + 0.5) / rows)[:, None]
    made[..., 1] = (np.arange(columns) + 0.5) / columns
    made[..., 2:5] = picture.transpose(1, 2, 0)
    red, green, blue = picture
    made[..., 5] = red - 0.5 * (green + blue)
    made[..., 6] = np.sqrt(0.75) * (green - blue)
    made[..., 7] = picture.max(0) - picture.min(0)
    grey = np.tensordot(LUMA, picture, 1)
    gradients = [np.abs(np.gradient(grey, axis=axis)) for axis in (1, 0)]
    k = 8
    for scale in SCALES:
        for channel in picture:
            made[..., k] = ndimage.gaussian_filter(channel, scale, mode="nearest")
            k += 1
    for scale in SCALES:
        mean, square = (ndimage.gaussian_filter(g, scale, mode="nearest") for g in (grey, grey * grey))
        made[..., k] = np.sqrt(np.maximum(square - mean * mean, 0))
        k += 1
    for scale in SCALES:
        for gradient in gradients:
            made[..., k] = ndimage.gaussian_filter(gradient, scale, mode="nearest")
            k += 1
    assert k == len(FEATURES)
    return made
