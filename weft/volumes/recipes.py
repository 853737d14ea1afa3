"""Normalisation as a list of named steps, the integer recipes of the Trainer's configurations among them.

microscopy_segmentation spec §8. The same list stands in an experiment, in the checkpoint and in provenance. A step is
written ``{name: auto_contrast, below: 2.5, above: 10}``, or for short ``auto_contrast: [2.5, 10]``, ``background: 50``
(its options in their order) or just ``min_max``; one integer stands for a whole recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from weft.config.strict import Strict


class AutoContrast(Strict):
    """Clip to [max(m - below·s, min), min(m + above·s, max)] and scale that to [0, 1]; m, s: mean and standard
    deviation of the stack, min and max its extremes."""

    name: Literal["auto_contrast"] = Field(description="this step")
    below: float | None = Field(None, description="standard deviations below the mean; null: down to the minimum")
    above: float | None = Field(None, description="standard deviations above the mean; null: up to the maximum")
    high: float | None = Field(None, description="mean and deviation of values below this only")
    low: float | None = Field(None, description="mean and deviation of values above this only")


class Background(Strict):
    """Subtract a Gaussian blur (truncated at 3 sigma, edges repeated), then scale the extremes to 0 and 1."""

    name: Literal["background"] = Field(description="this step")
    sigma: float = Field(50.0, gt=0, description="of the blur along all axes, voxels")


class Percentile(Strict):
    """Scale two percentiles of the stack to 0 and 1."""

    name: Literal["percentile"] = Field(description="this step")
    low: float = Field(0.1, ge=0, lt=100, description="percentile that becomes 0")
    high: float = Field(99.9, gt=0, le=100, description="percentile that becomes 1")
    clip: bool = Field(True, description="cut off what lies beyond")

    @model_validator(mode="after")
    def _ordered(self) -> Percentile:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")
        return self


class ZScore(Strict):
    """Subtract the mean of the stack, divide by its standard deviation."""

    name: Literal["z_score"] = Field(description="this step")


class MinMax(Strict):
    """Scale the extremes of the stack to 0 and 1."""

    name: Literal["min_max"] = Field(description="this step")


class Clip(Strict):
    """Cut off intensities at fixed values."""

    name: Literal["clip"] = Field(description="this step")
    low: float | None = Field(None, description="lowest value that stays; null: all")
    high: float | None = Field(None, description="highest value that stays; null: all")

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")
        return self


class Outliers(Strict):
    """Set what is brighter than a fixed value, such as a dead pixel, to the minimum of the stack."""

    name: Literal["outliers"] = Field(description="this step")
    above: float = Field(description="intensity")


class Log(Strict):
    """ln(1 + (intensity - minimum of the stack) / scale)."""

    name: Literal["log"] = Field(description="this step")
    scale: float = Field(1.0, gt=0, description="intensity, where the logarithm takes over from a straight line")


Step = AutoContrast | Background | Percentile | ZScore | MinMax | Clip | Outliers | Log
_STEPS: Mapping[str, type[Strict]] = {
    str(kind.model_fields["name"].annotation.__args__[0]): kind for kind in Step.__args__
}
#: Names in configurations of the Trainer.
_OTHER_NAMES = {"background_sub": "background"}

#: The Trainer's recipes by number. Its recipe 0 had no effect, by a slip; ours scales.
RECIPES: Mapping[int, tuple[Mapping[str, Any], ...]] = {
    0: ({"min_max": None},),
    1: ({"auto_contrast": [2, 11]},),
    2: ({"auto_contrast": [2.5, 10]},),
    4: ({"auto_contrast": [1, 15]},),
    7: ({"auto_contrast": [1, 6]},),
    10: ({"auto_contrast": [None, 25]},),
    11: ({"background": 50},),
    12: ({"background": 50}, {"auto_contrast": [2.5, 10]}),
    13: ({"background": 50}, {"auto_contrast": [2, 11]}),
    14: ({"auto_contrast": [1, 10]},),
    15: ({"outliers": 4000}, {"background": 50}),
    16: ({"background": 50}, {"auto_contrast": [1.5, 6]}),
    17: ({"background": 50}, {"auto_contrast": [1, 10]}),
    18: ({"background": 50}, {"auto_contrast": [1.5, 10]}),
}


def _expanded(value: Any) -> Any:
    """Any way to write a recipe as a list of mappings with a ``name``."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value not in RECIPES:
            raise ValueError(f"there is no recipe {value}; recipes are {', '.join(map(str, RECIPES))}")
        value = RECIPES[value]
    if isinstance(value, str | Mapping | Strict):
        value = [value]
    return [_step(item) for item in value] if isinstance(value, list | tuple) else value


def _step(item: Any) -> Any:
    if isinstance(item, str):
        return {"name": item}
    if not isinstance(item, Mapping) or "name" in item or len(item) != 1:
        return item
    written, given = next(iter(item.items()))
    name = _OTHER_NAMES.get(written, str(written))
    if given is None:
        return {"name": name}
    if isinstance(given, Mapping):
        return {"name": name, **given}
    if name not in _STEPS:
        raise ValueError(f"there is no step '{name}'; steps are {', '.join(_STEPS)}")
    keys = [key for key in _STEPS[name].model_fields if key != "name"]
    values = list(given) if isinstance(given, list | tuple) else [given]
    if len(values) > len(keys):
        raise ValueError(f"{name}: {len(values)} values for {', '.join(keys) or 'no options'}")
    return {"name": name, **dict(zip(keys, values, strict=False))}


Steps = Annotated[tuple[Annotated[Step, Field(discriminator="name")], ...], BeforeValidator(_expanded)]
"""The type of an option that holds a recipe; no step at all leaves the intensities as they are, in float32."""

_ADAPTER: TypeAdapter[tuple[Step, ...]] = TypeAdapter(Steps)


def recipe(value: Any) -> tuple[Step, ...]:
    """A recipe from an integer, a step, a list of steps, or what ``model_dump`` of it gave.

    Raises pydantic's ValidationError, which names the step, for what is none.
    """
    return _ADAPTER.validate_python(value)


#: Of a stage that says nothing else: no stack decides by its brightest voxel.
DEFAULT_RECIPE: tuple[Step, ...] = recipe([{"percentile": [0.1, 99.9]}])
