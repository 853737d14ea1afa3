"""Figures of what a network says of good triplets besides that they are good: classes and directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure as Canvas

from weft.metrics.scores import Scores
from weft.report.confusion import confusion_panels
from weft.report.figure import Figure
from weft.report.palette import RULE, style, to_svg
from weft.report.variants import color_of
from weft.tasks.larmatch.counting import ANGLE_EDGES
from weft.tasks.larmatch.score import WITHIN, confusion


def confusion_figure(judged: Mapping[str, Scores], classes: Sequence[str]) -> Figure:
    """Share of the good triplets of each true class by what they were called."""
    matrices = {name: confusion(part.events, classes).sum(axis=0).astype(int) for name, part in judged.items()}
    svg = confusion_panels(
        "confusion",
        matrices,
        classes,
        [*classes, "missed"],
        ("said class", "true class"),
        "Confusion matrices of the model and the baseline",
        (0.55 * len(classes) + 1.9, 0.5 * len(classes) + 1.4),
    )
    return Figure(
        "confusion",
        "Confusion of classes",
        "Per cent of the good triplets of a true class (rows) by the class that was said to be most likely, their "
        "number below. Missed: a score below 0.5. The counts of all seeds are added.",
        svg=svg,
    )


def affinity_figure(judged: Mapping[str, Scores]) -> Figure:
    """Angle between the said and the true direction."""
    centres = 0.5 * (ANGLE_EDGES[1:] + ANGLE_EDGES[:-1])
    with style():
        canvas = Canvas(figsize=(5.0, 3.0))
        axis = canvas.subplots()
        random = np.diff(-np.cos(np.radians(ANGLE_EDGES))) / 2
        axis.plot(centres, random, color=RULE, linewidth=1.4, label="at random", zorder=1)
        highest = float(random.max())
        for name, part in judged.items():
            angle = part.events[[f"angle_{k}" for k in range(len(ANGLE_EDGES) - 1)]].to_numpy(np.float64).sum(axis=0)
            share = angle / max(angle.sum(), 1)
            within = share[: int(np.searchsorted(ANGLE_EDGES, WITHIN))].sum()
            highest = max(highest, float(share.max()))
            label = f"{name}: {100 * within:.1f} % within {WITHIN}°"
            axis.stairs(share, ANGLE_EDGES, color=color_of(name), linewidth=1.6, label=label)
        axis.axvline(WITHIN, color=RULE, linewidth=1.2, zorder=1)
        axis.set_xlim(0, 180)
        axis.set_xticks(range(0, 181, 30))
        axis.set_ylim(0, (1 + 0.12 * (len(judged) + 2)) * highest)  # room for the legend
        axis.set_xlabel("angle between said and true direction [°]")
        axis.set_ylabel("share of triplets")
        axis.legend(loc="upper right")
        svg = to_svg(canvas, "affinity", "Angle between said and true directions")
    return Figure(
        "affinity",
        "Directions",
        "Of good triplets with a score of at least 0.5 and a true direction; the baseline says the same for all.",
        svg=svg,
    )
