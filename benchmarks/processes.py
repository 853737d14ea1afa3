"""Training steps of U-ResNet with one process, with several that share each batch, and with threads instead.

    python benchmarks/processes.py [--steps 8] [--write]

Prints the median seconds of a step of the same batch of eight events. Processes exchange the sums of every batch norm,
forwards and backwards, and the gradients; what they save is the rest. Each measurement is started afresh, and they take
turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from threads import events

from weft.config.experiment import Resources


def steps(count: int, threads: int) -> list[float]:
    """Seconds of each training step of this rank's share of the batch."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    from weft import tasks
    from weft.engine.distributed import rank, ranks_joined, sum_over_ranks, world_size

    torch.set_num_threads(threads)
    with ranks_joined(Resources()):
        task = tasks.build("segmentation", {"model": {"filters": 16}})
        batch, network = task.collate(events()[rank() :: world_size()]), task.network()
        model = DistributedDataParallel(network) if world_size() > 1 else network
        optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        seconds = []
        for _ in range(count + 2):
            start = time.perf_counter()
            optimizer.zero_grad()
            total, weight = task.loss(model(batch), batch)["semantic"]
            (total * world_size() / sum_over_ranks(weight.detach())).backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
    return seconds[2:]


def measure(processes: int, threads: int, count: int) -> float:
    command = [__file__, "--rank", "--threads", str(threads), "--steps", str(count)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *launcher, *command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/processes.md")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank:
        median = statistics.median(steps(arguments.steps, arguments.threads))
        if os.environ["RANK"] == "0":
            print(median)
        return
    cores = os.cpu_count() or 1
    kinds = [(1, 1), (1, cores), *((processes, 1) for processes in sorted({2, cores}))]
    runs = [[measure(*kind, arguments.steps) for kind in kinds] for _ in range(arguments.rounds)]
    rows = ["| processes | threads of each | s/step | against one process |", "|---|---|---|---|"]
    for (processes, threads), seconds in zip(kinds, zip(*runs, strict=True), strict=True):
        ratios = [first / own for (first, *_), own in zip(runs, seconds, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times as fast"
        rows.append(f"| {processes} | {threads} | {statistics.median(seconds):.2f} | {spread} |")
    table = "\n".join(rows)
    print(table)
    if arguments.write:
        head = f"# One process or several\n\nMade by `python benchmarks/processes.py --write` on {cores} cores.\n\n"
        (Path(__file__).parent / "results" / "processes.md").write_text(f"{head}{table}\n")


if __name__ == "__main__":
    main()
