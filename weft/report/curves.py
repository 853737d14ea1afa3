"""Learning curves from the log of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from weft.report.comparison import metric_label
from weft.report.figure import Figure
from weft.report.palette import SERIES_COLORS, style, to_svg


def smooth(values: np.ndarray, span: int) -> np.ndarray:
    """Running mean of ``values`` [T] over the last ``span`` entries, fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - span, 0)
    return (total[end] - total[begin]) / (end - begin)


def learning_curves(
    key: str,
    logs: Mapping[str, pd.DataFrame],
    metrics: Sequence[str] = (),
    best: Mapping[str, int] | None = None,
) -> Figure:
    """Loss and validation metrics against the training step, one colour per variant.

    ``logs`` maps a variant to the rows of its ``log.csv``: ``step``, ``split`` ("train" or "val"), ``loss`` and a
    column per metric; those of ``metrics`` that were logged get a panel. The training loss is a faint line with its
    running mean over a fortieth of the run, validation values are points; ``best`` maps a variant to the step of its
    best checkpoint, which gets a ring.
    """
    panels = ["loss", *(metric for metric in metrics if any(metric in log for log in logs.values()))]
    best = best or {}
    with style():
        canvas = Canvas(figsize=(3.9 * len(panels) if len(panels) > 1 else 5.6, 2.9))
        axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for k, (variant, log) in enumerate(logs.items()):
            color = SERIES_COLORS[k % len(SERIES_COLORS)]
            for axis, column in zip(axes, panels, strict=True):
                _draw(axis, log, column, color, variant, best.get(variant))
        for axis, column in zip(axes, panels, strict=True):
            axis.set_xlabel("training step")
            axis.set_title(metric_label(column))
            axis.margins(x=0.02)
        _loss_scale(axes[0], logs)
        if len(logs) > 1:
            axes[0].legend(loc="upper right", handlelength=1.2)
        canvas.tight_layout(w_pad=2.0)
        steps = max(int(log["step"].max()) for log in logs.values())
        svg = to_svg(canvas, key, f"Learning curves of {', '.join(logs)} over {steps} steps")
    parts = ["Faint: training loss of each logged step; line: its running mean; points: validation events"]
    if best:
        parts.append("ring: the checkpoint that is kept")
    return Figure(key=key, title="Learning curves", caption="; ".join(parts) + ".", svg=svg)


def _draw(axis: Axes, log: pd.DataFrame, column: str, color: str, variant: str, best: int | None) -> None:
    if column not in log:
        return
    train = log[(log["split"] == "train") & log[column].notna()]
    val = log[(log["split"] == "val") & log[column].notna()]
    if column == "loss" and len(train):
        loss = train["loss"].to_numpy(np.float64)
        axis.plot(train["step"], loss, color=color, alpha=0.22, linewidth=0.8)
        axis.plot(train["step"], smooth(loss, max(1, len(loss) // 40)), color=color, label=variant)
    if len(val):
        joined = "none" if column == "loss" else "-"
        label = None if column == "loss" and len(train) else variant
        axis.plot(val["step"], val[column], color=color, marker="o", linestyle=joined, linewidth=1.2, label=label)
        kept = val[val["step"] == best]
        if len(kept):
            axis.plot(kept["step"], kept[column], "o", color=color, markersize=9, markerfacecolor="none")


def _loss_scale(axis: Axes, logs: Mapping[str, pd.DataFrame]) -> None:
    loss = np.concatenate([log["loss"].to_numpy(np.float64) for log in logs.values()])
    loss = loss[np.isfinite(loss)]
    if len(loss) and loss.min() > 0 and loss.max() > 20 * loss.min():
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
