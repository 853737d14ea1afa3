"""How training pictures are varied. Every one is off where it is not asked for."""

from __future__ import annotations

from pydantic import Field

from weft.colours.jitter_options import Brightness, Contrast, Hue, Saturation
from weft.config.strict import Strict


class AugmentOptions(Strict):
    """Variations of a picture in training; its mask follows where pixels move."""

    horizontal_flip: bool = Field(True, description="mirror left and right, every other time")
    vertical_flip: bool = Field(False, description="mirror top and bottom, every other time")
    brightness: Brightness = 0.0
    contrast: Contrast = 0.0
    saturation: Saturation = 0.0
    hue: Hue = 0.0
