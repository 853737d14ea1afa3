"""Folders of simulated stacks: OME-TIFF files of image, labels, instances and cost, as a user's own would be."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from weft.io.stack_files import SUFFIXES
from weft.io.tiff_write import write_ome_tiff
from weft.simulation.folders import simulate_files
from weft.simulation.stacks.settings import StackSettings
from weft.simulation.stacks.stack import simulate_stack
from weft.simulation.workers import RUN


def simulate_folder(
    settings: StackSettings,
    seed: int,
    first: int,
    count: int,
    path: str | os.PathLike[str],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write stacks first … first+count−1 of a sample to a folder: see :func:`weft.simulation.folders.simulate_files`.

    Run is 1, subrun the seed, event the number of the stack.
    """
    return simulate_files(_write, settings, seed, first, count, path, processes, progress)


def _write(settings: StackSettings, seed: int, folder: Path, index: int) -> None:
    stack = simulate_stack(settings, seed, index)
    name = f"img_{seed:03d}_{index:05d}"
    record = {"event": [RUN, seed, index], "simulation": settings.model_dump(mode="json")}
    save = partial(write_ome_tiff, spacing=settings.spacing, record=record)
    save(folder / f"{name}.ome.tif", stack.image, "CZYX")
    labels = stack.labels if stack.labels.min() < 0 else stack.labels.astype(np.uint8)
    for product, array in (("labels", labels), ("cost", stack.cost), ("instances", stack.instances)):
        save(folder / f"{name}{SUFFIXES[product]}.ome.tif", array)
