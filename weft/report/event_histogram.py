"""How a metric of events is distributed, for the model and the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as Canvas

from weft.report.palette import RULE, style, to_svg
from weft.report.variants import color_of

_MANY = 400  # events from which on bins are fine


def event_histogram(
    key: str, values: Mapping[str, np.ndarray], x_label: str, label: str, mark: float | None = None
) -> str:
    """SVG of the share of events by a metric that is at most 1, with the median of each.

    values: by variant, one value for each event; those that are not finite are left out. Events below the axis, which
    begins at the first percentile, are in its first bin. mark: where a thin line is drawn.
    """
    values = {name: v[np.isfinite(v)] for name, v in values.items()}
    with style():
        canvas = Canvas(figsize=(5.0, 2.9))
        axis = canvas.subplots()
        lowest = min((np.percentile(v, 1) for v in values.values() if len(v)), default=0.0)
        # Bins of a few events each say more of chance than of the metric.
        most = max((len(v) for v in values.values()), default=0)
        edges = np.linspace(np.floor(20 * min(lowest, 0.95)) / 20, 1, 41 if most >= _MANY else 21)
        if mark is not None:
            axis.axvline(mark, color=RULE, linewidth=1.2, zorder=1)
        highest = 0.0
        for name, v in values.items():
            share = np.histogram(np.maximum(v, edges[0]), edges)[0] / max(len(v), 1)
            shown = f"{name}: median {np.median(v):.4f}" if len(v) else name
            highest = max(highest, share.max())
            axis.stairs(share, edges, color=color_of(name), linewidth=1.6, label=shown)
        axis.set_xlim(edges[0], 1)
        axis.set_ylim(0, (1 + 0.12 * (len(values) + 1)) * max(highest, 0.01))  # room for the legend
        axis.set_xlabel(x_label)
        axis.set_ylabel("share of events")
        axis.legend(loc="upper left")
        return to_svg(canvas, key, label)
