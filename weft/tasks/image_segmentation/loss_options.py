"""Options of the loss on pictures. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from weft.config.strict import Strict

Term = Literal["cross_entropy", "focal", "dice"]


class LossOptions(Strict):
    """A sum of losses over the pixels that have a label."""

    terms: dict[Term, Annotated[float, Field(gt=0)]] = Field(
        {"cross_entropy": 1.0},
        min_length=1,
        description="losses and their factors, such as {cross_entropy: 0.5, dice: 0.5}; null: not this one",
    )
    class_weights: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None, description="what a pixel of each class counts in cross_entropy and focal; null: all the same"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="of cross_entropy: share of the label that is spread over all classes"
    )
    focal_gamma: float = Field(2.0, ge=0, description="of focal: how little pixels count that are right already")

    @field_validator("terms", mode="before")
    @classmethod
    def _given(cls, terms: Any) -> Any:
        return (
            {name: factor for name, factor in terms.items() if factor is not None} if isinstance(terms, dict) else terms
        )
