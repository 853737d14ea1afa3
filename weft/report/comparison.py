"""Model against baseline on the same events: the numbers and the sentence at the top of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, Protocol

import numpy as np
import pandas as pd

from weft.errors import WeftError
from weft.metrics.bootstrap import CLAIM_EVENTS, Interval, paired_bootstrap
from weft.metrics.scores import Scores, counts, pool
from weft.report.figure import Figure
from weft.report.tables import format_number

# What a claim of this project needs, besides a task's number of events: DESIGN §6.
CLAIM_SEEDS = 3

Metrics = Callable[[pd.DataFrame], pd.DataFrame]
"""as :meth:`weft.engine.task.Task.metrics`: from rows of counts to rows of metrics"""


class Judge(Protocol):
    """What a report asks of a task (:class:`weft.engine.task.Task`)."""

    @property
    def headline(self) -> tuple[str, ...]: ...
    @property
    def thing(self) -> str: ...
    @property
    def claim_events(self) -> int: ...
    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame: ...
    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]: ...
    def event_payload(self, store: Any, index: int, subtitle: str, label: str) -> Mapping[str, Any] | None: ...
    def event_figures(self, store: Any, index: int, note: str) -> list[Figure]: ...


_WORDS = {"iou": "IoU", "dice": "Dice", "f1": "F1", "nll": "NLL", "ari": "ARI", "ece": "ECE", "pid": "PID"}


def metric_label(name: str) -> str:
    """``mean_iou`` as a reader knows it: "mean IoU"; ``f1_3`` is "F1 at 3", ``within_3cm`` "within 3 cm"."""
    name = re.sub(r"(?<=[a-z0-9])_(\d+)$", r"_at_\1", name)
    name = re.sub(r"(?<=_)(\d+)([a-z]+)", r"\1_\2", name)
    return " ".join(_WORDS.get(word, word) for word in re.split(r"[_\s]+", name))


@dataclass(frozen=True)
class Difference:
    """Model minus baseline with its interval; NaN where the metric is not defined."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval, k: int | tuple[()] = ()) -> Difference:
        """One statistic of a paired bootstrap: number ``k``, or its only one."""
        return cls(float(interval.value[k]), float(interval.low[k]), float(interval.high[k]))

    def __str__(self) -> str:
        value, low, high = (f"{x:.4f}".replace("-", "\u2212") for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]" if self.known else value

    @property
    def known(self) -> bool:
        """Whether there is an interval: one event has none."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def worst_of(differences: Sequence[Difference], better: int = 1) -> Difference:
    """That of the seed whose interval begins lowest, or with ``better`` −1, where less is better, ends highest.

    Where intervals are not known, the one with the worst value.
    """
    if not all(difference.known for difference in differences):
        return min(differences, key=lambda difference: better * difference.value)
    return min(differences, key=lambda difference: difference.low if better > 0 else -difference.high)


def verdict(differences: Sequence[Difference]) -> str:
    """``beats`` or ``loses`` where every seed's interval excludes zero on the same side, else ``even``.

    ``alone`` where there is nothing to compare with.
    """
    if not differences:
        return "alone"
    if all(difference.low > 0 for difference in differences):
        return "beats"
    return "loses" if all(difference.high < 0 for difference in differences) else "even"


@dataclass(frozen=True)
class Comparison:
    """One metric of one split: every seed's value, the baseline's, and the paired differences. Larger is better."""

    metric: str
    split: str
    n_events: int
    model: Mapping[str, float]
    baseline: float | None = None
    differences: Mapping[str, Difference] | None = None
    claim_events: int = CLAIM_EVENTS
    """held-out events that a claim takes"""
    thing: str = "event"
    """what an event is, in a word"""

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
        return verdict(list((self.differences or {}).values()))

    def sentence(self, stage: str) -> str:
        """What was found, in words, with the caveat that too few seeds or events ask for."""
        events = f"{self.n_events} held-out {self.thing}{'s' if self.n_events != 1 else ''}"
        if self.verdict == "alone":
            return f"{stage} reaches {format_number(self.mean)} in {self.label} on {events}; it has no baseline."
        differences = self.differences or {}
        if self.n_events == 1:
            return (
                f"{stage} reaches {format_number(self.mean)} in {self.label} on one {self.thing}, the baseline "
                f"{format_number(self.baseline)}: a single {self.thing} does not tell them apart."
            )
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
        if len(differences) < CLAIM_SEEDS or self.n_events < self.claim_events:
            text += f" An indication: a claim takes {CLAIM_SEEDS} seeds and {self.claim_events} {self.thing}s."
        return text


def compare(
    metrics: Metrics,
    names: Sequence[str],
    split: str,
    models: Mapping[str, pd.DataFrame],
    baseline: pd.DataFrame | None,
    replicas: int = 2000,
    claim_events: int = CLAIM_EVENTS,
    thing: str = "event",
) -> list[Comparison]:
    """Compare every model with the baseline, metric by metric, by a bootstrap over events that both share.

    ``metrics`` gives the metrics of rows of counts, of which those of ``names`` are compared; ``models`` and
    ``baseline`` are tables of event scores of one split, with the column ``uid``; ``claim_events`` is how many of them
    a claim takes, ``thing`` what they are, in a word. Raises `WeftError` where model and baseline were scored on
    different events.
    """

    def values(table: pd.DataFrame) -> np.ndarray:
        return metrics(table)[list(names)].to_numpy(np.float64)

    pooled = {variant: values(pool(table))[0] for variant, table in models.items()}
    differences: dict[str, Interval] = {}
    if baseline is not None:
        reference = values(pool(baseline))[0]
        theirs = counts(baseline.sort_values("uid"))
        for variant, table in models.items():
            _require_same_events(table, baseline, variant, split)
            ours = counts(table.sort_values("uid"))[theirs.columns]
            differences[variant] = paired_bootstrap(
                ours, theirs, lambda sums: values(pd.DataFrame(sums, columns=theirs.columns)), replicas
            )
    return [
        Comparison(
            metric=name,
            split=split,
            n_events=len(next(iter(models.values()))),
            model={variant: float(value[k]) for variant, value in pooled.items()},
            baseline=None if baseline is None else float(reference[k]),
            differences={variant: Difference.of(interval, k) for variant, interval in differences.items()} or None,
            claim_events=claim_events,
            thing=thing,
        )
        for k, name in enumerate(names)
    ]


def _require_same_events(model: pd.DataFrame, baseline: pd.DataFrame, variant: str, split: str) -> None:
    if not np.array_equal(np.sort(model["uid"].to_numpy()), np.sort(baseline["uid"].to_numpy())):
        raise WeftError(
            f"split {split}: {variant} was scored on {len(model)} events and the baseline on {len(baseline)} "
            "others: deploy and evaluate both on the same events"
        )
