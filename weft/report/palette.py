"""Colours of the classes and the look of every drawing.

The colours start from Okabe and Ito's set (https://jfly.uni-koeln.de/color/): they stay apart for readers with protan,
deutan and tritan vision (tested) and are legible on the light and on the dark page.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogFormatter, NullFormatter

from weft.io.products import CLASSES, DELTA, GHOST, LOW_ENERGY, MICHEL, SHOWER, TRACK
from weft.report.svg import prefixed, slim

_SPELLED = {"michel": "Michel", "low_energy": "low-energy"}
CLASS_NAMES: dict[int, str] = {k: _SPELLED.get(name, name) for k, name in CLASSES.items()} | {-1: "none"}

CLASS_COLORS: dict[int, str] = {
    SHOWER: "#e69f00",
    TRACK: "#0072b2",
    MICHEL: "#cc79a7",
    DELTA: "#009e73",
    LOW_ENERGY: "#7cc6f2",
    GHOST: "#666666",
    -1: "#c0bca8",
}

# Curves that are no class: models in order, and the baseline they are compared with.
SERIES_COLORS: tuple[str, ...] = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#56b4e9", "#e69f00")
BASELINE_COLOR = "#7d7d7d"

INK = "#1b2330"
RULE = "#d5d9df"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PAGE_COLORS = {INK: "currentColor", RULE: "var(--rule, #d5d9df)"}


@contextmanager
def style() -> Iterator[None]:
    """The matplotlib settings of every figure: type of 9 points, thin axes on two sides, no frames, no titles."""
    settings: dict[Any, Any] = {
        "figure.figsize": (5.4, 3.2),
        "figure.dpi": 96,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=SERIES_COLORS),
        "grid.color": RULE,
        "grid.linewidth": 0.6,
        "text.color": INK,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
        "svg.fonttype": "none",
        "svg.hashsalt": "weft",
    }
    with mpl.rc_context(settings):
        yield


def to_svg(canvas: Canvas, key: str, label: str, gap: float | None = None) -> str:
    """One ``<svg>`` element of a matplotlib figure, laid out, the same text for the same drawing.

    Ink and rules take the page's colours, so that the drawing follows its light and dark themes; identifiers carry
    ``key`` so that several drawings can share a page; ``label`` is what a screen reader says; ``gap`` is the space
    between panels beside each other, in sizes of type (default: matplotlib's).
    """
    FigureCanvasAgg(canvas)  # measures text once for the layout and for the frame
    for axes in canvas.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _label_powers(axis)
    canvas.tight_layout(w_pad=gap)
    canvas.set_layout_engine(None)  # it is laid out: else it is drawn another time before it is saved
    frame = canvas.get_tightbbox()
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", bbox_inches=frame.padded(0.04), metadata={"Date": None})
    svg = prefixed(slim(buffer.getvalue()), key)
    for color, page_color in _PAGE_COLORS.items():
        svg = svg.replace(color, page_color)
    svg = svg.replace("'DejaVu Sans'", "system-ui, sans-serif")
    title = label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return svg.replace(">", f' role="img"><title>{title}</title>', 1)


def _label_powers(axis: Axis) -> None:
    """Powers of ten on a logarithmic axis of a decade and more as plain text: formulas take long to set."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "log" and high > 10 * low > 0 and isinstance(axis.get_major_formatter(), LogFormatter):
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
        axis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """``10⁻²`` of 0.01, nothing where it is no power of ten."""
    exponent = math.log10(value)
    if abs(exponent - round(exponent)) > 1e-6:
        return ""
    return "10" + str(round(exponent)).translate(_SUPERSCRIPT)
