"""Training steps of U-ResNet with one thread and with several, on idle cores and with other work beside them.

    python benchmarks/threads.py [--steps 8] [--write]

Prints the median seconds of a step. OpenMP threads wait for each other by spinning; where something else wants the core
that one of them should run on, all of them wait. Each measurement is a process of its own, and they take turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from weft.engine.task import Sample


def events() -> list[Sample]:
    """Eight events of straight lines, about 15,000 voxels."""
    rng = np.random.default_rng(0)
    samples = []
    for event in range(8):
        starts, directions = rng.uniform(0, 256, (12, 3)), rng.normal(size=(12, 3))
        points = starts[:, None] + 0.4 * np.arange(250)[:, None] * directions[:, None]
        coords = np.unique(np.floor(points.reshape(-1, 3)).astype(np.int32), axis=0)
        labels = rng.integers(0, 5, len(coords)).astype(np.int8)
        arrays = {"coords": coords, "charge": rng.exponential(1, (len(coords), 1)).astype(np.float32)}
        samples.append(Sample({**arrays, "semantics": labels}, (0, event)))
    return samples


def steps(count: int, threads: int) -> list[float]:
    """Seconds of each training step on these events."""
    import torch

    from weft import tasks

    torch.set_num_threads(threads)
    task = tasks.build("segmentation", {"model": {"filters": 16}})
    batch, network = task.collate(events()), task.network()
    optimizer = torch.optim.AdamW(network.parameters())
    seconds = []
    for _ in range(count + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        total, weight = task.loss(network(batch), batch)["semantic"]
        (total / weight).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds[2:]


def _busy() -> None:
    while True:
        pass


def measure(threads: int, count: int) -> float:
    command = [sys.executable, __file__, "--child", str(threads), "--steps", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/threads.md")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(statistics.median(steps(arguments.steps, arguments.child)))
        return
    cores = os.cpu_count() or 1
    counts = sorted({1, 2, cores})
    head = " | ".join(f"{threads} thread{'s' if threads > 1 else ''} [s/step]" for threads in counts)
    rows = [f"| other work | {head} |", "|---" * (len(counts) + 1) + "|"]
    for load in (0, cores):
        others = [multiprocessing.Process(target=_busy, daemon=True) for _ in range(load)]
        for process in others:
            process.start()
        runs = [[measure(threads, arguments.steps) for threads in counts] for _ in range(arguments.rounds)]
        for process in others:
            process.terminate()
        medians = " | ".join(f"{statistics.median(column):.2f}" for column in zip(*runs, strict=True))
        rows.append(f"| {load} busy processes on {cores} cores | {medians} |")
    table = "\n".join(rows)
    print(table)
    if arguments.write:
        text = f"# One thread or several\n\nMade by `python benchmarks/threads.py --write`.\n\n{table}\n"
        (Path(__file__).parent / "results" / "threads.md").write_text(text)


if __name__ == "__main__":
    main()
