"""The events of an experiment: which splits it used, how many events they hold, and how they were made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from weft.config import CuratedDataset, Dataset, FileDataset, Run, SimulatedDataset
from weft.config.curated import CuratedSplit, Segmentation
from weft.config.plan import SPLITS, learning_splits
from weft.report.figure import Figure
from weft.report.tables import MISSING

#: Of what is simulated: its name, whose settings are the same in a split that is like another, and the page on them.
_SIMULATED = {
    "lartpc": ("Events", "same particles as", "docs/simulation.md"),
    "stacks": ("Stacks", "same cells as", "docs/stacks.md"),
    "towns": ("Towns", "same towns as", "docs/towns.md"),
    "streets": ("Streets", "same streets as", "docs/images.md"),
}
_USES = dict(zip(SPLITS, ("training", "validation"), strict=True))


def dataset_table(dataset: Dataset, runs: Sequence[Run], thing: str = "event") -> Figure:
    """The splits that the runs of an experiment used, one row each.

    Simulated splits show the settings that were given; files show where they lie. The events of files are counted where
    they were scored, from the tables of the runs. ``thing``: what an event is, in a word.
    """
    learning = {split for run in runs for split in learning_splits(run.stage)}
    uses = {split: use for split, use in _USES.items() if split in learning}
    if any(run.stage.training is not None and run.stage.training.hold_out is not None for run in runs):
        uses["train"] = "training, some of it validation"
    uses |= {split: "evaluation" for run in runs for split in run.stage.evaluation.splits if split not in uses}
    if isinstance(dataset, SimulatedDataset):
        table, caption = _simulated(dataset, uses, f"{thing}s")
    elif isinstance(dataset, CuratedDataset):
        table, caption = _curated(dataset, uses, runs, f"{thing}s")
    else:
        table, caption = _from_files(dataset, uses, runs, f"{thing}s")
    table = table.loc[:, (table != MISSING).any()]
    return Figure("dataset", dataset.title or dataset.name, caption, table=table)


def _simulated(dataset: SimulatedDataset, uses: Mapping[str, str], things: str) -> tuple[pd.DataFrame, str]:
    named, same, page = _SIMULATED[dataset.kind]
    settings = {split: dict(flat(dataset.split(split).simulation)) for split in uses}
    first, *others = settings.values()
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    rows = []
    for split, use in uses.items():
        resolved = dataset.split(split)
        own = {key: value for key, value in settings[split].items() if key not in shared}
        rows.append(
            {
                "split": split,
                "used for": use,
                things: resolved.events,
                "shards": resolved.shards,
                "seed": resolved.seed,
                same: dataset.splits[split].like or MISSING,
                "settings": _said(own) or MISSING,
            }
        )
    common = f" In all splits: {_said(shared)}." if shared else ""
    rest = "Settings that are not named" if any(settings.values()) else "All settings"
    return pd.DataFrame(rows), (
        f"{named} of the embedded simulation, dataset {dataset.id}.{common} {rest} have their defaults, which {page} "
        "lists with their units."
    )


def _from_files(
    dataset: FileDataset, uses: Mapping[str, str], runs: Sequence[Run], things: str
) -> tuple[pd.DataFrame, str]:
    scored = _scored(runs)
    rows = []
    for split, use in uses.items():
        entry = dataset.splits[split]
        of_split = scored[scored["split"] == split]
        common = [dataset.manifest] if dataset.manifest else dataset.files
        rows.append(
            {
                "split": split,
                "used for": use,
                things: of_split["uid"].nunique() or MISSING,
                "shards": of_split["shard"].nunique() or MISSING,
                "files": ", ".join(entry.files or common),
                f"share of their {things}": MISSING if entry.fraction is None else f"{entry.fraction:g}",
            }
        )
    kind = "" if dataset.kind == "auto" else f" of kind {dataset.kind}"
    caption = (
        f"{things.capitalize()} of files{kind}, dataset {dataset.id}. "
        f"{things.capitalize()} and shards are counted where they were scored."
    )
    return pd.DataFrame(rows), caption


def _curated(
    dataset: CuratedDataset, uses: Mapping[str, str], runs: Sequence[Run], things: str
) -> tuple[pd.DataFrame, str]:
    scored = _scored(runs)
    rows = []
    for split, use in uses.items():
        entry = dataset.splits[split]
        rows.append(
            {
                "split": split,
                "used for": use,
                things: scored.loc[scored["split"] == split, "uid"].nunique() or MISSING,
                "curated by": entry.how,
                "images": f"split {entry.split}",
                "labels": _labels(entry),
                "decided by": _decided_by(entry),
                "least probable voxel": MISSING if entry.min_probability is None else f"{entry.min_probability:g}",
            }
        )
    return pd.DataFrame(rows), (
        f"Stacks whose labels were curated, dataset {dataset.id}. {things.capitalize()} are counted where they were "
        "scored; the contact sheets of a split lie in its folder review."
    )


def _labels(entry: CuratedSplit) -> str:
    if entry.dataset is not None:
        return f"truth of {entry.dataset}"
    both = [_segmentation(part) for part in (entry.segmentation, entry.other) if part is not None]
    return ", merged with ".join(both)


def _segmentation(part: Segmentation) -> str:
    return ", ".join(filter(None, [part.experiment, part.stage, part.variant]))


def _decided_by(entry: CuratedSplit) -> str:
    accept = {} if entry.accept is None else entry.accept.model_dump()
    return ", ".join(filter(None, [entry.decisions, _said(dict(_given(accept)))])) or MISSING


def _given(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((key, value) for key, value in settings.items() if value is not None)


def _scored(runs: Sequence[Run]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(run.score("events"), columns=["split", "shard", "uid"]) for run in runs])


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as ("response.noise", 1200) pairs."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}\u00a0=\u00a0{_value(value)}" for key, value in settings.items())


def _value(value: Any) -> str:
    """As it would be written in a config, on one line."""
    if not isinstance(value, list | tuple | dict):
        return str(value)
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).strip()
