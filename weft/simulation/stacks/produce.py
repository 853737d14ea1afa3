"""Folders of simulated stacks: OME-TIFF files of image, labels, instances and cost, as a user's own would be."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.atomic import atomic_folder
from weft.io.provenance import collect, write_record
from weft.io.stack_files import SUFFIXES
from weft.io.tiff_write import write_ome_tiff
from weft.simulation.stacks.settings import StackSettings
from weft.simulation.stacks.stack import simulate_stack

RUN = 1
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
        WeftError: an impossible number.
    """
    if count < 1 or first < 0:
        raise WeftError(f"simulate: first {first} and count {count}: expected first >= 0 and count >= 1")
    if not 0 <= seed < 2**32:
        raise WeftError(f"simulate: seed {seed}: expected 0 <= seed < 2**32")
    if processes < 1:
        raise WeftError(f"simulate: processes {processes}: expected at least 1")
    with atomic_folder(path) as folder:
        write = partial(_write, settings, seed, folder)
        numbers = range(first, first + count)
        if processes == 1 or count == 1:
            _drain(map(write, numbers), count, progress)
        else:
            # A forked worker does not import the caller's main module again, which a workflow's script must not.
            context = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else "spawn")
            with ProcessPoolExecutor(min(processes, count), context) as pool:
                _drain(pool.map(write, numbers), count, progress)
        write_record(folder / PROVENANCE, collect(settings, seed, first=first, count=count))
    return Path(path)


def _drain(done: Any, count: int, progress: Callable[[int, int], None] | None) -> None:
    for number, _ in enumerate(done, 1):
        if progress is not None:
            progress(number, count)


def _write(settings: StackSettings, seed: int, folder: Path, index: int) -> None:
    stack = simulate_stack(settings, seed, index)
    name = f"img_{seed:03d}_{index:05d}"
    record = {"event": [RUN, seed, index], "simulation": settings.model_dump(mode="json")}
    save = partial(write_ome_tiff, spacing=settings.spacing, record=record)
    save(folder / f"{name}.ome.tif", stack.image, "CZYX")
    labels = stack.labels if stack.labels.min() < 0 else stack.labels.astype(np.uint8)
    for product, array in (("labels", labels), ("cost", stack.cost), ("instances", stack.instances)):
        save(folder / f"{name}{SUFFIXES[product]}.ome.tif", array)
