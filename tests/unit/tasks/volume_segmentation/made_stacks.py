"""Small stacks with a known truth: shells, tubes and balls with blur and noise."""

import numpy as np
from scipy.ndimage import gaussian_filter

from weft.io.volume_products import spacing_row

SPACING = (0.3, 0.1, 0.1)
SHAPE = (14, 48, 48)


def truth(kind, seed=0, shape=SHAPE):
    """bool [Z, Y, X] and int32 instances of structures of a kind."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) * np.reshape(SPACING, (3, 1, 1, 1))
    size = np.array(shape) * SPACING
    instances = np.zeros(shape, np.int32)
    for k in range(4):
        centre = size * ((0.5, 0.27, 0.27) + np.array([0, k // 2, k % 2]) * 0.46) + rng.normal(0, 0.05, 3)
        distance = np.sqrt(((places - centre.reshape(3, 1, 1, 1)) ** 2).sum(axis=0))
        radius = rng.uniform(0.75, 0.95)
        if kind == "shell":
            inside = np.abs(distance - radius) < 0.12
        elif kind == "ball":
            inside = distance < radius
        else:
            across = np.sqrt(((places[:2] - centre[:2].reshape(2, 1, 1, 1)) ** 2).sum(axis=0))
            inside = across < 0.16
        instances[inside] = k + 1
    return instances > 0, instances


def event(kind="ball", seed=0, noise=0.05, uneven=0.0, shape=SHAPE):
    """A stack as a stage sees one: products by name."""
    inside, instances = truth(kind, seed, shape)
    rng = np.random.default_rng(seed + 1000)
    clean = gaussian_filter(inside.astype(float), (0.6, 1, 1))
    ramp = uneven * np.linspace(0, 1, shape[2])
    image = 100 + 1000 * (clean + ramp) + 1000 * noise * rng.normal(size=shape)
    labels = inside.astype(np.int16)
    return {
        "image": np.clip(image, 0, 65535).astype(np.uint16)[None],
        "spacing": spacing_row(*SPACING),
        "truth/labels": labels,
        "truth/instances": instances,
    }
