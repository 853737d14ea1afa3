"""A metric of every event: the model against the baseline, or alone how it is distributed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure as Canvas

from weft.config import BASELINE
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import RULE, SERIES_COLORS, style, to_svg


def event_scatter(key: str, values: Mapping[str, np.ndarray], metric: str, thing: str) -> Figure:
    """A point for each event.

    values: by variant, of the same event in the same place; at most 1, more is better. metric, thing: what is drawn and
    what an event is, in a word: "Dice", "stack".
    """
    title = f"{metric[:1].upper()}{metric[1:]} of {thing}s"
    if BASELINE not in values:
        svg = event_histogram(key, values, f"{metric} of one {thing}", f"Distribution of the {metric} over {thing}s")
        return Figure(key, title, f"Share of the {thing}s by their {metric}.", svg=svg)
    reference = values[BASELINE]
    models = {name: of_model for name, of_model in values.items() if name != BASELINE}
    known = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    with style():
        canvas = Canvas(figsize=(3.9, 3.7))
        axis = canvas.subplots()
        low = float(min(0.95, known.min(initial=0.95)))
        axis.plot([low, 1], [low, 1], color=RULE, linewidth=1.2, zorder=1)
        for (name, of_model), color in zip(models.items(), cycle(SERIES_COLORS), strict=False):
            axis.plot(reference, of_model, "o", color=color, alpha=0.75, label=name)
        axis.set_xlabel(f"{metric} of the baseline")
        axis.set_ylabel(f"{metric} of the model")
        if len(models) > 1:
            axis.legend(loc="best")
        svg = to_svg(canvas, key, f"{title}, model against baseline")
    words = ", ".join(f"{name} is better on {int((of_model > reference).sum())}" for name, of_model in models.items())
    things = f"{thing}s" if len(reference) != 1 else thing
    caption = f"Points are {thing}s; above the line the model is better. Of {len(reference)} {things} {words}."
    return Figure(key, title, caption, svg=svg)
