"""A share of things against their size or energy, one panel for each semantic class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from weft.config import BASELINE
from weft.metrics.bootstrap import bootstrap
from weft.report.palette import BASELINE_COLOR, CLASS_COLORS, CLASS_NAMES, INK, style, to_svg
from weft.report.variants import MODEL

_REPLICAS = 400


def ratio_panels(
    key: str,
    counts: Mapping[str, np.ndarray],
    edges: np.ndarray,
    x_label: str,
    y_label: str,
    fewest: int,
    low: float = 0.0,
) -> str:
    """SVG of the ratio of sums against logarithmic bins: for the model in the class' colour, for the baseline in grey.

    counts: by variant, float [E, C, bins, 2]: numbers and what is divided by them, for every event, so that bands are
    95 % intervals over events. edges: [bins + 1]. fewest: bins with smaller numbers are left out. low: where the axis
    begins.
    """
    total = sum(c.sum(axis=0) for c in counts.values())
    present = [k for k in range(total.shape[0]) if total[k, :, 0].sum() > 0]
    centres = np.sqrt(edges[1:] * edges[:-1])
    with style():
        canvas = Canvas(figsize=(2.05 * max(len(present), 1) + 0.5, 2.6))
        panels: Sequence[Axes] = canvas.subplots(1, max(len(present), 1), squeeze=False)[0].tolist()
        for axis, k in zip(panels, present, strict=False):
            for name, c in reversed(list(counts.items())):
                interval = bootstrap(c[:, k], ratio, n_replicas=_REPLICAS)
                seen = c[:, k, :, 0].sum(axis=0) >= fewest
                color = BASELINE_COLOR if name == BASELINE else CLASS_COLORS[k]
                dashes = "--" if name == BASELINE else "-"
                axis.fill_between(centres[seen], interval.low[seen], interval.high[seen], color=color, alpha=0.2, lw=0)
                axis.plot(centres[seen], interval.value[seen], dashes, color=color, label=name, marker="o", ms=3)
            axis.set_xscale("log")
            axis.set_xlim(edges[0], edges[-1])
            axis.set_ylim(low, 1 + 0.03 * (1 - low))
            axis.set_title(CLASS_NAMES[k])
            if all((c[:, k, :, 0].sum(axis=0) < fewest).all() for c in counts.values()):
                say_too_few(axis)
            if axis is panels[0]:
                axis.set_ylabel(y_label)
            else:
                axis.tick_params(labelleft=False)
        if len(counts) > 1:
            lines = [Line2D([], [], color=INK), Line2D([], [], color=BASELINE_COLOR, linestyle="--")]
            panels[0].legend(lines, [MODEL, BASELINE], loc="lower left")
        canvas.supxlabel(x_label, fontsize=9)
        canvas.tight_layout(w_pad=1.4)  # labels at the ends of two axes stand side by side
        return to_svg(canvas, key, f"{y_label[:1].upper()}{y_label[1:]} of each class against the {x_label}")


def say_too_few(axis: Axes) -> None:
    """In place of curves of too few things to be drawn."""
    axis.text(0.5, 0.5, "too few", ha="center", va="center", transform=axis.transAxes, fontsize=8)


def ratio(sums: np.ndarray) -> np.ndarray:
    """Second over first of the last axis, NaN where the first is 0."""
    n, part = sums[..., 0], sums[..., 1]
    return np.divide(part, n, out=np.full(n.shape, np.nan), where=n > 0)


def binned(
    uids: np.ndarray,
    rows_uid: np.ndarray,
    label: np.ndarray,
    number: np.ndarray,
    columns: Sequence[np.ndarray],
    n_classes: int,
    n_bins: int,
) -> np.ndarray:
    """Sums of columns by event, class and bin: float [E, n_classes, n_bins, columns].

    uids: [E], increasing, of the events. rows_uid, label, number: of each row, its event, class and bin; rows of a
    class outside 0 to n_classes − 1 are left out. columns: what is added up, one value a row each.
    """
    event = np.searchsorted(uids, rows_uid)
    valid = (label >= 0) & (label < n_classes)
    counts = np.zeros((len(uids), n_classes, n_bins, len(columns)))
    for k, column in enumerate(columns):
        np.add.at(counts[..., k], (event[valid], label[valid], number[valid]), column[valid])
    return counts
