"""Colours of classes of faces in a report: in words that say what they are, else those of curves in turn.

Those of SUM's classes are near its own (specification §2.2), but dark enough to be drawn as lines on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from weft.report.palette import SERIES_COLORS

_KNOWN = {
    "terrain": "#a6661e", "high vegetation": "#2f9e44", "building": "#e0a800", "water": "#18a5c9", "car": "#d63fb8",
    "boat": "#27349b",
}  # fmt: skip
#: Of a face without a class, and in the picture of what is wrong: right, wrong.
UNKNOWN, RIGHT, WRONG = "#b9b4a6", "#c9d3dc", "#d1242f"


def class_colours(classes: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Name and colour ("#rrggbb") of each class, by number."""
    taken = {_known(name) for name in classes}
    others = cycle([colour for colour in SERIES_COLORS if colour not in taken])
    return {k: (name, _known(name) or next(others)) for k, name in enumerate(classes)}


def _known(name: str) -> str | None:
    return _KNOWN.get(name.lower().replace("_", " "))
