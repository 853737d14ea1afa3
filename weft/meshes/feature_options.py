"""Which features of a face a network reads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from weft.config.strict import Strict

Positions = Literal["none", "bbox", "cluster", "mesh"]


class FeatureOptions(Strict):
    """The features of a face, in the order of the columns (:func:`weft.meshes.features.feature_names`)."""

    positions: Positions = Field(
        "cluster",
        description="of the three corners: as a share of the box around the mesh (bbox), in m from the centre of the "
        "cluster, in m from the centre of the mesh, or none",
    )
    normals: bool = Field(True, description="the unit normal of the face")
    surface: bool = Field(True, description="slope, height over the ground, roughness")
    scaling: Literal["physical", "mesh"] = Field(
        "physical",
        description="angles in units of pi and log(1 + area in m2), or both as shares of the range over the mesh, as "
        "NoMeFormer has them",
    )
