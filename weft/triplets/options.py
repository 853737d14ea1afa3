"""How candidates are searched."""

from __future__ import annotations

from pydantic import Field

from weft.config.strict import Strict


class TripletOptions(Strict):
    """The search for triplets; a training and a deploy need the same ones."""

    threshold: float = Field(10.0, description="a pixel is live from this charge on, ADC")
    use_dead: bool = Field(True, description="whether a dead wire may stand for one live pixel of the three")
    slack: float = Field(
        0.0, ge=0, le=2, description="widens what a wire sees on either side, wires; 0: points nearest to all three"
    )
    margin: float | None = Field(
        None, description="cm by which a triplet may lie outside the active box in y and z; null: anywhere"
    )
    max_per_row: int | None = Field(
        None, ge=1, description="triplets kept per row of the image, those without dead wires first; null: all"
    )
