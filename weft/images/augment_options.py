"""How training pictures are varied. Every one is off where it is not asked for."""

from __future__ import annotations

from pydantic import Field

from weft.config.strict import Strict


class AugmentOptions(Strict):
    """Variations of a picture in training; its mask follows where pixels move."""

    horizontal_flip: bool = Field(True, description="mirror left and right, every other time")
    vertical_flip: bool = Field(False, description="mirror top and bottom, every other time")
    brightness: float = Field(0.0, ge=0, le=1, description="factor on the light, flat within 1 ± this")
    contrast: float = Field(
        0.0, ge=0, le=1, description="factor on the distance from the mean grey, flat within 1 ± this"
    )
    saturation: float = Field(0.0, ge=0, le=1, description="factor on the distance from grey, flat within 1 ± this")
    hue: float = Field(0.0, ge=0, le=0.5, description="turns of the colour circle, flat within ± this")
