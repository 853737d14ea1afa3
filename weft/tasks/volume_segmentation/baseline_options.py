"""Options of the classical segmentation that networks are compared with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from weft.config.strict import Strict

Filter = Literal["intensity", "gaussian", "log", "vesselness", "plateness", "top_hat"]
Threshold = Literal["otsu", "li", "fitted"]
Micrometres = Annotated[float, Field(gt=0)]


class BaselineOptions(Strict):
    """A filter, then a threshold: of those listed the pair with the best Dice on training stacks, class by class."""

    filters: tuple[Filter, ...] = Field(
        ("intensity", "gaussian", "log", "vesselness", "plateness", "top_hat"),
        min_length=1,
        description="what is thresholded: the normalised intensity, blurred, or how much each voxel looks like the "
        "middle of a blob (log), a tube, a plate, or stands out of its surroundings",
    )
    scales: tuple[Micrometres, ...] = Field(
        (0.2, 0.4, 0.8),
        min_length=1,
        description="µm, sizes of the filters (sigma; of top_hat the radius); in voxels where their size is unknown",
    )
    thresholds: tuple[Threshold, ...] = Field(
        ("otsu", "li", "fitted"),
        min_length=1,
        description="of each stack by itself (otsu, li), or one for all that is best on the training stacks (fitted)",
    )
    background: float | None = Field(
        50.0,
        gt=0,
        description="voxels; also tried: the stack less a blur of this sigma before it is normalised; null: not",
    )
    most_stacks: int = Field(6, ge=1, description="training stacks that are looked at, the first ones")
