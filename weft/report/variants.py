"""The variants of a stage side by side: its seeds and its baseline, on which events, and in what words."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.errors import WeftError
from weft.metrics.bootstrap import Interval, paired_bootstrap
from weft.metrics.scores import Scores, concat
from weft.report.comparison import Difference, worst_of
from weft.report.palette import BASELINE_COLOR, SERIES_COLORS

Place = int | tuple[int, ...]
"""of a statistic among several"""
#: Name of all seeds taken together.
MODEL = "model"
MISSING = "–"
#: What the captions of tables with a column of differences say of it.
DIFFERENCE_OVER = "Difference: of the seed that does worst against the baseline, paired bootstrap over {}s."
DIFFERENCE = DIFFERENCE_OVER.format("event")


# ---------------------------------------------------------------------------------------- which, on which events


def trained(scores: Mapping[str, Scores]) -> list[str]:
    """The variants that are not the baseline. Raises WeftError where there are none."""
    models = [variant for variant in scores if variant != BASELINE]
    if not models:
        raise WeftError("no trained variant among the scores: train, deploy and evaluate at least one seed")
    return models


def pooled(scores: Mapping[str, Scores]) -> dict[str, Scores]:
    """The trained variants as one, and the baseline where there is one."""
    together = {MODEL: concat([scores[v] for v in trained(scores)])}
    return together | ({BASELINE: scores[BASELINE]} if BASELINE in scores else {})


def select(scores: Scores, split: str) -> Scores:
    """The rows of one split."""
    return Scores(*(table[table["split"] == split] for table in scores))


def splits_of(scores: Mapping[str, Scores], first: str) -> list[str]:
    """The splits that were scored, the one to judge by first."""
    splits = next(iter(scores.values())).events["split"].unique().tolist()
    return sorted(splits, key=lambda name: name != first)


def same_events(scores: Mapping[str, Scores], split: str) -> dict[str, pd.DataFrame]:
    """The events table of each variant on one split, the same event in the same row of all.

    Raises WeftError where there are no events, and where variants were scored on different ones.
    """
    tables = {v: s.events[s.events["split"] == split].sort_values("uid") for v, s in scores.items()}
    first, *others = tables
    if not len(tables[first]):
        raise WeftError(f"{first} has no scored events of the split '{split}': run `weft evaluate` again")
    for other in others:
        if not np.array_equal(tables[first]["uid"], tables[other]["uid"]):
            raise WeftError(
                f"split {split}: {first} was scored on {len(tables[first])} events and {other} on "
                f"{len(tables[other])} others: deploy and evaluate all variants on the same events"
            )
    return tables


def differences(
    counts: Mapping[str, np.ndarray], models: Sequence[str], metric: Callable[[np.ndarray], np.ndarray]
) -> list[Interval]:
    """Each model minus the baseline, from counts per event [E, ...] of each variant; empty without a baseline."""
    if BASELINE not in counts:
        return []
    return [paired_bootstrap(counts[v], counts[BASELINE], metric) for v in models]


def color_of(name: str) -> str:
    """Of the curve of the model or the baseline."""
    return BASELINE_COLOR if name == BASELINE else SERIES_COLORS[0]


# ---------------------------------------------------------------------------------------------- in words


def number(value: Any, decimals: int = 4, sign: str = "") -> str:
    """With so many decimals, fewer from 10 on: more than five digits say nothing. sign: "+" writes that one too."""
    if not np.isfinite(value):
        return MISSING
    digits = len(f"{abs(value):.0f}")
    return f"{value:{sign}.{max(1, decimals + 1 - digits)}f}".replace("-", "−")


def signed(value: Any, decimals: int = 4) -> str:
    return number(value, decimals, sign="+")


def spread(values: Sequence[Any], decimals: int = 4) -> str:
    """Mean, and standard deviation where there are several seeds."""
    text = number(np.mean(values), decimals)
    if len(values) == 1 or not np.isfinite(values).all():
        return text
    return f"{text} ± {number(np.std(values, ddof=1), decimals)}"


def beside(values: Mapping[str, Any], decimals: int = 4, intervals: Sequence[Interval] = (), k: Place = ()) -> str:
    """The values of the models, with the :func:`envelope` of their intervals where there are any, and behind a slash
    that of the baseline."""
    text = spread([value for variant, value in values.items() if variant != BASELINE], decimals)
    if intervals and text != MISSING and (limits := envelope(intervals, k, decimals)) != MISSING:
        text += f" {limits}"
    return f"{text} / {number(values[BASELINE], decimals)}" if BASELINE in values else text


def heading(variants: Container[str]) -> str:
    """What a column of :func:`beside` says behind its metric."""
    return ", model / baseline" if BASELINE in variants else ""


def worst(differences: Sequence[Difference], better: int = 1, decimals: int = 4) -> str:
    """The difference of the seed that does worst: where the interval of that one is above zero, all are. better: −1
    where less is better."""
    found = worst_of(differences, better)
    value, low, high = (signed(x, decimals) for x in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]" if found.known else value


def envelope(intervals: Sequence[Interval], k: Place = (), decimals: int = 4) -> str:
    """From the lowest to the highest end among seeds; k: which of several statistics. Of one event there is none."""
    low, high = min(i.low[k] for i in intervals), max(i.high[k] for i in intervals)
    if not (np.isfinite(low) or np.isfinite(high)):
        return MISSING
    return f"[{number(low, decimals)}, {number(high, decimals)}]"


def seeds(models: Sequence[str]) -> str:
    """Of what variants a table speaks."""
    if len(models) == 1:
        return f"one variant, {models[0]}"
    return f"mean ± standard deviation of {len(models)} variants ({', '.join(models)})"
