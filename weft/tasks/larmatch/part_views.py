"""How good scores are in parts of events, as a table and as a drawing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores
from weft.metrics.separation import average_precision
from weft.metrics.shares import share
from weft.report.figure import Figure
from weft.report.palette import style, to_svg
from weft.report.variants import MODEL, beside, color_of, heading
from weft.tasks.larmatch.parts import COARSE, COARSE_EDGES, SLICES, part_names

_REPLICAS = 400
_FEWEST = 50  # triplets of a part that is drawn


def slice_counts(scores: Scores, slicing: str) -> np.ndarray:
    """float64 [E, parts, 2, coarse bins]: good triplets and ghosts of each event by part and score."""
    uids = np.unique(scores.events["uid"])
    rows = scores.curves[scores.curves["curve"] == slicing]
    event, part, score = (np.searchsorted(uids, rows["uid"]), rows["part"].to_numpy(), rows["bin"].to_numpy())
    size = (len(uids), len(part_names(slicing)), len(COARSE))
    at = np.ravel_multi_index((event, part.astype(np.int64), score.astype(np.int64)), size)
    # Several seeds have the same events: their counts add up.
    kinds = [np.bincount(at, rows[kind].to_numpy(np.float64), int(np.prod(size))) for kind in ("good", "ghost")]
    return np.stack([kind.reshape(size) for kind in kinds], axis=2)


def slice_metrics(sums: np.ndarray) -> np.ndarray:
    """float64 [..., 3]: efficiency and purity at 0.5, and average precision, of sums [..., 2, coarse bins]."""
    good, ghost = sums[..., 0, :], sums[..., 1, :]
    start = int(np.searchsorted(COARSE_EDGES, np.float32(0.5)))
    kept, left = good[..., start:].sum(axis=-1), ghost[..., start:].sum(axis=-1)
    some_ghosts = ghost.sum(axis=-1) > 0
    return np.stack(
        [
            share(kept, good.sum(axis=-1)),
            np.where(some_ghosts, share(kept, kept + left), np.nan),
            np.where(some_ghosts, average_precision(good, ghost), np.nan),
        ],
        axis=-1,
    )


def slice_table(judged: Mapping[str, Scores]) -> Figure:
    """Efficiency, purity and average precision of parts of the events; judged: the model and the baseline."""
    rows = []
    for slicing, title in SLICES.items():
        arrays = {name: slice_counts(part, slicing) for name, part in judged.items()}
        values = {name: slice_metrics(array.sum(axis=0)) for name, array in arrays.items()}
        interval = bootstrap(arrays[MODEL], slice_metrics, _REPLICAS)
        n = arrays[MODEL].sum(axis=(0, 3)) / _seeds(judged[MODEL])
        for p, part in enumerate(part_names(slicing)):
            row: dict[str, object] = {"slice": title, "part": part, "good": round(n[p, 0])}
            row["ghosts"] = None if slicing == "angle" else round(n[p, 1])
            for k, what in enumerate(("efficiency at 0.5", "purity at 0.5", "average precision")):
                told = {name: value[p, k] for name, value in values.items()}
                row[what + heading(judged)] = beside(told, 3, [interval], (p, k))
            rows.append(row)
    return Figure(
        "slices",
        "Parts of events",
        "Mean charge of the live pixels, planes scaled alike. The angle is that of the true direction, which ghosts do "
        "not have: 0° lies along the drift, 90° along the wire planes. The counts of all seeds are added. Intervals: "
        "bootstrap over events.",
        table=pd.DataFrame(rows),
    )


def _seeds(scores: Scores) -> int:
    """How often each event is in it."""
    return max(1, len(scores.events) // max(scores.events["uid"].nunique(), 1))


def slice_figure(judged: Mapping[str, Scores]) -> Figure:
    """Efficiency and purity at 0.5 with and without a dead wire, by charge, and by direction."""
    with style():
        canvas = Canvas(figsize=(9.6, 3.5))
        axes = canvas.subplots(1, 3, sharey=True, width_ratios=[2, 7, 6])
        for axis, (slicing, title) in zip(axes, SLICES.items(), strict=True):
            names = part_names(slicing)
            for number, (name, part) in enumerate(reversed(list(judged.items()))):
                array = slice_counts(part, slicing)
                interval = bootstrap(array, slice_metrics, _REPLICAS)
                enough = array.sum(axis=(0, 3))[:, 0] >= _FEWEST
                for k, (what, marker) in enumerate((("efficiency", "o"), ("purity", "s"))):
                    value = np.where(enough, interval.value[:, k], np.nan)
                    low, high = value - interval.low[:, k], interval.high[:, k] - value
                    x = np.arange(len(names)) + 0.12 * (number - 0.5 * (len(judged) - 1))
                    axis.errorbar(
                        x, value, np.maximum([low, high], 0), fmt=marker + ("-" if slicing != "planes" else ""),
                        color=color_of(name), markerfacecolor=color_of(name) if k == 0 else "none", linewidth=1.0,
                        label=f"{name}: {what}",
                    )  # fmt: skip
            axis.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
            axis.set_xlim(-0.5, len(names) - 0.5)
            axis.set_title(title)
        axes[0].set_ylim(0, 1.02)
        axes[0].set_ylabel("at a score of 0.5")
        handles, labels = axes[0].get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda k: not labels[k].startswith(MODEL))
        handles, labels = [handles[k] for k in order], [labels[k] for k in order]
        canvas.legend(handles, labels, loc="upper center", ncols=4, bbox_to_anchor=(0.5, 0.04))
        svg = to_svg(canvas, "parts", "Efficiency and purity for parts of the events", gap=1)
    return Figure(
        "parts",
        "Efficiency and purity for parts of events",
        "Of candidates with a score of at least 0.5. Angles are those of true directions: 0° lies along the drift, 90° "
        "along the wire planes; ghosts have none.",
        svg=svg,
    )
