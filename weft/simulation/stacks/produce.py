"""Folders of simulated stacks: OME-TIFF files of image, labels, instances and cost, as a user's own would be."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from weft.io.atomic import atomic_folder
from weft.io.provenance import collect, write_record
from weft.io.stack_files import SUFFIXES
from weft.io.tiff_write import write_ome_tiff
from weft.simulation.stacks.settings import StackSettings
from weft.simulation.stacks.stack import simulate_stack
from weft.simulation.workers import RUN, in_order, require_possible

#: Beside the images: code, packages, machine and settings.
PROVENANCE = "provenance.json"


def simulate_folder(
    settings: StackSettings,
    seed: int,
    first: int,
    count: int,
    path: str | os.PathLike[str],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write stacks first … first+count−1 of a sample to a folder, whole or not at all.

    The images are functions of (settings, seed, number), whatever the number of processes. Run is 1, subrun the seed,
    event the number of the stack.

    Args:
        path: the folder; it replaces what was there.
        processes: how many simulate at once.
        progress: called with the number of stacks done so far, and `count`.

    Raises:
        SimulationError: an impossible number.
    """
    require_possible(seed, first, count, processes)
    with atomic_folder(path) as folder:
        write = partial(_write, settings, seed, folder)
        with closing(in_order(write, range(first, first + count), processes)) as written:
            for done, _ in enumerate(written, 1):
                if progress is not None:
                    progress(done, count)
        write_record(folder / PROVENANCE, collect(settings, seed, first=first, count=count))
    return Path(path)


def _write(settings: StackSettings, seed: int, folder: Path, index: int) -> None:
    stack = simulate_stack(settings, seed, index)
    name = f"img_{seed:03d}_{index:05d}"
    record = {"event": [RUN, seed, index], "simulation": settings.model_dump(mode="json")}
    save = partial(write_ome_tiff, spacing=settings.spacing, record=record)
    save(folder / f"{name}.ome.tif", stack.image, "CZYX")
    labels = stack.labels if stack.labels.min() < 0 else stack.labels.astype(np.uint8)
    for product, array in (("labels", labels), ("cost", stack.cost), ("instances", stack.instances)):
        save(folder / f"{name}{SUFFIXES[product]}.ome.tif", array)
