"""Options of the trees that networks on meshes are compared with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from weft.config.strict import Strict

Metres = Annotated[float, Field(gt=0, le=1000)]


class BaselineOptions(Strict):
    """Gradient-boosted trees on shape and colours of each face, of what the stage reads of them."""

    iterations: int = Field(150, ge=1, description="boosting iterations; each adds one tree per class")
    learning_rate: float = Field(0.1, gt=0, description="shrinkage of each tree")
    leaves: int = Field(31, ge=2, description="most leaves of a tree")
    min_leaf: int = Field(20, ge=1, description="fewest training faces of a leaf")
    l2: float = Field(1.0, ge=0, description="L2 regularisation of the leaf values")
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class weighs the same in the fit, which trades precision for recall"
    )
    radii: tuple[Metres, ...] = Field(
        (), description="m; what the faces within each of them are like on the mean is read too, as segments of SUM are"
    )
    max_faces: int = Field(200_000, ge=1, description="most training faces; more are thinned at random")
    per_mesh: int = Field(
        2000, ge=1, description="most training faces of one class in one mesh; each stands for those left out"
    )
