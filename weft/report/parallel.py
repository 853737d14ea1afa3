"""Parallel coordinates: what was varied on upright axes side by side, what came out on the last one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import LogLocator, MaxNLocator

from weft.report.tables import format_number

MANY = 8
"""different values of a key from which on its axis has a scale instead of one place for each"""
TOP, BOTTOM, LEFT, RIGHT = 46.0, 270.0, 80.0, 110.0
ACROSS, LEAST_GAP = 600.0, 130.0
"""width that the axes share, and the least between two of them"""
FAN = 5.0
"""between two lines through the same place, so that each can be followed"""


@dataclass(frozen=True)
class Line:
    """One line: its name, the value on each axis, and what came out, once or once for each seed."""

    name: str
    values: Mapping[str, Any]
    outcome: Sequence[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.outcome))


def parallel_coordinates(lines: Sequence[Line], outcome: str, chosen: str) -> str:
    """One ``<svg>`` of lines from value to value and on to the ``outcome``; the line of the name ``chosen`` stands out.

    Stronger lines came out higher. Pointing at a line shows its numbers. Values that all lines share get no axis.
    """
    lines = sorted(lines, key=lambda line: line.mean)
    axes = {key: _places([line.values[key] for line in lines]) for key in lines[0].values}
    axes = {key: axis for key, axis in axes.items() if len(set(axis[0])) > 1}
    columns = [_fanned(places, bool(ticks)) for places, ticks in axes.values()]
    ends, end_ticks = _scale([line.mean for line in lines], [x for line in lines for x in line.outcome])
    columns.append([_y(end) for end in ends])
    gap = max(LEAST_GAP, ACROSS / (len(columns) - 1)) if len(columns) > 1 else 0.0
    x = [LEFT + gap * k for k in range(len(columns))]
    labels = [*axes, outcome]
    ticks = [*(marks for _, marks in axes.values()), end_ticks]
    axes_drawn = Markup("").join(_axis(*part, last=part[0] == x[-1]) for part in zip(x, labels, ticks, strict=True))
    drawn = Markup("")
    low, high = end_ticks[0][1], end_ticks[-1][1]
    for k, line in enumerate(lines):
        strength = 0.3 + 0.5 * k / max(1, len(lines) - 1)
        points = list(zip(x, (column[k] for column in columns), strict=True))
        seeds = [_y(_share(value, low, high)) for value in line.outcome] if len(line.outcome) > 1 else []
        drawn += _curve(line, outcome, points, seeds, 1.0 if line.name == chosen else strength, line.name == chosen)
    width, height = x[-1] + RIGHT, BOTTOM + 40
    title = (
        f"Parallel coordinates of {len(lines)} points, from {', '.join(axes)} to {outcome}; the table has the numbers"
    )
    return Markup(
        '<svg class="parallel" viewBox="0 0 {w:.0f} {h:.0f}" width="{pw:.0f}pt" height="{ph:.0f}pt" role="img">'
        "<title>{title}</title>{drawn}{axes}</svg>"
    ).format(w=width, h=height, pw=0.75 * width, ph=0.75 * height, title=title, drawn=drawn, axes=axes_drawn)


Ticks = list[tuple[float, Any]]
"""(height between 0 and 1, value)"""


def _places(values: Sequence[Any]) -> tuple[list[float], Ticks]:
    """The height of each value between 0 and 1, and the ticks of their axis."""
    different = {repr(value): value for value in values}
    numbers = all(isinstance(value, Real) and not isinstance(value, bool) for value in different.values())
    if numbers and len(different) > MANY:
        return _scale(values, values, logarithmic=min(values) > 0 and max(values) >= 30 * min(values))
    order = sorted(different, key=different.__getitem__) if numbers else list(different)
    height = {text: k / max(1, len(order) - 1) for k, text in enumerate(order)}
    return [height[repr(value)] for value in values], [(height[text], different[text]) for text in order]


def _scale(values: Sequence[float], span: Sequence[float], logarithmic: bool = False) -> tuple[list[float], Ticks]:
    """Heights on a scale from tick to tick around all of ``span``."""
    low, high = float(min(span)), float(max(span))
    if high == low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    locator = LogLocator(subs=(1.0, 3.0)) if logarithmic else MaxNLocator(5)
    marks = [float(mark) for mark in locator.tick_values(low, high)]
    inner = [mark for mark in marks if low < mark < high]
    marks = [max(mark for mark in marks if mark <= low), *inner, min(mark for mark in marks if mark >= high)]
    shape = math.log if logarithmic else float
    ends = shape(marks[0]), shape(marks[-1])
    return [_share(shape(v), *ends) for v in values], [(_share(shape(mark), *ends), mark) for mark in marks]


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _fanned(places: Sequence[float], spread: bool) -> list[float]:
    """Lines through one place side by side, in the order of the lines, lowest first."""
    heights = []
    for k, place in enumerate(places):
        together = [j for j, other in enumerate(places) if other == place]
        step = min(FAN, 30 / len(together)) if spread else 0.0
        heights.append(_y(place) - step * (together.index(k) - (len(together) - 1) / 2))
    return heights


def _y(height: float) -> float:
    return BOTTOM - height * (BOTTOM - TOP - 20)


def _axis(x: float, label: str, ticks: Ticks, last: bool) -> Markup:
    """An axis with its values to the left, those of the last one to the right, where no line passes."""
    place, anchor = (x + 22, "start") if last else (x - 10, "end")
    mark = Markup('<text x="{:.0f}" y="{:.1f}" text-anchor="{}">{}</text>')
    marks = Markup("").join(mark.format(place, _y(height) + 4, anchor, value_text(value)) for height, value in ticks)
    return Markup(
        '<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
        '<text class="head" x="{x:.0f}" y="{head:.0f}" text-anchor="middle">{label}</text>{marks}'
    ).format(x=x, top=_y(1) - 18, bottom=_y(0) + 18, head=TOP - 22, label=label, marks=marks)


def _curve(
    line: Line, outcome: str, points: Sequence[tuple[float, float]], seeds: Sequence[float], strength: float, best: bool
) -> Markup:
    (x, y), *_ = points
    path = f"M{x:.1f} {y:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = 0.4 * (x1 - x0)
        path += f"C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    x, y = points[-1]
    dots = Markup("").join(
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2"/>').format(x + 12, seed) for seed in seeds
    ) + Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.6"/>').format(x, y)
    said = f"{line.name}: {outcome} {format_number(line.mean)}"
    if seeds:
        said += f" ± {format_number(float(np.std(line.outcome, ddof=1)))}"
    return Markup(
        '<g class="line{best}"><path class="near" d="{path}"/><path d="{path}" stroke-opacity="{strength:.2f}"/>'
        '<g fill-opacity="{strength:.2f}">{dots}</g><text class="said" x="{left:.0f}" y="{below:.0f}">{said}</text></g>'
    ).format(
        best=" chosen" if best else "",
        path=path, strength=strength, dots=dots, left=LEFT - 30, below=BOTTOM + 34, said=said,
    )  # fmt: skip


def value_text(value: Any) -> str:
    """A value of a key as a reader writes it: 0.00003 rather than 3e-05."""
    if isinstance(value, float) and math.isfinite(value):
        return np.format_float_positional(value, precision=6, unique=True, fractional=False, trim="-")
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
