"""Model against baseline on the same events: the numbers and the sentence at the top of a report."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import pandas as pd

from weft.errors import WeftError
from weft.report.tables import format_number

REPLICAS = 2000
LEVEL = 0.95
# What a claim of this project needs: DESIGN §6.
CLAIM_SEEDS, CLAIM_EVENTS = 3, 200

Summary = Callable[[pd.DataFrame], Mapping[str, float]]

_WORDS = {"iou": "IoU", "f1": "F1", "nll": "NLL", "ari": "ARI", "ece": "ECE"}


def metric_label(name: str) -> str:
    """``mean_iou`` as a reader knows it: "mean IoU"."""
    return " ".join(_WORDS.get(word, word) for word in re.split(r"[_\s]+", name))


@dataclass(frozen=True)
class Difference:
    """Model minus baseline with its interval; NaN where the metric is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{x:.4f}".replace("-", "\u2212") for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class Comparison:
    """One metric of one split: every seed's value, the baseline's, and the paired differences. Larger is better."""

    metric: str
    split: str
    n_events: int
    model: Mapping[str, float]
    baseline: float | None = None
    differences: Mapping[str, Difference] | None = None

    @property
    def label(self) -> str:
        return metric_label(self.metric)

    @property
    def mean(self) -> float:
        return mean(self.model.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None for a single one."""
        return stdev(self.model.values()) if len(self.model) > 1 else None

    @property
    def verdict(self) -> str:
        """``beats`` or ``loses`` where every seed's interval excludes zero on the same side, else ``even``."""
        intervals = list((self.differences or {}).values())
        if not intervals:
            return "alone"
        if all(interval.low > 0 for interval in intervals):
            return "beats"
        if all(interval.high < 0 for interval in intervals):
            return "loses"
        return "even"

    def sentence(self, stage: str) -> str:
        """What was found, in words, with the caveat that too few seeds or events ask for."""
        events = f"{self.n_events} held-out event{'s' if self.n_events != 1 else ''}"
        if self.verdict == "alone":
            return f"{stage} reaches a {self.label} of {format_number(self.mean)} on {events}; it has no baseline."
        differences = self.differences or {}
        size = format_number(abs(mean(d.value for d in differences.values())))
        if len(differences) == 1:
            only = next(iter(differences.values()))
            limits = sorted([abs(only.low), abs(only.high)])
            extent = f"by {size} [{format_number(limits[0])}, {format_number(limits[1])}]"
            basis = f"95 % interval over {events}, one seed"
        else:
            extent = f"by {size} on average"
            basis = f"{len(differences)} seeds, {events}; the 95 % interval of each seed excludes zero"
        text = {
            "beats": f"{stage} beats the baseline in {self.label} {extent} ({basis}).",
            "loses": f"{stage} loses to the baseline in {self.label} {extent} ({basis}).",
            "even": (
                f"The seeds of {stage} do not agree on how it compares with the baseline in {self.label}"
                if any(d.low > 0 or d.high < 0 for d in differences.values())
                else f"{stage} and the baseline cannot be told apart in {self.label}"
            )
            + ": the difference is "
            + "; ".join(str(d) for d in differences.values())
            + f" (95 % interval{'s' if len(differences) > 1 else ''} over {events}).",
        }[self.verdict]
        if len(differences) < CLAIM_SEEDS or self.n_events < CLAIM_EVENTS:
            text += f" An indication: a claim takes {CLAIM_SEEDS} seeds and {CLAIM_EVENTS} events."
        return text


def compare(
    summary: Summary,
    metrics: Sequence[str],
    split: str,
    models: Mapping[str, pd.DataFrame],
    baseline: pd.DataFrame | None,
    replicas: int = REPLICAS,
) -> list[Comparison]:
    """Compare every model with the baseline, metric by metric, by a bootstrap over events that both share.

    The events drawn are those of :func:`weft.metrics.bootstrap.paired_bootstrap`, so that a task which calls that one
    finds the same intervals; this one asks nothing of a task but its ``summary``.

    ``summary`` maps a table of event scores to pooled metrics; ``models`` and ``baseline`` are such tables of one
    split, with the column ``uid``. Raises `WeftError` where model and baseline were scored on different events.
    """
    values = {variant: summary(table) for variant, table in models.items()}
    pooled: Mapping[str, float] = {}
    differences: dict[str, dict[str, Difference]] = {metric: {} for metric in metrics}
    if baseline is not None:
        pooled = summary(baseline)
        theirs = _resampled(summary, metrics, baseline, replicas)
        for variant, table in models.items():
            _require_same_events(table, baseline, variant, split)
            drawn = _resampled(summary, metrics, table, replicas) - theirs
            tail = 50 * (1 - LEVEL)
            low, high = np.nanpercentile(drawn, [tail, 100 - tail], axis=0)
            for k, metric in enumerate(metrics):
                value = float(values[variant][metric] - pooled[metric])
                differences[metric][variant] = Difference(value, float(low[k]), float(high[k]))
    n_events = len(next(iter(models.values())))
    return [
        Comparison(
            metric=metric,
            split=split,
            n_events=n_events,
            model={variant: float(value[metric]) for variant, value in values.items()},
            baseline=None if baseline is None else float(pooled[metric]),
            differences=differences[metric] or None,
        )
        for metric in metrics
    ]


def _resampled(summary: Summary, metrics: Sequence[str], table: pd.DataFrame, replicas: int) -> np.ndarray:
    """Metrics [replicas, M] of events drawn with replacement, the same draws for every table of the same events."""
    table = table.sort_values("uid", ignore_index=True)
    rng = np.random.default_rng(0)
    drawn = np.empty((replicas, len(metrics)))
    for k in range(replicas):
        values = summary(table.take(rng.integers(len(table), size=len(table))))
        drawn[k] = [values[metric] for metric in metrics]
    return drawn


def _require_same_events(model: pd.DataFrame, baseline: pd.DataFrame, variant: str, split: str) -> None:
    if not np.array_equal(np.sort(model["uid"].to_numpy()), np.sort(baseline["uid"].to_numpy())):
        raise WeftError(
            f"split {split}: {variant} was scored on {len(model)} events and the baseline on {len(baseline)} "
            "others: deploy and evaluate both on the same events"
        )
