"""Options of the refinement of masks by a conditional random field."""

from __future__ import annotations

from pydantic import Field

from weft.config.strict import Strict


class CrfOptions(Strict):
    """A conditional random field over each pixel and those around it, by mean-field steps."""

    iterations: int = Field(5, ge=1, le=100, description="mean-field steps")
    radius: int = Field(5, ge=1, le=50, description="pixels, how far a pixel looks along each axis")
    smooth_weight: float = Field(1.0, ge=0, description="of neighbours by their distance alone")
    smooth_width: float = Field(1.5, gt=0, description="standard deviation of that distance, pixels")
    colour_weight: float = Field(4.0, ge=0, description="of neighbours by their distance and colour")
    colour_width: float = Field(4.0, gt=0, description="standard deviation of that distance, pixels")
    colour_range: float = Field(0.08, gt=0, description="standard deviation of the colours, of full scale")
