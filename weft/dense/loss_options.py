"""Options of the losses on volumes. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from weft.config.strict import Strict

Term = Literal["cross_entropy", "focal", "dice", "generalised_dice"]


class LossOptions(Strict):
    """The sum over the heads of a network of ``loss_weight`` times a sum of losses (spec §3).

    The defaults are the original's "Aux", but for its division by voxels that do not count.
    """

    terms: dict[Term, Annotated[float, Field(gt=0)]] = Field(
        {"cross_entropy": 1.0},
        min_length=1,
        description="losses and their factors, such as {cross_entropy: 1, dice: 1}; null: not this one",
    )
    loss_weight: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (1.0, 1.0, 1.0), min_length=1, description="of the output and of the auxiliary heads"
    )
    normalise: Literal["cost", "voxels"] = Field(
        "cost", description="what sums over voxels are divided by: their costs, or their number, cost 0 included"
    )
    ignore_index: int | None = Field(None, ge=0, description="class whose voxels do not count; -1 never does")
    focal_gamma: float = Field(2.0, ge=0, description="of focal: how little voxels count that are right already")
    dice_background: bool = Field(True, description="whether the Dice losses count class 0")
    vae_weight: float = Field(0.1, ge=0, description="of the loss that SegResNetVAE has of its own")

    @field_validator("terms", mode="before")
    @classmethod
    def _given(cls, terms: Any) -> Any:
        return (
            {name: factor for name, factor in terms.items() if factor is not None} if isinstance(terms, dict) else terms
        )

    @model_validator(mode="after")
    def _something_counts(self) -> LossOptions:
        if self.loss_weight[0] == 0:
            raise ValueError("loss_weight: the first is of the output itself, and must not be 0")
        return self
