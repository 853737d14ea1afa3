"""How meshes are varied in training.

Changes of geometry are those of a whole sample. Nothing is done where an option is 0, null, empty or false.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.colours.jitter_options import Brightness, Contrast, Hue, Saturation
from weft.config.strict import Strict


class Scaling(Strict):
    """Larger or smaller, the same along all axes."""

    low: float = Field(0.9, gt=0, description="smallest factor")
    high: float = Field(1.1, gt=0, description="largest factor")

    @model_validator(mode="after")
    def _ordered(self) -> Scaling:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not be more than high ({self.high:g})")
        return self


class ColourJitter(Strict):
    """Of all pixels of a sample alike, in a random order."""

    brightness: Brightness = 0.2
    contrast: Contrast = 0.2
    saturation: Saturation = 0.2
    hue: Hue = 0.1


class AugmentOptions(Strict):
    """Rotation and mirrors are applied to every sample, so that a network sees no preferred direction on the map."""

    probability: float = Field(1.0, ge=0, le=1, description="of a sample that its geometry is varied at all")
    rotate: float = Field(180.0, ge=0, le=180, description="degrees, largest turn about the vertical, either way")
    tilt: float = Field(0.0, ge=0, le=45, description="degrees, largest turn about a horizontal axis")
    scale: Scaling | None = Field(Scaling(), description="larger or smaller")
    jitter: float = Field(0.0, ge=0, description="m, standard deviation of what is added to coordinates of vertices")
    mirror: tuple[Literal["x", "y"], ...] = Field(
        ("x", "y"), description="axes that are mirrored, each in half of the samples"
    )
    colour: ColourJitter | None = Field(ColourJitter(), description="of the texture")
    texture_drop: float = Field(0.1, ge=0, lt=1, description="share of faces that lose their texture")
    cluster_drop: float = Field(0.0, ge=0, lt=1, description="share of clusters that are left out")
    face_drop: float = Field(
        0.0, ge=0, lt=1, description="share of faces that are left out, as where a mesh is damaged"
    )
