"""Colours of what a town is made of, RGB 0 to 255.

`confusable`: what photographs show, one class having colours of another: roofs of weathered copper or with grass, red
trees and red roofs, grey water, grey roads, grey cars. `distinct`: one colour for each material.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

_CONFUSABLE: Final[Mapping[str, tuple[tuple[int, int, int], ...]]] = {
    "grass": ((96, 120, 66), (112, 128, 74), (86, 108, 62), (134, 130, 84)),
    "paving": ((140, 134, 124), (122, 118, 112), (160, 146, 128)),
    "road": ((92, 92, 94), (78, 80, 84), (108, 106, 104)),
    "bank": ((128, 116, 92), (112, 110, 104)),
    "heap": ((120, 98, 72), (104, 112, 66), (136, 132, 126), (92, 88, 84)),
    "water": ((62, 78, 82), (70, 80, 68), (84, 88, 92), (52, 68, 90)),
    "sky": ((128, 140, 150), (118, 126, 128)),
    "tiles": ((150, 82, 62), (126, 74, 60), (104, 62, 52), (92, 92, 96), (124, 104, 88)),
    "metal": ((96, 128, 104), (120, 124, 128), (84, 96, 112), (132, 70, 58)),
    "bitumen": ((88, 88, 90), (104, 102, 98), (126, 122, 116)),
    "wall": ((196, 178, 136), (178, 150, 116), (146, 96, 76), (188, 186, 180), (150, 150, 148), (168, 158, 110)),
    "boards": ((136, 72, 56), (120, 104, 82), (150, 148, 142), (92, 108, 84), (90, 90, 96)),
    "glass": ((56, 64, 74), (70, 74, 78)),
    "leaves": ((74, 100, 52), (92, 112, 60), (62, 84, 52), (124, 120, 62), (136, 88, 58)),
    "needles": ((54, 78, 56), (66, 86, 62)),
    "bush": ((84, 108, 58), (98, 112, 70), (70, 92, 54), (128, 82, 66)),
    "lacquer": ((176, 176, 178), (200, 200, 198), (60, 62, 66), (110, 114, 120), (140, 48, 44),
                (54, 72, 110), (76, 96, 74)),
    "hull": ((206, 206, 202), (170, 172, 174), (134, 92, 62), (60, 76, 112), (138, 52, 48)),
    "deck": ((164, 132, 92), (190, 186, 176), (120, 104, 84)),
}  # fmt: skip

_DISTINCT: Final[Mapping[str, tuple[int, int, int]]] = {
    "grass": (150, 130, 90), "paving": (160, 145, 115), "road": (120, 110, 100), "bank": (140, 120, 90),
    "heap": (140, 115, 80), "water": (40, 80, 150), "sky": (80, 130, 190), "tiles": (190, 70, 50),
    "metal": (200, 90, 60), "bitumen": (180, 80, 70), "wall": (220, 190, 120), "boards": (190, 110, 70),
    "glass": (200, 120, 90), "leaves": (50, 130, 40), "needles": (40, 110, 40), "bush": (60, 140, 50),
    "lacquer": (150, 50, 160), "hull": (230, 230, 235), "deck": (215, 215, 220),
}  # fmt: skip


def colour(material: str, palette: str, variety: float, rng: np.random.Generator) -> np.ndarray:
    """float64 [3]: the colour of one object: one of its material, brighter or darker by `variety` (r.m.s. of the
    logarithm), and a little of another shade."""
    choices = _CONFUSABLE[material]
    # Drawn either way: the same town has the same shapes in either palette.
    chosen = choices[int(rng.integers(len(choices)))]
    base = np.asarray(_DISTINCT[material] if palette == "distinct" else chosen, float)
    return base * np.exp(variety * rng.normal() + 0.2 * variety * rng.standard_normal(3))
