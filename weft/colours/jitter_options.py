"""What brightness, contrast, saturation and hue mean wherever they are options (:mod:`weft.colours.jitter`)."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field

Brightness = Annotated[float, Field(ge=0, le=1, description="factor on the light, flat within 1 ± this")]
Contrast = Annotated[
    float, Field(ge=0, le=1, description="factor on the distance from the mean grey, flat within 1 ± this")
]
Saturation = Annotated[float, Field(ge=0, le=1, description="factor on the distance from grey, flat within 1 ± this")]
Hue = Annotated[float, Field(ge=0, le=0.5, description="turns of the colour circle, flat within ± this")]


class Widths(Protocol):
    """Options that have all four; 0: left as it is."""

    @property
    def brightness(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def saturation(self) -> float: ...
    @property
    def hue(self) -> float: ...
