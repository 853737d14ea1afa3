"""Options of the loss of LArMatch (specs/larmatch.md §5.3)."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from weft.config.strict import Strict

TermName = Literal["larmatch", "key_points", "semantics", "affinity", "shift"]
#: Terms of the loss: the heads by their names.
TERMS: tuple[TermName, ...] = get_args(TermName)


class HardExamples(Strict):
    """Triplets that the network gets wrong in this very step are heard more, good ones and ghosts alike."""

    share: float = Field(
        0.2, gt=0, le=0.3, description="they are at most this part of the sample, and have this part of its weight"
    )
    temperature: float = Field(
        1.0,
        ge=0,
        description="they are drawn with odds |p − y|^(1/temperature); 0: the worst ones, without drawing",
    )


class LarmatchTerm(Strict):
    """Good or ghost, of triplets whose truth is known."""

    weight: float = Field(1.0, gt=0, description="factor of the term")
    form: Literal["bce", "focal", "mse"] = Field(
        "bce",
        description="bce: cross-entropy; focal: |p − y|^gamma times it; mse: (p − y)²",
    )
    gamma: float = Field(2.0, ge=0, description="focal: power of the modulation")
    balance: bool = Field(
        True, description="good ones and ghosts of an event weigh ½ each, 1/(2n) a triplet; false: 1/n a triplet"
    )
    hard: HardExamples | None = Field(None, description="hard examples, chosen within the step")


class KeyPointTerm(Strict):
    """Square of the error of the six key-point scores of good triplets, summed over kinds."""

    weight: float = Field(1.0, gt=0, description="factor of the term")
    positive: float = Field(1e-3, ge=0, lt=1, description="true score above which a triplet is close to a key point")
    balance: bool = Field(
        True, description="by kind, close and far ones of an event weigh ½ each, 1/(2n) a triplet; false: 1/n a triplet"
    )


class SemanticTerm(Strict):
    """Cross-entropy of the classes of good triplets, weighted by class and by topology (`boundary` of the labels)."""

    weight: float = Field(1.0, gt=0, description="factor of the term")
    balance: float = Field(
        1.0,
        ge=0,
        le=1,
        description="a triplet weighs n_c^-balance, n_c of its class in the event: 1 each class the same",
    )
    gamma: float = Field(0.0, ge=0, description="focal modulation (1 − p)^gamma; 0: cross-entropy")


class AffinityTerm(Strict):
    """How far from the unit vector along the particle, of good triplets that have one."""

    weight: float = Field(1.0, gt=0, description="factor of the term")
    form: Literal["vector", "axis"] = Field(
        "vector",
        description="vector: square of the distance from it; axis: 1 − cos² of the angle, alike for both senses of "
        "motion, so that what is said is a line",
    )

    @model_serializer(mode="wrap")
    def _without_vector(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A training on vectors is the same training as before there were others, and is not made anew."""
        return {name: value for name, value in dump(self).items() if name != "form" or value != "vector"}


class ShiftTerm(Strict):
    """Huber loss of the way to the key points, of good triplets close to one."""

    weight: float = Field(1.0, gt=0, description="factor of the term")
    unit: float = Field(3.0, gt=0, description="cm; errors are counted in it, and up to it the loss is quadratic")


class Uncertainty(Strict):
    """Weights of the terms are learned: L·e^(−s) + s with s the log variance of a task (arXiv:1705.07115)."""

    rate: float = Field(0.1, gt=0, description="learning rate of the log variances, in units of the network's")
    initial: dict[TermName, float] = Field({}, description="log variances to begin with; 0 where none is given")


class LossOptions(Strict):
    """Sum of the terms of the heads that there are."""

    larmatch: LarmatchTerm = LarmatchTerm()
    key_points: KeyPointTerm = KeyPointTerm()
    semantics: SemanticTerm = SemanticTerm()
    affinity: AffinityTerm = AffinityTerm()
    shift: ShiftTerm = ShiftTerm()
    uncertainty: Uncertainty | None = Field(None, description="learn how much each term weighs; null: as given above")
