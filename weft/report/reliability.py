"""Whether answers are right as often as their score says, for the model and the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as Canvas

from weft.metrics.calibration import expected_calibration_error
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.report.palette import RULE, style, to_svg
from weft.report.variants import color_of

Bins = tuple[np.ndarray, np.ndarray, np.ndarray]
"""answers, right ones among them and the sum of their scores, in equal bins of the score over [0, 1]"""


def reliability_diagram(
    key: str, bins: Mapping[str, Bins], things: str, right: str, score: str, title: str, fewest: int, decimals: int
) -> str:
    """SVG of the share of right answers against the mean score in each bin, with the expected calibration error, and
    below how many answers have such scores.

    bins: by variant. things, right, score: what is answered, what a right answer is and what the score is of, in words.
    title: what a screen reader says. fewest: bins of fewer answers are left out. decimals: of the error.
    """
    with style():
        canvas = Canvas(figsize=(4.2, 4.2))
        upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        upper.plot([0, 1], [0, 1], color=RULE, linewidth=1.2, zorder=1)
        for name, (n, correct, total) in bins.items():
            seen = n >= fewest
            label = f"{name}: error {expected_calibration_error(n, correct, total):.{decimals}f}"
            upper.plot(total[seen] / n[seen], correct[seen] / n[seen], "o-", color=color_of(name), label=label)
            lower.stairs(n / max(n.sum(), 1), np.linspace(0, 1, len(n) + 1), color=color_of(name), linewidth=1.4)
        upper.set_ylabel(f"share of {right}")
        upper.set_ylim(0, 1.02)
        upper.legend(loc="upper left")
        lower.set_yscale("log")
        lower.set_ylabel(f"share of {things}")
        lower.set_xlabel(score)
        lower.set_xlim(0, 1)
        return to_svg(canvas, key, title)


def reliability_figure(
    scores: Mapping[str, Scores], score: str, n_bins: int, fewest: int, things: str = "voxels"
) -> Figure:
    """How often a voxel, or another of `things`, is given the right class that is given one with some confidence.

    scores: by variant; rows of their curves named `reliability` have columns bin, n, n_correct and sum_confidence.
    score: what the confidence is called. n_bins: equal bins over [0, 1]. fewest: bins of fewer things are left out.
    """
    bins = {}
    for name, part in scores.items():
        curve = part.curves[part.curves["curve"] == "reliability"]
        sums = curve.groupby("bin")[["n", "n_correct", "sum_confidence"]].sum()
        sums = sums.reindex(range(n_bins), fill_value=0)
        n, right, confidence = (sums[column].to_numpy() for column in sums)
        bins[name] = n, right, confidence
    words = things, "right answers", f"{score} of the predicted class"
    svg = reliability_diagram("reliability", bins, *words, "Reliability diagram", fewest, 4)
    return Figure(
        "reliability",
        "Calibration",
        f"A calibrated model is right as often as its {score} says (the diagonal). Error: expected calibration error, "
        f"the mean distance from the diagonal over {things}.",
        svg=svg,
    )
