"""Colours of what is in a street, and the patterns on it. Colours are red, green, blue of 255, as floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Colour = NDArray[np.float64]

#: Colours that belong to nobody: asphalt, concrete, cloudy skies, cars and coats have them.
_GREYS = ((90, 90, 95), (125, 125, 125), (150, 148, 145), (178, 180, 184), (60, 62, 66))
_BROWNS = ((128, 96, 70), (150, 110, 84), (108, 84, 62), (160, 132, 104))
_OWN = {
    "sky": ((120, 170, 225), (150, 190, 235), (95, 140, 205)),
    "road": ((88, 88, 92), (104, 102, 102), (74, 74, 78)),
    "sidewalk": ((150, 146, 140), (168, 162, 152), (132, 128, 124)),
    "building": ((170, 110, 90), (196, 176, 148), (150, 150, 150), (120, 100, 90), (206, 196, 180), (110, 120, 130)),
    "vegetation": ((70, 110, 50), (90, 125, 60), (55, 90, 45)),
    "car": ((190, 40, 40), (40, 60, 150), (230, 230, 230), (30, 30, 34), (200, 170, 50)),
    "person": ((180, 50, 60), (50, 60, 120), (220, 190, 60), (90, 50, 110), (60, 110, 90)),
}
_SHARED = {"sky": _GREYS[1:4], "car": _GREYS, "person": (*_GREYS, *_BROWNS), "vegetation": _BROWNS}


def colour(kind: str, alike: float, rng: np.random.Generator) -> Colour:
    """A colour [3] of a class; alike: how often it is one that other classes have."""
    shared = kind in _SHARED and rng.random() < alike
    palette = _SHARED[kind] if shared else _OWN[kind]
    return np.clip(np.array(palette[int(rng.integers(len(palette)))], float) + rng.normal(0, 7, 3), 8, 247)


def grain(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of mean 0 and standard deviation 1 with grains of so many pixels."""
    noise = rng.normal(size=shape)
    if size > 0:
        noise = ndimage.gaussian_filter(noise, size, mode="wrap")
    return (noise - noise.mean()) / max(float(noise.std()), 1e-9)
