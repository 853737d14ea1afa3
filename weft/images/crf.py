"""Masks refined by a conditional random field: neighbours of the same colour tend to be of the same class.

Potts model with a Gaussian kernel of position and a bilateral one of position and colour, mean-field steps (Krähenbühl
and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NeurIPS 2011). As in
convolutional CRFs (Teichmann and Cipolla, BMVC 2019) a pixel sees those within a window, and messages are exact sums
over it, normalised by the sum of the kernel.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weft.compiled import kernel
from weft.images.crf_options import CrfOptions

_SMALLEST = 1e-6
"""probability that stands for none: no pixel is beyond persuasion"""


def refined(
    probabilities: NDArray[np.float32], picture: NDArray[np.float32], options: CrfOptions
) -> NDArray[np.float32]:
    """The marginals [K, Y, X] of the field, which sum to 1.

    probabilities: [K, Y, X], softmax of a network. picture: [C, Y, X] in units of full scale.
    """
    unary = np.log(np.maximum(probabilities, _SMALLEST)).transpose(1, 2, 0).astype(np.float32)
    colours = np.ascontiguousarray(picture.transpose(1, 2, 0), np.float32)
    beliefs = _softmax(unary)
    for _ in range(options.iterations):
        message = np.zeros_like(unary)
        _messages(
            np.ascontiguousarray(beliefs), colours, options.radius, options.smooth_weight,
            0.5 / options.smooth_width**2, options.colour_weight, 0.5 / options.colour_width**2,
            0.5 / options.colour_range**2, message,
        )  # fmt: skip
        beliefs = _softmax(unary + message)
    return np.ascontiguousarray(beliefs.transpose(2, 0, 1))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    made = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return made / made.sum(axis=-1, keepdims=True)


@kernel
def _messages(
    beliefs: np.ndarray,
    colours: np.ndarray,
    radius: int,
    smooth_weight: float,
    smooth: float,
    colour_weight: float,
    near: float,
    alike: float,
    message: np.ndarray,
) -> None:
    """Add to `message` [Y, X, K] the two normalised sums over the window of each pixel, itself left out."""
    rows, columns, classes = beliefs.shape
    channels = colours.shape[2]
    by_place, by_colour = np.zeros(classes), np.zeros(classes)
    for y in range(rows):
        for x in range(columns):
            by_place[:] = 0
            by_colour[:] = 0
            of_place, of_colour = 0.0, 0.0
            for j in range(max(0, y - radius), min(rows, y + radius + 1)):
                for i in range(max(0, x - radius), min(columns, x + radius + 1)):
                    if j == y and i == x:
                        continue
                    far = float((j - y) ** 2 + (i - x) ** 2)
                    differ = 0.0
                    for c in range(channels):
                        differ += (colours[j, i, c] - colours[y, x, c]) ** 2
                    a = math.exp(-smooth * far)
                    b = math.exp(-near * far - alike * differ)
                    of_place += a
                    of_colour += b
                    for k in range(classes):
                        by_place[k] += a * beliefs[j, i, k]
                        by_colour[k] += b * beliefs[j, i, k]
            for k in range(classes):
                if of_place > 0:
                    message[y, x, k] += smooth_weight * by_place[k] / of_place
                if of_colour > 0:
                    message[y, x, k] += colour_weight * by_colour[k] / of_colour
