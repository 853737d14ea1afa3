"""Options of the loss on faces. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from weft.config.strict import Strict

Term = Literal["cross_entropy", "focal", "dice"]


class LossOptions(Strict):
    """A sum of losses over the faces that have a label (spec §8)."""

    terms: dict[Term, Annotated[float, Field(gt=0)]] = Field(
        {"cross_entropy": 1.0},
        min_length=1,
        description="losses and their factors, such as {cross_entropy: 0.5, dice: 0.5}; null: not this one",
    )
    faces: Literal["count", "area"] = Field(
        "count", description="whether every face weighs the same, or each its area, as where scores are by area"
    )
    class_weight: Literal["none", "inverse", "inverse_offset", "effective_number"] = Field(
        "none",
        description="of cross_entropy and focal, by the share f of a class in the training meshes (of faces, or of "
        "area, as faces says): 1, 1/f, 1/(f + 0.02), or by the effective number of its faces (Cui et al., CVPR 2019)",
    )
    effective_beta: float = Field(0.9999, gt=0, lt=1, description="beta of effective_number")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of cross_entropy: share that other classes are given")
    focal_gamma: float = Field(2.0, ge=0, description="of focal: how little faces count that are right already")

    @field_validator("terms", mode="before")
    @classmethod
    def _given(cls, terms: Any) -> Any:
        return (
            {name: factor for name, factor in terms.items() if factor is not None} if isinstance(terms, dict) else terms
        )
