"""Time and memory of every stage against the number of voxels of an event."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weft.bench.events import simulate_size
from weft.bench.stages import Run, Step, steps_of
from weft.config.dataset import Dataset
from weft.config.experiment import Experiment
from weft.sparse.benchmark import high_water, peak_memory

#: Smaller events are left out of the fit of exponents: there the time of a stage is that of starting it.
FITTED_FROM = 5_000


@dataclass(frozen=True)
class Size:
    """One event: what its stages took."""

    voxels: int
    seconds: dict[str, float]
    """processor time by stage, the less of two runs"""
    memory: dict[str, float]
    """MiB by stage above what was held before it"""
    edges: dict[str, int]
    """pairs of nodes in the graphs, by stage"""
    process: float
    """MiB: the most that the process held, with all code, networks and products"""


def measure_growth(experiment: Experiment, dataset: Dataset, sizes: Sequence[int], models: Path | None) -> list[Size]:
    """Each size in a process of its own, since an allocator that has grown hides what the next event needs."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for voxels in sizes:
            path = Path(folder) / f"{voxels}.h5"
            simulate_size(path, voxels)
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                arguments = experiment, dataset, path, models, torch.get_num_threads()
                found.append(process.submit(_measure, *arguments).result())
            print(f"{found[-1].voxels:,} voxels: {sum(found[-1].seconds.values()):.2f} s", flush=True)
    return found


def _measure(experiment: Experiment, dataset: Dataset, events: Path, models: Path | None, threads: int) -> Size:
    torch.set_num_threads(threads)
    steps = steps_of(experiment, dataset, models=models)
    run = Run(events)
    seconds: dict[str, float] = {}
    memory: dict[str, float] = {}
    edges: dict[str, int] = {}
    process = 0.0
    for number in range(3):  # compiled code is loaded, then memory, then nothing but time
        for step in steps:
            spent: list[float] = []

            def predict(step: Step = step, spent: list[float] = spent) -> None:
                spent.append(run.predict(step))

            if number == 1:
                memory[step.name] = peak_memory(predict)
                process = max(process, high_water())
            else:
                predict()
            seconds[step.name] = min(seconds[step.name], spent[0]) if number > 1 else spent[0]
    for step in steps:
        product = f"{step.name}_edges"
        if product in run.stretch.made[step.name][0]:
            edges[step.name] = len(run.stretch.made[step.name][0][product])
    voxels = run.voxels
    run.close()
    return Size(voxels, seconds, memory, edges, process)


def exponent(sizes: Sequence[Size], stage: str | None = None) -> float:
    """Power of the number of voxels with which the time of a stage, or of all, grows: least squares of the logarithms;
    NaN for fewer than two sizes."""
    fitted = [size for size in sizes if size.voxels >= FITTED_FROM]
    if len(fitted) < 2:
        return float("nan")
    times = [sum(size.seconds.values()) if stage is None else size.seconds[stage] for size in fitted]
    return float(np.polyfit(np.log([size.voxels for size in fitted]), np.log(times), 1)[0])
