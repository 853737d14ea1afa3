"""How patches of stacks are varied in training, with the names of the Trainer's successor as shorthands.

An entry that is null is not done. ``probability`` is that of a patch. Intensities are those after normalisation, where
a stack lies about between 0 and 1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from weft.config.strict import Strict

Axis = Literal["z", "y", "x"]


class _Sometimes(Strict):
    probability: float = Field(0.2, gt=0, le=1, description="of a patch")


class _Between(_Sometimes):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> _Between:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not be more than high ({self.high:g})")
        return self


class Rotation(_Between):
    """By any angle in the plane."""

    low: float = Field(-180.0, ge=-180, le=180, description="degrees, smallest angle")
    high: float = Field(180.0, ge=-180, le=180, description="degrees, largest angle")


class Scaling(_Between):
    """Larger or smaller in the plane; slices stay as far apart as they are."""

    low: float = Field(0.7, gt=0, description="smallest factor")
    high: float = Field(1.4, gt=0, description="largest factor")


class Elastic(_Sometimes):
    """Smooth random displacement in the plane, the same in every slice."""

    displacement: float = Field(4.0, gt=0, description="voxels, standard deviation of the displacement of a node")
    distance: float = Field(32.0, ge=2, description="voxels between the nodes")


class Gamma(_Between):
    """Intensities between the extremes of the patch to a power."""

    low: float = Field(0.7, gt=0, description="smallest power")
    high: float = Field(1.5, gt=0, description="largest power")


class Brightness(_Between):
    """Add a number to all intensities."""

    low: float = Field(-0.1, description="smallest shift")
    high: float = Field(0.1, description="largest shift")


class Contrast(_Between):
    """Stretch intensities about their mean."""

    low: float = Field(0.75, gt=0, description="smallest factor")
    high: float = Field(1.25, gt=0, description="largest factor")


class Noise(_Between):
    """Add Gaussian noise."""

    low: float = Field(0.0, ge=0, description="smallest standard deviation")
    high: float = Field(0.1, ge=0, description="largest standard deviation")


class Blur(_Between):
    """Gaussian blur in the plane."""

    low: float = Field(0.5, gt=0, description="voxels, smallest sigma")
    high: float = Field(1.0, gt=0, description="voxels, largest sigma")


class BiasField(_Sometimes):
    """Multiply by exp of a random cubic polynomial of the coordinates: uneven illumination."""

    strength: float = Field(
        0.5, gt=0, description="largest coefficient of the polynomial, over coordinates from -1 to 1"
    )


class LowResolution(_Between):
    """Take fewer voxels in the plane and interpolate them back."""

    low: float = Field(1.0, ge=1, description="smallest factor between voxels")
    high: float = Field(2.0, ge=1, description="largest factor")


#: Names of the Trainer's successor, and what they stand for.
SHORT: dict[str, dict[str, Any]] = {
    "RR": {"rotate": {"probability": 0.5}},
    "RF": {"flip": ["z", "y", "x"]},
    "RN": {"noise": {}},
    "RI": {"brightness": {}},
    "RBF": {"bias_field": {}},
}


class AugmentOptions(Strict):
    """Symmetries and deformations move image, labels and cost together; the others change the image alone.

    A list of names, such as [RR, RF, RN, RI, RBF] or [rotate, noise], takes these with their defaults and nothing else.
    """

    flip: tuple[Axis, ...] = Field(("y", "x"), description="axes that are mirrored, each in half of the patches")
    turn: bool = Field(True, description="turn the plane by 0, 90, 180 or 270 degrees")
    rotate: Rotation | None = Field(None, description="by any angle in the plane")
    scale: Scaling | None = Field(None, description="in the plane")
    elastic: Elastic | None = Field(None, description="smooth deformation of the plane")
    gamma: Gamma | None = Field(None, description="power of the intensities")
    brightness: Brightness | None = Field(None, description="shift of the intensities")
    contrast: Contrast | None = Field(None, description="stretching of the intensities")
    noise: Noise | None = Field(None, description="Gaussian noise")
    blur: Blur | None = Field(None, description="in the plane")
    bias_field: BiasField | None = Field(None, description="uneven illumination")
    low_resolution: LowResolution | None = Field(None, description="coarser voxels")


def _listed(given: Any) -> Any:
    """A list of names as the options that they stand for."""
    if not isinstance(given, list | tuple):
        return given
    made: dict[str, Any] = {"flip": (), "turn": False}
    for name in given:
        if name in SHORT:
            made |= SHORT[name]
        elif name == "flip":
            made |= SHORT["RF"]
        elif name == "turn":
            made["turn"] = True
        elif name in AugmentOptions.model_fields:
            made[str(name)] = {}
        else:
            known = [*SHORT, *AugmentOptions.model_fields]
            raise ValueError(f"there is no augmentation '{name}'; there are: {', '.join(known)}")
    return made


Augmentations = Annotated[AugmentOptions, BeforeValidator(_listed)]
"""The type of an option that says how patches are varied."""
