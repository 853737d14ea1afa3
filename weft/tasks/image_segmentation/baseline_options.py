"""Options of the trees that networks on pictures are compared with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from weft.config.strict import Strict


class BaselineOptions(Strict):
    """Gradient-boosted trees on the colour, the place and the surroundings of a pixel."""

    iterations: int = Field(100, ge=1, description="boosting iterations; each adds one tree per class")
    learning_rate: float = Field(0.12, gt=0, description="shrinkage of each tree")
    leaves: int = Field(31, ge=2, description="most leaves of a tree")
    min_leaf: int = Field(40, ge=1, description="fewest training pixels of a leaf")
    l2: float = Field(1.0, ge=0, description="L2 regularisation of the leaf values")
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class weighs the same in the fit, which trades precision for recall"
    )
    max_pixels: int = Field(200_000, ge=1, description="most training pixels; more are thinned at random")
    per_image: int = Field(
        200, ge=1, description="most training pixels of one class in one image; each stands for those left out"
    )
