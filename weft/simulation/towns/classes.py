"""Classes of SUM: their ids in the file and the colours of their faces (specification §2.2)."""

from __future__ import annotations

from typing import Final

UNCLASSIFIED: Final = 0
TERRAIN: Final = 1
VEGETATION: Final = 2
BUILDING: Final = 3
WATER: Final = 4
CAR: Final = 5
BOAT: Final = 6

NAMES: Final = ("unclassified", "terrain", "high vegetation", "building", "water", "car", "boat")
COLOURS: Final = ((0, 0, 0), (170, 85, 0), (0, 255, 0), (255, 255, 0), (0, 255, 255), (255, 0, 255), (0, 0, 153))
