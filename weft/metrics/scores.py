"""Score tables: what `evaluate` leaves behind, and all that a report reads.

A task scores one shard at a time into three data frames. Their rows hold sufficient counts, never averages,
so pooled metrics, curves and bootstraps over any selection of events come from the tables alone:

events   one row per event
objects  one row per thing that is scored by itself: point, cluster, particle, instance
curves   binned counts, one row per event and non-empty bin

On disk: `<folder>/{events,objects,curves}.parquet`, one row group per shard. What the columns mean, with
units, stands in the frames' `attrs["columns"]` and is kept in the files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from weft.errors import WeftError

_NAMES = ("run", "subrun", "event", "uid")
HELD_OUT = "held_out.parquet"
"""beside a model that was validated on events of its training split: the events table of the kept validation"""


class Scores(NamedTuple):
    events: pd.DataFrame
    objects: pd.DataFrame
    curves: pd.DataFrame


def concat(shards: Sequence[Scores]) -> Scores:
    """One set of tables from those of several shards, in their order. Raises WeftError for none."""
    if not shards:
        raise WeftError("no scored shards to put together: expected at least one")
    tables = []
    for frames in zip(*shards, strict=True):
        table = pd.concat(frames, ignore_index=True)
        table.attrs = dict(frames[0].attrs)
        tables.append(table)
    return Scores(*tables)


def counts(events: pd.DataFrame) -> pd.DataFrame:
    """What of an events table adds up over events: its numbers, but for those that name an event."""
    return events.drop(columns=list(_NAMES), errors="ignore").select_dtypes("number")


def pool(events: pd.DataFrame) -> pd.DataFrame:
    """The counts of all events added up: one row."""
    return counts(events).sum(skipna=False).to_frame().T


def write_scores(folder: Path | str, shards: Iterable[Scores]) -> None:
    """Write the tables of a stream of shards, holding one shard at a time.

    The files appear together once the stream has ended; a failure on the way leaves those that were there
    untouched.
    Raises WeftError for an empty stream and for shards whose columns differ.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".scores-") as name:
        temporary = Path(name)
        writers: dict[str, pq.ParquetWriter] = {}
        try:
            for scores in shards:
                for kind, frame in zip(Scores._fields, scores, strict=True):
                    table = pa.Table.from_pandas(frame, preserve_index=False)
                    if kind not in writers:
                        writers[kind] = pq.ParquetWriter(temporary / f"{kind}.parquet", table.schema)
                    elif not writers[kind].schema.equals(table.schema):
                        raise WeftError(f"{folder}: the {kind} tables of two shards have different columns")
                    writers[kind].write_table(table)
        finally:
            for writer in writers.values():
                writer.close()
        if not writers:
            raise WeftError(f"{folder}: no scored shards to write, expected at least one")
        for kind in Scores._fields:
            os.replace(temporary / f"{kind}.parquet", folder / f"{kind}.parquet")


def read_scores(folder: Path | str) -> Scores:
    """The tables that `write_scores` wrote. Raises WeftError naming the file that is missing."""
    folder = Path(folder)
    for kind in Scores._fields:
        if not (folder / f"{kind}.parquet").is_file():
            raise WeftError(f"{folder / kind}.parquet does not exist: run `weft evaluate` for this variant first")
    return Scores(*(pd.read_parquet(folder / f"{kind}.parquet") for kind in Scores._fields))
