"""What the labels of triplets are made with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from weft.config.strict import Strict
from weft.triplets.semantic_schema import PARTICLES, SemanticSchema, load_schema

#: True products that are read, by the form of the truth (`weft.triplets.stored_truth`).
TRUE_PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "deposits": ("wire_deposits", "particles"),
    "pixels": ("pixel_truth", "particles"),
    "triplets": ("triplet_truth", "triplet_labels"),
}


def _named(value: Any) -> Any:
    """What a named schema says, so that who knows the options knows the classes."""
    return load_schema(value) if isinstance(value, str) else value


class TruthOptions(Strict):
    """When a triplet is a point."""

    # As many as a pixel needs to be above the threshold of 10 ADC. The half of them that falls into the pixel itself is
    # twice the noise of an induction wire, and from here on the number of true cells does not depend on how finely a
    # simulation follows the tails of diffusion (docs/larmatch_labels.md).
    min_electrons: float = Field(
        2000.0,
        ge=0,
        description="electrons that make a triplet good; where fewer arrived its truth is unknown, where none did it "
        "is a ghost. What a file states of its own triplets stands (`truth: triplets`)",
    )


class LabelOptions(TruthOptions):
    """True labels of triplets (docs/larmatch_labels.md)."""

    truth: Literal["deposits", "pixels", "triplets"] = Field(
        "deposits",
        description="where the truth is from: `wire_deposits`, `pixel_truth`, or labels of triplets in a file",
    )
    classes: Annotated[SemanticSchema, BeforeValidator(_named)] = Field(
        PARTICLES, description="semantic classes: name of a file in config/labels, its path, or what it would say"
    )
    sigma: float = Field(3.0, gt=0, le=100, description="width of the key-point score exp(−d²/2σ²), cm")
    floor: float = Field(0.01, gt=0, lt=1, description="key-point scores below are 0; from there on there is no shift")
    track_pixels: int = Field(3, ge=1, description="fewest pixels in its best plane of a track with a start and an end")
    shower_pixels: int = Field(
        10, ge=1, description="fewest pixels in its best plane of a shower, Michel electron or delta ray with a start"
    )
    reach: float = Field(
        3.0, gt=0, description="a key point counts where charge of its own arrived within this distance, cm"
    )
    affinity_radius: float = Field(
        2.0, gt=0, le=20, description="the direction of a track is that of its charge within, cm"
    )
    boundary_weight: float = Field(2.0, ge=1, description="weight of triplets with a neighbour of another class")
    vertex_weight: float = Field(5.0, ge=1, description="weight of triplets near a neutrino vertex")
    vertex_radius: float = Field(3.0, ge=0, description="what is near a neutrino vertex, cm; 0: nothing")
    origin: tuple[float, float, float] = Field(
        (0.0, 0.0, 0.0), description="where in the detector the origin of the particles' coordinates lies, cm"
    )

    @property
    def products(self) -> tuple[str, ...]:
        """The true products that labels are made of."""
        return TRUE_PRODUCTS[self.truth]

    @property
    def cut(self) -> float:
        """cm: from this distance on a key point's score is 0."""
        return self.sigma * math.sqrt(-2 * math.log(self.floor))
