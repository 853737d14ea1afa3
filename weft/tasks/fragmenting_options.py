"""Options that the networks which divide voxels into fragments have in common: SPICE and Graph-SPICE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from weft.config.strict import Strict
from weft.io.products import CLASSES

ClassName = Literal["shower", "track", "michel", "delta"]
_NUMBER = {name: number for number, name in CLASSES.items()}


class EmbedderOptions(Strict):
    """A U-ResNet over voxels that knows where they are."""

    classes: tuple[ClassName, ...] = Field(
        ("shower", "track", "michel", "delta"), min_length=1, description="classes that are divided into fragments"
    )
    spatial_size: int = Field(
        768, ge=1, description="voxels along a side of the image: coordinates 0 to S become -1 to 1"
    )
    coord_conv: bool = Field(True, description="coordinates beside the charge at the input")
    filters: int = Field(32, ge=1, description="channels at full resolution; level l has filters·(l+1)")
    depth: int = Field(5, ge=1, description="resolution levels")
    reps: int = Field(2, ge=1, description="residual blocks a level")
    input_kernel: int = Field(5, ge=1, description="kernel size of the stem; 7 in SPICE of 2020")
    leak: float = Field(0.33, ge=0, description="negative slope of the leaky ReLU; 0 is a ReLU")
    norm_eps: float = Field(1e-4, gt=0, description="batch normalisation, epsilon")
    norm_momentum: float = Field(0.01, gt=0, le=1, description="batch normalisation, weight of the new batch")
    engine: Literal["auto", "numba", "torch", "minkowski"] = Field(
        "auto", description="sparse convolution engine; auto: numba on CPU, torch elsewhere (docs/sparse.md)"
    )

    @field_validator("classes")
    @classmethod
    def _once(cls, classes: tuple[ClassName, ...]) -> tuple[ClassName, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("each class once")
        return classes

    @property
    def class_numbers(self) -> tuple[int, ...]:
        return tuple(_NUMBER[name] for name in self.classes)


class DataOptions(Strict):
    """What the network sees, and how it is varied in training."""

    charge: Literal["log", "linear"] = Field(
        "log", description="log: 0.01 to 20 MeV mapped to -1 to 1 on a logarithmic scale; linear: MeV"
    )
    context: bool = Field(True, description="show the voxels of other classes too (2020); SPINE removes them first")
    break_clusters: bool = Field(True, description="pieces of a particle that do not touch are fragments of their own")
    proposals: bool = Field(
        False, description="showers start where `point_proposals` say, which the stage then needs; else by their shape"
    )
    flip: bool = Field(True, description="mirror each axis at random")
    rotate: bool = Field(True, description="permute the axes at random")
    shift: int = Field(16, ge=0, description="move by up to so many voxels either way")
    charge_jitter: float = Field(0.05, ge=0, description="relative spread of a common factor on the charge")


class BaselineOptions(Strict):
    """DBSCAN by class, cut where structures branch; what suits a class best is chosen on training events."""

    eps: tuple[float, ...] = Field((1.8, 2.9, 4.0, 6.0), min_length=1, description="distances to try, voxels")
    mask_radius: tuple[float, ...] = Field(
        (0.0, 1.0, 2.0), min_length=1, description="how much to set aside around branches, voxels; 0: no cut"
    )
    straight: tuple[float, ...] = Field(
        (0.85, 0.9, 0.93), min_length=1, description="linearities below which there is a branch"
    )
    min_size: int = Field(2, ge=1, description="fewest voxels of a fragment")
    events: int = Field(100, ge=1, description="most training events to choose on")


class FragmentingOptions(Strict):
    """What every such task has; each adds its network and its loss."""

    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()
