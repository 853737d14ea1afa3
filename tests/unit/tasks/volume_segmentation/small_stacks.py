"""Stacks with bright balls, as events in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from weft.io.volume_products import spacing_row


def stack(seed: int, size: tuple[int, int, int] = (12, 48, 56), balls: int = 5, channels: int = 1) -> dict[str, Any]:
    """An event: balls of class 1 in uneven light with noise; uint16, 0.3 x 0.1 x 0.1 µm, a corner of cost 0."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"))
    labels = np.zeros(size, np.int16)
    for _ in range(balls):
        middle = rng.uniform(0, size)[:, None, None, None]
        labels |= (((place - middle) * np.array([2, 1, 1])[:, None, None, None]) ** 2).sum(0) < 36
    light = ndimage.gaussian_filter(labels.astype(float), (0.5, 1, 1)) * 600 + 200 + 2 * place[2]
    image = rng.poisson(light).astype(np.uint16)
    cost = np.ones(size, np.float32)
    cost[:, :4, :4] = 0
    return {
        "image": np.stack([image] * channels),
        "spacing": spacing_row(0.3, 0.1, 0.1),
        "truth/labels": labels,
        "truth/cost": cost,
    }
