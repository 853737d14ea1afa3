"""What the settings of all simulations have in common: how they are read, and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from weft.config.loading import merge, validate
from weft.config.strict import Strict

#: Lowest and highest, both included.
Span = tuple[float, float]


class KindSettings(Strict):
    """All settings of one kind of simulation; every one has a default."""

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str = "simulation settings") -> Self:
        """Settings from plain values (YAML), nested, over the defaults; lists are replaced whole.

        Args:
            values: what differs from the defaults.
            source: where the values are from, for errors.

        Raises:
            ConfigError: in one line, the first key that is wrong, why, and the closest known one.
        """
        return validate(cls, merge(cls().model_dump(), values), source)


def require_increasing(name: str, span: Span, least: float, most: float) -> None:
    """Raise ValueError, as a validator does, where a span runs downwards or reaches beyond its bounds."""
    if not least <= span[0] <= span[1] <= most:
        raise ValueError(f"{name} ({span[0]:g}, {span[1]:g}): expected {least:g} <= lowest <= highest <= {most:g}")
