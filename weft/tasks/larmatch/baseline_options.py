"""Options of the baseline of LArMatch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from weft.config.strict import Strict


class PerceptronOptions(Strict):
    """Layers of units between the numbers of a triplet and the answer."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 64), description="units of each hidden layer")
    epochs: int = Field(
        20, ge=1, description="passes over the training triplets, at most; fewer where it gains nothing"
    )
    learning_rate: float = Field(2e-3, gt=0, description="Adam, learning rate")
    l2: float = Field(1e-4, ge=0, description="L2 regularisation of the weights")


class TreeOptions(Strict):
    """Gradient-boosted trees."""

    iterations: int = Field(200, ge=1, description="boosting iterations; each adds one tree per number that is said")
    learning_rate: float = Field(0.1, gt=0, description="shrinkage of each tree")
    leaves: int = Field(31, ge=2, description="most leaves of a tree")
    min_leaf: int = Field(50, ge=1, description="fewest training triplets of a leaf")
    l2: float = Field(1.0, ge=0, description="L2 regularisation of the leaf values")


class BaselineOptions(Strict):
    """What is known of a triplet by itself, and nothing of its surroundings in the images.

    With `kind: perceptron`, `multiplicity: false` and `drift: false` it is the perceptron on three charges alone.
    """

    kind: Literal["perceptron", "trees"] = Field("perceptron", description="what learns from it")
    multiplicity: bool = Field(
        True, description="it is told how many triplets of the event lead through each of the three pixels"
    )
    drift: bool = Field(
        True,
        description="it is told x, how far charge has drifted that came at time zero; the network is not. Turn it off "
        "for events with charge of other times",
    )
    perceptron: PerceptronOptions = Field(PerceptronOptions(), description="of the kind perceptron")
    trees: TreeOptions = Field(TreeOptions(), description="of the kind trees")
    per_event: int = Field(
        500,
        ge=1,
        description="most training triplets of an event, good and ghosts each; each stands for those left out",
    )
    max_triplets: int = Field(
        100_000, ge=1, description="most training triplets, good and ghosts each; more are thinned at random"
    )
