"""Options of the candidates task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.io.products import DELTA, MICHEL, SHOWER, TRACK

Instance = Literal["shower", "track", "particle"]
#: Classes of the fragments that each instance puts together.
CLASSES: dict[Instance, tuple[int, ...]] = {
    "shower": (SHOWER, MICHEL, DELTA),
    "track": (TRACK,),
    "particle": (SHOWER, TRACK, MICHEL, DELTA),
}


class ModelOptions(Strict):
    """Which groups make candidates, and where each of them starts."""

    groups: tuple[Instance, ...] = Field(
        ("shower", "track"),
        description="instances of GrapPA whose `<instance>_groups` are read; fragments that none of them took are "
        "candidates by themselves, as all non-showers were in 2020 (groups: [shower])",
    )
    primary: tuple[Instance, ...] = Field(
        ("shower",),
        description="those of them whose `<instance>_primary` says where a candidate starts; else, and where nobody "
        "said, in its largest fragment",
    )
    low_energy: Literal["drop", "attach"] = Field(
        "drop", description="voxels of low-energy scatters: left out, or part of the nearest candidate"
    )
    attach_distance: float = Field(10.0, gt=0, description="voxels; attach: those farther away are left out")

    @model_validator(mode="after")
    def _fitting(self) -> ModelOptions:
        if len(set(self.groups)) < len(self.groups):
            raise ValueError("groups: each instance once")
        if "particle" in self.groups and len(self.groups) > 1:
            raise ValueError("groups: particle takes all fragments, so it stands alone")
        for name in self.primary:
            if name not in self.groups:
                raise ValueError(f"primary: {name} is not one of the groups {', '.join(self.groups)}")
        return self

    @property
    def attached_within(self) -> float | None:
        """Voxels within which low-energy ones are attached; None where they are left out."""
        return self.attach_distance if self.low_energy == "attach" else None


class BaselineOptions(Strict):
    """Fragments that are near each other are one candidate; how near is chosen on training events."""

    distances: tuple[float, ...] = Field(
        (0.0, 2.0, 4.0, 8.0, 15.0, 30.0),
        min_length=1,
        description="voxels between the nearest voxels of two fragments; to choose from for showers and for tracks; "
        "0: every fragment is a candidate by itself",
    )
    events: int = Field(100, ge=1, description="most training events to choose on")


class Options(Strict):
    """Particle candidates from groups of fragments."""

    model: ModelOptions = ModelOptions()
    baseline: BaselineOptions = BaselineOptions()
