"""Every number that a simulated street depends on, with its unit and bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.simulation.shared_settings import KindSettings, Span, require_increasing

#: Classes of the pixels, in the order of their ids.
CLASSES = ("sky", "road", "sidewalk", "building", "vegetation", "car", "person")
#: Id of pixels that are not judged.
IGNORED = 255

Count = Annotated[tuple[int, int], Field(description="fewest and most, both included")]


class Objects(Strict):
    """What stands in the street, how much of it."""

    cars: Count = Field((1, 4), description="fewest and most cars")
    persons: Count = Field((1, 5), description="fewest and most persons")
    trees: Count = Field((1, 5), description="fewest and most trees")
    gaps: float = Field(0.25, ge=0, le=1, description="share of the plots along the street without a building")
    height: Span = Field((4.0, 16.0), description="of buildings, m")

    @model_validator(mode="after")
    def _ordered(self) -> Objects:
        for name in ("cars", "persons", "trees"):
            require_increasing(name, getattr(self, name), 0, 1000)
        require_increasing("height", self.height, 2, 200)
        return self


class Light(Strict):
    """From the scene to the numbers of a camera."""

    exposure: Span = Field((0.7, 1.15), description="factor on the light, flat between the two")
    cast: float = Field(0.04, ge=0, le=0.5, description="standard deviation of the factors on red, green, blue")
    shade: float = Field(0.45, ge=0, lt=1, description="most light that a shadow on the ground takes away")
    fog: Span = Field((0.0, 0.15), description="share of the light from 50 m away that is fog instead")
    blur: float = Field(0.5, ge=0, le=20, description="standard deviation of the blur, pixels")
    noise: float = Field(6.0, ge=0, le=255, description="standard deviation of the noise, of 255")

    @model_validator(mode="after")
    def _ordered(self) -> Light:
        require_increasing("exposure", self.exposure, 0.01, 10)
        require_increasing("fog", self.fog, 0, 1)
        return self


class StreetSettings(KindSettings):
    """Settings of simulated streets: colours of the classes overlap, so that their shape and place have to tell."""

    shape: tuple[int, int] = Field((96, 144), description="rows and columns, pixels")
    horizon: Span = Field((0.38, 0.5), description="of the rows, those that are above the horizon, as a share")
    width: Span = Field((6.0, 9.0), description="of the road, m")
    sidewalk: Span = Field((1.5, 3.0), description="width of a sidewalk, m")
    alike: float = Field(
        0.5, ge=0, le=1, description="share of cars, clothes, leaves and skies in the greys and browns of the others"
    )
    border: int = Field(0, ge=0, le=20, description="pixels on either side of an edge between classes without a label")
    objects: Objects = Objects()
    light: Light = Light()

    @model_validator(mode="after")
    def _possible(self) -> StreetSettings:
        if min(self.shape) < 16 or max(self.shape) > 8192:
            raise ValueError(f"shape {self.shape}: expected 16 to 8192 pixels along each axis")
        require_increasing("horizon", self.horizon, 0.1, 0.9)
        require_increasing("width", self.width, 2, 50)
        require_increasing("sidewalk", self.sidewalk, 0.5, 20)
        return self
