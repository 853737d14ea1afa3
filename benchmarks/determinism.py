"""What deterministic algorithms cost a training step of U-ResNet on the CPU.

    python benchmarks/determinism.py [--rounds 20] [--write]

Steps without and with them, and with torch's filling of new tensors on top, take turns; the processor time of each is
divided by that of its neighbour without. Prints the median of the ratio and its 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path

import numpy as np
import torch

from weft import tasks
from weft.engine.determinism import deterministic
from weft.engine.task import Sample
from weft.io.provenance import processor
from weft.sparse.benchmark import commit
from weft.sparse.synthetic import synthetic_event

CASES = ("without", "deterministic", "and new tensors filled with NaN")


def ratios(engine: str, rounds: int) -> np.ndarray:
    """[rounds, 2]: processor time of the other cases over that without."""
    rng = np.random.default_rng(0)
    task = tasks.build("segmentation", {"model": {"filters": 16, "engine": engine}})
    samples = []
    for event in range(4):
        coords = synthetic_event(rng)
        arrays = {"coords": coords, "charge": rng.exponential(1, (len(coords), 1)).astype(np.float32)}
        samples.append(Sample(arrays | {"semantics": rng.integers(0, 5, len(coords)).astype(np.int8)}, (0, event)))
    batch, network = task.collate(samples), task.network()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step(case: str) -> float:
        with deterministic(case != CASES[0]):
            torch.utils.deterministic.fill_uninitialized_memory = case == CASES[2]  # type: ignore[attr-defined]
            start = time.process_time()
            optimizer.zero_grad()
            total, weight = task.loss(network(batch), batch)["semantic"]
            (total / weight).backward()
            optimizer.step()
            return time.process_time() - start

    for case in CASES:
        step(case)
    seconds = np.array([[step(case) for case in CASES] for _ in range(rounds)])
    return seconds[:, 1:] / seconds[:, :1]


def interval(values: np.ndarray) -> str:
    rng = np.random.default_rng(1)
    medians = np.median(rng.choice(values, (2000, len(values))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return f"{np.median(values):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/determinism.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [f"| engine | {' | '.join(CASES[1:])} |", "|---|---|---|"]
    for engine in ("numba", "torch"):
        rows.append(f"| {engine} | {' | '.join(interval(column) for column in ratios(engine, arguments.rounds).T)} |")
    table = "\n".join(rows)
    print(table)
    if arguments.write:
        text = (
            "# Deterministic algorithms on the CPU\n\nProcessor time of a training step over that without, U-ResNet of "
            "16 filters, 4 events, one thread.\nMade by `python benchmarks/determinism.py --write` on "
            f"{processor()}, torch {torch.__version__}, {datetime.date.today()}, commit {commit()}.\n\n{table}\n"
        )
        (Path(__file__).parent / "results" / "determinism.md").write_text(text)


if __name__ == "__main__":
    main()
