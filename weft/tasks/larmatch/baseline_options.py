"""Options of the baseline of LArMatch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from weft.config.strict import Strict


class BaselineOptions(Strict):
    """A perceptron that sees the charges of a triplet's three pixels and whether they are dead, and nothing around."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((32, 32), description="units of each hidden layer")
    epochs: int = Field(
        20, ge=1, description="passes over the training triplets, at most; fewer where it gains nothing"
    )
    learning_rate: float = Field(2e-3, gt=0, description="Adam, learning rate")
    l2: float = Field(1e-4, ge=0, description="L2 regularisation of the weights")
    per_event: int = Field(
        200,
        ge=1,
        description="most training triplets of an event, good and ghosts each; each stands for those left out",
    )
    max_triplets: int = Field(
        50_000, ge=1, description="most training triplets, good and ghosts each; more are thinned at random"
    )
