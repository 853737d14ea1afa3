"""Metrics of the model beside those of the baseline: the first table of a report, and that of shifted conditions.

Metrics are made of counts that add up over events, so every number has an interval by a bootstrap over events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.config import BASELINE
from weft.metrics.bootstrap import Interval, bootstrap, paired_bootstrap
from weft.metrics.scores import Scores, counts
from weft.report.comparison import Difference, Metrics, verdict
from weft.report.variants import (
    MISSING,
    beside,
    envelope,
    heading,
    number,
    same_events,
    signed,
    splits_of,
    spread,
    trained,
    worst,
)

#: More of a metric is better, less of it, or neither by itself.
MORE, LESS, NEITHER = 1, -1, 0
#: From sums of counts [R, ...] to values [R, ...].
Statistic = Callable[[np.ndarray], np.ndarray]


class Quality(NamedTuple):
    """A metric, how it reads in a table, and whether more of it is better."""

    name: str
    text: str
    better: int = MORE


class Counted(NamedTuple):
    """Counts of each variant, float64 [E, columns], the same event in the same row, and what makes metrics of them."""

    arrays: dict[str, np.ndarray]
    statistic: Statistic

    def pooled(self) -> dict[str, np.ndarray]:
        """Of each variant, the metrics of all its events together."""
        return {v: self.statistic(array.sum(axis=0)[None])[0] for v, array in self.arrays.items()}

    def intervals(self, models: Sequence[str], replicas: int) -> list[Interval]:
        """Of each model."""
        return [bootstrap(self.arrays[v], self.statistic, replicas) for v in models]

    def differences(self, models: Sequence[str], replicas: int) -> list[Interval]:
        """Each model minus the baseline; empty without one."""
        if BASELINE not in self.arrays:
            return []
        return [paired_bootstrap(self.arrays[v], self.arrays[BASELINE], self.statistic, replicas) for v in models]


def counted(tables: Mapping[str, pd.DataFrame], metrics: Metrics, names: Sequence[str]) -> Counted:
    """Metrics of these names of events tables, see :func:`weft.report.variants.same_events`.

    metrics: from rows of counts to rows of metrics.
    """
    frames = {v: counts(table) for v, table in tables.items()}
    columns = next(iter(frames.values())).columns

    def statistic(sums: np.ndarray) -> np.ndarray:
        return metrics(pd.DataFrame(sums, columns=columns))[list(names)].to_numpy(np.float64)

    return Counted({v: frame[columns].to_numpy(np.float64) for v, frame in frames.items()}, statistic)


def events_of(tables: Mapping[str, pd.DataFrame]) -> str:
    """ "60 events": on how many the variants were scored."""
    n = len(next(iter(tables.values())))
    return f"{n} event{'' if n == 1 else 's'}"


def quality_table(
    what: Counted,
    models: Sequence[str],
    qualities: Sequence[Quality],
    replicas: int,
    others: Mapping[str, Mapping[str, float]] | None = None,
    decimals: int = 4,
) -> pd.DataFrame:
    """A row for each metric: model with its interval, and where there is a baseline that, the difference of the seed
    that does worst, and who is better.

    what: the metrics of `qualities`, in their order. others: who else was judged, by metric; what is not in it is
    missing.
    """
    values, intervals, against = what.pooled(), what.intervals(models, replicas), what.differences(models, replicas)
    rows = []
    for k, (name, text, better) in enumerate(qualities):
        row: dict[str, object] = {"metric": text, "model": spread([values[v][k] for v in models], decimals)}
        row["95 % interval"] = envelope(intervals, k, decimals)
        if against:
            row[BASELINE] = number(values[BASELINE][k], decimals)
        row |= {who: number(said.get(name, np.nan), decimals) for who, said in (others or {}).items()}
        if against:
            found = [Difference.of(interval, k) for interval in against]
            row["model − baseline [95 %]"] = worst(found, better, decimals)
            row["verdict"] = better_of(found, better)
        rows.append(row)
    return pd.DataFrame(rows)


def better_of(found: Sequence[Difference], better: int) -> str:
    """The verdict; a dash where neither more nor less is better, or a difference is not known."""
    if better == NEITHER or not all(np.isfinite([d.low, d.high]).all() for d in found):
        return MISSING
    return verdict([Difference(-d.value, -d.high, -d.low) for d in found] if better == LESS else found)


def shift_rows(
    scores: Mapping[str, Scores],
    nominal: str,
    metrics: Metrics,
    columns: Sequence[tuple[str, str]],
    replicas: int,
) -> pd.DataFrame:
    """A row for each split that was scored, the nominal one first: metrics of the model with their intervals and of the
    baseline, how far the first one is from its value on the nominal split, and from the baseline.

    columns: names of metrics and how they read.
    """
    models, names = trained(scores), [name for name, _ in columns]
    first = columns[0][1]
    rows, reference = [], np.nan
    for split in splits_of(scores, nominal):
        tables = same_events(scores, split)
        what = counted(tables, metrics, names)
        values, intervals, against = what.pooled(), what.intervals(models, replicas), what.differences(models, replicas)
        row: dict[str, object] = {"split": split, "events": len(tables[models[0]])}
        for k, (_, text) in enumerate(columns):
            row[text + heading(tables)] = beside({v: value[k] for v, value in values.items()}, 3, intervals, k)
        mean = float(np.mean([values[v][0] for v in models]))
        reference = mean if split == nominal else reference
        row[f"{first} against {nominal}"] = MISSING if split == nominal else signed(mean - reference, 3)
        if against:
            row[f"{first} − baseline [95 %]"] = worst([Difference.of(d, 0) for d in against], decimals=3)
        rows.append(row)
    return pd.DataFrame(rows)
