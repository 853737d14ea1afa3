"""Folders of simulated files, one or a few of each event, as a user's own would be."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel

from weft.io.atomic import atomic_folder
from weft.io.provenance import collect, write_record
from weft.simulation.workers import in_order, require_possible

#: Beside the files: code, packages, machine and settings.
PROVENANCE = "provenance.json"

Settings = TypeVar("Settings", bound=BaseModel, contravariant=True)


class Write(Protocol[Settings]):
    """Writes the files of event `index` of a sample into a folder; a function of a module, which processes can get."""

    def __call__(self, settings: Settings, seed: int, folder: Path, index: int) -> None: ...


def simulate_files(
    write: Write[Settings],
    settings: Settings,
    seed: int,
    first: int,
    count: int,
    path: str | os.PathLike[str],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write events first … first+count−1 of a sample to a folder, whole or not at all.

    What `write` makes is to be a function of (settings, seed, number), whatever the number of processes.

    Args:
        path: the folder; it replaces what was there.
        processes: how many simulate at once.
        progress: called with the number of events done so far, and `count`.

    Raises:
        SimulationError: an impossible number.
    """
    require_possible(seed, first, count, processes)
    with atomic_folder(path) as folder:
        one = partial(write, settings, seed, folder)
        with closing(in_order(one, range(first, first + count), processes)) as written:
            for done, _ in enumerate(written, 1):
                if progress is not None:
                    progress(done, count)
        write_record(folder / PROVENANCE, collect(settings, seed, first=first, count=count))
    return Path(path)
