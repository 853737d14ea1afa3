"""Options of the space-points task."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.triplets.label_options import LabelOptions

Head = Literal["key_points", "semantics", "affinity", "shift"]
#: As `weft.io.larmatch_products.KEY_POINT_KINDS`, in this order.
Kind = Literal["nu_vertex", "track_start", "track_end", "shower_start", "michel", "delta"]
Share = Annotated[float, Field(ge=0, le=1)]


class KeyPointOptions(Strict):
    """Key points by weighted non-maximum suppression of the scores of space points."""

    radius: float = Field(3.0, gt=0, description="cm; a key point has no better triplet this near")
    min_larmatch: float = Field(0.5, ge=0, le=1, description="triplets of a lower larmatch score say nothing")
    min_score: Share | dict[Kind, Share] = Field(
        0.5, description="triplets of a lower key-point score say nothing; one for all kinds, or one for each by name"
    )
    min_support: int = Field(6, ge=1, description="fewest triplets within the radius that say so, itself included")

    @property
    def least(self) -> list[float]:
        """The least key-point score of each kind."""
        value = self.min_score
        return [value[kind] if isinstance(value, dict) else value for kind in get_args(Kind)]

    @model_validator(mode="after")
    def _complete(self) -> KeyPointOptions:
        missing = [kind for kind in get_args(Kind) if isinstance(self.min_score, dict) and kind not in self.min_score]
        if missing:
            raise ValueError(f"min_score: no value for {', '.join(missing)}")
        return self


class ModelOptions(Strict):
    """Which triplets become space points, what these carry, and where key points are."""

    min_score: float = Field(0.5, ge=0, le=1, description="triplets of a lower larmatch score are no space points")
    best_per_pixel: Literal[0, 1, 2] | None = Field(
        None, description="of each pixel of this plane only the triplet of the highest score is kept; null: all"
    )
    heads: tuple[Head, ...] = Field(
        ("key_points", "semantics", "affinity"),
        description="what of the network's scores, beside larmatch, space points carry; it must have these heads",
    )
    key_points: KeyPointOptions | None = Field(
        KeyPointOptions(), description="how key points are found; null: none are"
    )

    @model_validator(mode="after")
    def _scored(self) -> ModelOptions:
        if self.key_points is not None and "key_points" not in self.heads:
            raise ValueError("heads: key points are found by the scores of the head key_points; add it, or set "
                             "key_points: null")  # fmt: skip
        return self


class DataOptions(Strict):
    """What is judged."""

    labels: LabelOptions = Field(
        LabelOptions(), description="true key points, and the names of the classes, as in the stage that is read"
    )


class BaselineOptions(Strict):
    """Key points without a network: where connected pieces of the cloud end."""

    eps: float = Field(1.2, gt=0, description="cm; space points so near hang together")
    min_size: int = Field(10, ge=2, description="smaller pieces have no key points")
    straight: float = Field(
        0.9, ge=0, le=1, description="pieces with at least this share of their spread along one line are tracks"
    )
    vertex_radius: float = Field(3.0, gt=0, description="cm; so near ends of different pieces make a vertex")


class Options(Strict):
    """Space points and key points from scores of triplets."""

    model: ModelOptions = ModelOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()
