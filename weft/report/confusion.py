"""Which answers were given to things of each true class, side by side for the model and the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas

from weft.report.palette import SERIES_COLORS, style, to_svg
from weft.report.variants import MISSING

_BLUES = LinearSegmentedColormap.from_list("share", ["#ffffff", SERIES_COLORS[0]])
_MANY = 6  # columns: more of them are written in whole per cents


def confusion_panels(
    key: str,
    counts: Mapping[str, np.ndarray],
    true: Sequence[str],
    called: Sequence[str],
    labels: tuple[str, str],
    title: str,
    size: tuple[float, float],
) -> str:
    """SVG of one panel for each variant: per cent of each row, the number below.

    counts: by variant, integer [classes, answers]. true, called: names of the rows and of the columns. labels: of the
    axes, x and y. title: what a screen reader says. size: of a panel, inches.
    """
    many = len(called) > _MANY
    decimals, below, type_size = (0, 0.26, 6) if many else (1, 0.24, 6.5)
    with style():
        canvas = Canvas(figsize=(size[0] * len(counts), size[1]))
        axes = canvas.subplots(1, len(counts), squeeze=False)[0].tolist()
        for axis, (name, matrix) in zip(axes, counts.items(), strict=True):
            total = matrix.sum(axis=1, keepdims=True)
            share = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
            axis.imshow(share, vmin=0, vmax=1, cmap=_BLUES)
            for i, j in np.ndindex(matrix.shape):
                color = "#ffffff" if share[i, j] > 0.6 else "#1b2331"
                percent = f"{100 * share[i, j]:.{decimals}f}" if total[i] else MISSING
                axis.text(j, i - 0.12, percent, ha="center", va="center", color=color, fontsize=8.5)
                number = short(int(matrix[i, j]))
                axis.text(j, i + below, number, ha="center", va="center", color=color, fontsize=type_size)
            axis.set_xticks(range(len(called)), called, rotation=30, ha="right", rotation_mode="anchor")
            axis.set_yticks(range(len(true)), true)
            axis.tick_params(length=0)
            axis.grid(False)
            axis.spines[:].set_visible(False)
            axis.set_xlabel(labels[0])
            axis.set_ylabel(labels[1])
            axis.set_title(name)
        return to_svg(canvas, key, title, gap=2)


def short(n: int) -> str:
    """At most four characters: 987, 1.2k, 34k, 5.6M."""
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.1f}{unit}" if n < 10 * size else f"{n / size:.0f}{unit}"
    return str(n)
