"""Spinning or sleeping OpenMP threads: training steps of U-ResNet on idle cores, and with other work beside them.

    python benchmarks/threads.py [--steps 10]

Prints the median seconds of a step for each wait policy, alone and with one busy process per core, and the ratios.
The policy is read when the OpenMP library is loaded, so each measurement is a process of its own; the two policies
take turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

import numpy as np

POLICIES = ("ACTIVE", "PASSIVE")


def steps(count: int) -> list[float]:
    """Seconds of each training step on eight events of straight lines, about 10,000 voxels."""
    import torch

    from weft import tasks
    from weft.engine.task import Sample

    torch.set_num_threads(os.cpu_count() or 1)
    rng = np.random.default_rng(0)
    task = tasks.build("segmentation", {"model": {"filters": 16}})
    samples = []
    for event in range(8):
        starts, directions = rng.uniform(0, 256, (12, 3)), rng.normal(size=(12, 3))
        points = starts[:, None] + 0.4 * np.arange(250)[:, None] * directions[:, None]
        coords = np.unique(np.floor(points.reshape(-1, 3)).astype(np.int32), axis=0)
        labels = rng.integers(0, 5, len(coords)).astype(np.int8)
        arrays = {"coords": coords, "charge": rng.exponential(1, (len(coords), 1)).astype(np.float32)}
        samples.append(Sample({**arrays, "semantics": labels}, (0, event)))
    batch, network = task.collate(samples), task.network()
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


def measure(policy: str, count: int) -> float:
    command = [sys.executable, __file__, "--child", "--steps", str(count)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_WAIT_POLICY": policy}, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(statistics.median(steps(arguments.steps)))
        return
    print("| other work | spinning [s/step] | sleeping [s/step] | spinning / sleeping |\n|---|---|---|---|")
    for load in (0, os.cpu_count() or 1):
        others = [multiprocessing.Process(target=_busy, daemon=True) for _ in range(load)]
        for process in others:
            process.start()
        runs = [[measure(policy, arguments.steps) for policy in POLICIES] for _ in range(arguments.rounds)]
        for process in others:
            process.terminate()
        spinning, sleeping = (statistics.median(column) for column in zip(*runs, strict=True))
        ratio = statistics.median(a / b for a, b in runs)
        print(f"| {load} busy processes | {spinning:.2f} | {sleeping:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
