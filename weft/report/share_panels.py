"""Shares against a logarithmic axis, panels side by side: an SVG written in a millisecond.

A report of a chain has fifty of these, for each of which matplotlib takes 0.3 s and ten times the space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from weft.report.palette import power_of_ten

WIDTH, HEIGHT, GAP = 122.0, 118.0, 26.0
"""of a panel and between two, in points"""
LEFT, TOP, RIGHT, BOTTOM = 38.0, 18.0, 11.0, 36.0
_HIGHEST = 1.03  # end of the axis, so that lines at 1 are seen whole
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_LINE = Markup('<path class="curve" d="{}" stroke="{}"{}/>')
_DASHES = Markup(' stroke-dasharray="5.9 2.6"')


@dataclass(frozen=True)
class Curve:
    """Points of a line with a band around it; arrays [n] of places on the axis and of shares."""

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    color: str
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel; it says so where no curve has a point."""

    title: str
    curves: Sequence[Curve]


def share_panels(
    panels: Sequence[Panel],
    span: tuple[float, float],
    x_label: str,
    y_label: str,
    title: str,
    legend: Sequence[tuple[str, str, bool]] = (),
) -> str:
    """One ``<svg>`` of ``panels``; ``span``: ends of the logarithmic axis; ``title`` is what a screen reader says.

    ``legend``: name, colour and whether it is dashed, of lines in the first panel.
    """
    n = max(len(panels), 1)
    width, height = LEFT + n * WIDTH + (n - 1) * GAP + RIGHT, TOP + HEIGHT + BOTTOM
    low, high = (math.log10(end) for end in span)
    drawn = Markup("").join(
        Markup('<g transform="translate({:g} {:g})">{}</g>').format(
            LEFT + k * (WIDTH + GAP), TOP, _panel(panel, low, high, first=k == 0, legend=legend if k == 0 else ())
        )
        for k, panel in enumerate(panels)
    )
    return Markup(
        '<svg class="shares" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:g} {h:g}" width="{w:g}pt" '
        'height="{h:g}pt" role="img"><title>{title}</title>{drawn}'
        '<text class="middle" x="{x:g}" y="{y:g}">{x_label}</text>'
        '<text class="middle" transform="translate(9 {half:g}) rotate(-90)">{y_label}</text></svg>'
    ).format(
        w=width, h=height, title=title, drawn=drawn, x=(LEFT + width - RIGHT) / 2, y=height - 5, x_label=x_label,
        half=TOP + HEIGHT / 2, y_label=y_label,
    )  # fmt: skip


def _panel(panel: Panel, low: float, high: float, first: bool, legend: Sequence[tuple[str, str, bool]]) -> Markup:
    decades = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    grid = "".join(f"M{_x(k, low, high):.1f} 0V{HEIGHT:g}" for k in decades)
    grid += "".join(f"M0 {_y(share):.1f}H{WIDTH:g}" for share in _TICKS)
    minor = [math.log10(m) + k for k in range(math.floor(low), math.ceil(high)) for m in range(2, 10)]
    ticks = "".join(f"M{_x(k, low, high):.1f} {HEIGHT:g}v3.5" for k in decades)
    ticks += "".join(f"M{_x(k, low, high):.1f} {HEIGHT:g}v2" for k in minor if low <= k <= high)
    ticks += "".join(f"M0 {_y(share):.1f}h-3.5" for share in _TICKS)
    text = Markup('<text class="tick {}" x="{:.1f}" y="{:.1f}">{}</text>')
    marks = [text.format("middle", _x(k, low, high), HEIGHT + 14, power_of_ten(10.0**k)) for k in decades]
    if first:
        marks += [text.format("end", -6, _y(share) + 3, f"{share:.1f}") for share in _TICKS]
    curves = [_curve(curve, low, high) for curve in panel.curves if len(curve.x)]
    if not curves:
        curves = [text.format("middle", WIDTH / 2, HEIGHT / 2, "too few")]
    lines = [
        _LINE.format(f"M6 {HEIGHT - 8 - 12 * k:g}h18", color, _dashes(dashed))
        + text.format("start", 29, HEIGHT - 5 - 12 * k, name)
        for k, (name, color, dashed) in enumerate(reversed(legend))
    ]
    return Markup(
        '<path class="grid" d="{grid}"/>{curves}<path class="axis" d="M0 0V{height:g}H{width:g}{ticks}"/>'
        '<text class="head" y="-6">{title}</text>{marks}{lines}'
    ).format(
        grid=grid, curves=Markup("").join(curves), height=HEIGHT, width=WIDTH, ticks=ticks, title=panel.title,
        marks=Markup("").join(marks), lines=Markup("").join(lines),
    )  # fmt: skip


def _curve(curve: Curve, low: float, high: float) -> Markup:
    x = [_x(place, low, high) for place in np.log10(curve.x)]
    points = [(a, _y(b)) for a, b in zip(x, curve.value, strict=True)]
    dots = Markup("").join(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="1.6"/>').format(*point) for point in points)
    return (
        Markup('<g fill="{}">').format(curve.color)
        + _band(curve, x)
        + _LINE.format("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points), curve.color, _dashes(curve.dashed))
        + dots
        + Markup("</g>")
    )


def _band(curve: Curve, x: Sequence[float]) -> Markup:
    """From the lower to the upper ends of the intervals; of a single event there are none."""
    known = np.flatnonzero(np.isfinite(curve.low) & np.isfinite(curve.high)).tolist()
    if not known:
        return Markup("")
    upper = [f"{x[k]:.1f} {_y(curve.high[k]):.1f}" for k in known]
    lower = [f"{x[k]:.1f} {_y(curve.low[k]):.1f}" for k in known[::-1]]
    return Markup('<path class="band" d="M{}z"/>').format("L".join(upper + lower))


def _dashes(dashed: bool) -> Markup:
    return _DASHES if dashed else Markup("")


def _x(exponent: float, low: float, high: float) -> float:
    return WIDTH * (exponent - low) / (high - low)


def _y(share: float) -> float:
    return HEIGHT * (1 - share / _HIGHEST)
