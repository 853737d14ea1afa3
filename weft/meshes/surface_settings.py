"""How heights over the ground and roughness are measured; options name them without what computes them."""

from __future__ import annotations

from typing import Literal, NamedTuple

Ground = Literal["local", "plane"]


class SurfaceSettings(NamedTuple):
    """How heights and roughness are measured."""

    ground: Ground = "local"
    """`local` follows hills, `plane` is one plane through the lowest vertices, as NoMeFormer has it"""
    ground_cell: float = 1.0
    """m, cells of the local ground"""
    ground_radius: float = 20.0
    """m, half the width of the widest buildings"""
    roughness_radius: float = 2.0
    """m, how far a face's surroundings reach"""
    ground_slope: float = 0.2
    """height over length, of the steepest ground"""


#: For towns: blocks of 40 m, hills of 20 %, roughness at the scale of a car.
DEFAULT = SurfaceSettings()
