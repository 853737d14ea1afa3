"""What a training starts from: weights of other stages and of files, for the whole network or parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from weft.config.strict import Strict

WHOLE = "all"
"""The module path that means a whole network."""


class Init(Strict, populate_by_name=True, serialize_by_alias=True):
    """Where the weights of a network, or of one part of it, come from."""

    source: str = Field(
        alias="from",
        description="a stage of this experiment, or a file: a model.ckpt, a checkpoint, or a state dict",
    )
    part: str | None = Field(
        None, description=f"module in the source, '{WHOLE}' for all of it; default: the one of the same name"
    )
    exclude: tuple[str, ...] = Field(
        (), alias="except", description="patterns of modules and parameters of this network that this init leaves alone"
    )

    @property
    def is_file(self) -> bool:
        """Names of stages have neither a slash nor a dot."""
        return "/" in self.source or "." in self.source

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        """``trunk: uresnet`` is short for ``trunk: {from: uresnet}``."""
        return {"from": given} if isinstance(given, str) else given


def by_part(given: Any) -> Any:
    """``init: uresnet`` is short for ``init: {all: uresnet}``, and so is ``init: {from: uresnet}``."""
    if isinstance(given, str) or (isinstance(given, Mapping) and "from" in given):
        return {WHOLE: given}
    return given
