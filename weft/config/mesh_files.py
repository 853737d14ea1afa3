"""How files of meshes become events: options of a dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.errors import WeftError
from weft.io.mesh_options import MeshReading, class_table
from weft.meshes.surface_settings import DEFAULT, Ground


class MeshFileOptions(Strict):
    """Which label of the files is which class, and what is measured of faces while they are converted."""

    label_map: dict[int, int] | None = Field(
        None,
        description="class 0, 1, … of each label of the files; labels that are not in it are not valid. "
        "null: in the order in which classes.txt or the headers name them, or as they are where nothing does",
    )
    classes: tuple[str, ...] = Field((), description="names of the classes 0, 1, …, where the files do not say them")
    label_property: str | None = Field(
        None, description="of the faces of a PLY; null: label, cls, class or classification"
    )
    max_pixels: int = Field(256, ge=1, description="of a texture, that are kept under a face; the others are noted")
    texture_wrap: Literal["repeat", "clamp"] = Field(
        "repeat", description="what coordinates of texture beyond 0 and 1 mean: the texture again, or its border"
    )
    ground: Ground = Field(
        DEFAULT.ground, description="what heights are measured from: a ground that follows hills, or one plane"
    )
    ground_cell: float = Field(DEFAULT.ground_cell, gt=0, description="of the local ground, m")
    ground_radius: float = Field(DEFAULT.ground_radius, gt=0, description="half the width of the widest buildings, m")
    ground_slope: float = Field(DEFAULT.ground_slope, ge=0, description="of the steepest ground, height over length")
    roughness_radius: float = Field(
        DEFAULT.roughness_radius, gt=0, description="how far the surroundings of a face reach, m"
    )

    @model_validator(mode="after")
    def _consistent(self) -> MeshFileOptions:
        if self.label_map is not None:
            if not self.label_map or min(self.label_map.values()) < 0:
                raise ValueError("label_map: classes are 0 and above, and at least one")
            try:
                class_table(self.reading(), {})
            except WeftError as error:
                raise ValueError(str(error)) from None
        return self

    def reading(self) -> MeshReading:
        """As the conversion takes it."""
        return MeshReading(**{name: getattr(self, name) for name in MeshReading._fields})
