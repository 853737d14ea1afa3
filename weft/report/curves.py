"""Learning curves from the log of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from weft.report.comparison import metric_label
from weft.report.figure import Figure
from weft.report.palette import BASELINE_COLOR, SERIES_COLORS, style, to_svg


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
    groups: Mapping[str, str] | None = None,
) -> Figure:
    """Loss and validation metrics against the training step, one colour per variant.

    ``logs`` maps a variant to the rows of its ``log.csv``: ``step``, ``split`` ("train" or "val"), ``loss`` and a
    column per metric; those of ``metrics`` that were logged get a panel. The training loss is a faint line with its
    running mean over a fortieth of the run, validation values are points; ``best`` maps a variant to the step of its
    best checkpoint, which gets a ring. ``groups`` names what each variant belongs to, such as the point of a sweep,
    best first: a group has one colour and thin lines without the faint ones, and those beyond the colours are grey.
    """
    panels = ["loss", *(metric for metric in metrics if any(metric in log for log in logs.values()))]
    named = groups or {variant: variant for variant in logs}
    colors = _colors(list(dict.fromkeys(named.values())))
    with style():
        canvas = Canvas(figsize=(3.9 * len(panels) if len(panels) > 1 else 5.6, 2.9))
        axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for variant in reversed(list(named)):  # the best on top
            look = Look(colors[named[variant]], thin=bool(groups))
            for axis, column in zip(axes, panels, strict=True):
                _draw(axis, logs[variant], column, look, (best or {}).get(variant))
        for axis, column in zip(axes, panels, strict=True):
            axis.set_xlabel("training step")
            axis.set_title(metric_label(column))
            axis.margins(x=0.02)
        _loss_scale(axes[0], logs)
        _legend(canvas, axes[0], colors, below=bool(groups))
        steps = max(int(log["step"].max()) for log in logs.values())
        svg = to_svg(canvas, key, f"Learning curves of {', '.join(colors)} over {steps} steps", gap=2)
    parts = (
        ["Lines: running mean of the training loss"]
        if groups
        else ["Faint: training loss of each logged step", "line: its running mean"]
    )
    validated = {variant: set(log.loc[log["split"] == "val", "step"]) for variant, log in logs.items()}
    if any(validated.values()):
        parts.append("points: validations")
    if any(step in validated.get(variant, ()) for variant, step in (best or {}).items()):
        parts.append("ring: the checkpoint that is kept")
    return Figure(key=key, title="Learning curves", caption="; ".join(parts) + ".", svg=svg)


@dataclass(frozen=True)
class Look:
    """How the curves of one variant are drawn."""

    color: str
    thin: bool


def _colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, grey for those beyond the colours that can be told apart."""
    return {name: SERIES_COLORS[k] if k < len(SERIES_COLORS) else BASELINE_COLOR for k, name in enumerate(names)}


def _legend(canvas: Canvas, axis: Axes, colors: Mapping[str, str], below: bool) -> None:
    shown = {name: color for name, color in colors.items() if color != BASELINE_COLOR}
    rest = len(colors) - len(shown)
    if rest:
        shown[f"{rest} others"] = BASELINE_COLOR
    lines = [Line2D([], [], color=color) for color in shown.values()]
    if below:
        canvas.legend(lines, list(shown), loc="upper left", bbox_to_anchor=(0.03, 0.02), ncols=3, handlelength=1.2)
    elif len(shown) > 1:
        axis.legend(lines, list(shown), loc="upper right", handlelength=1.2)


def _draw(axis: Axes, log: pd.DataFrame, column: str, look: Look, best: int | None) -> None:
    if column not in log:
        return
    train = log[(log["split"] == "train") & log[column].notna()]
    val = log[(log["split"] == "val") & log[column].notna()]
    width, size = (1.0, 2.0) if look.thin else (1.6, 4.0)
    if column == "loss" and len(train):
        loss = train["loss"].to_numpy(np.float64)
        if not look.thin:
            axis.plot(train["step"], loss, color=look.color, alpha=0.22, linewidth=0.8)
        axis.plot(train["step"], smooth(loss, max(1, len(loss) // 40)), color=look.color, linewidth=width)
    if len(val):
        joined = "none" if column == "loss" else "-"
        axis.plot(
            val["step"], val[column], color=look.color, marker="o", markersize=size, linestyle=joined,
            linewidth=0.75 * width,
        )  # fmt: skip
        kept = val[val["step"] == best]
        if len(kept):
            axis.plot(kept["step"], kept[column], "o", color=look.color, markersize=size + 5, markerfacecolor="none")


def _loss_scale(axis: Axes, logs: Mapping[str, pd.DataFrame]) -> None:
    loss = np.concatenate([log["loss"].to_numpy(np.float64) for log in logs.values()])
    loss = loss[np.isfinite(loss)]
    if len(loss) and loss.min() > 0 and loss.max() > 20 * loss.min():
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
