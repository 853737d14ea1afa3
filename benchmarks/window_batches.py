"""A stack through the networks of the experiment `volumes`, by how many windows are computed at a time.

    OMP_NUM_THREADS=1 python benchmarks/window_batches.py [--scales demo study] [--rounds 5] [--write]

Network, window, overlap and size of the stack are those of the scale. Processor time of one thread, the least over
rounds in which all take turns. On a CPU torch 2.13 gives a convolution of one small volume to an implementation of its
own, of several to oneDNN.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from weft import tasks
from weft.config.dataset import load_dataset
from weft.config.experiment import load_experiment
from weft.dense.build import build_network
from weft.dense.folding import folded
from weft.dense.laws import law_of
from weft.dense.windows import plan_windows, sliding_windows
from weft.io.provenance import collect
from weft.simulation.stacks.settings import StackSettings
from weft.tasks.volume_segmentation.options import Options

RESULT = Path(__file__).resolve().parent / "results" / "window_batches.md"
AT_A_TIME = (1, 2, 4, 8)


def measure(scale: str, rounds: int) -> str:
    """The row of a scale."""
    options = tasks.of(tasks.resolve(load_experiment("volumes", scale)).stages["unet"]).options
    assert isinstance(options, Options)
    shape = StackSettings.parse(load_dataset("stacks", scale).simulation).shape
    law, patch, overlap = law_of(options.model), options.data.patch, options.data.inference.overlap
    torch.manual_seed(0)
    network = folded(build_network(options.model).eval())
    volume = np.random.default_rng(1).random((options.model.channels, *shape), np.float32)
    spent: dict[int, list[float]] = {number: [] for number in AT_A_TIME}
    for turn in range(rounds + 1):
        for number, times in spent.items():
            start = time.process_time()
            for _ in sliding_windows(network, volume, law, patch, overlap=overlap, batch_size=number):
                pass
            if turn:  # plans of convolutions are made in the first
                times.append(time.process_time() - start)
    windows = len(plan_windows(shape, law, patch, overlap))
    row = f"| {scale} | {windows} | {' | '.join(f'{min(times):.2f}' for times in spent.values())} |"
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scales", nargs="+", default=["demo", "study"])
    parser.add_argument("--rounds", type=int, default=5, help="how often all take their turn")
    parser.add_argument("--write", action="store_true", help=f"leave the table in {RESULT.name}")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(scale, asked.rounds) for scale in asked.scales]
    scales = "" if asked.scales == parser.get_default("scales") else f" --scales {' '.join(asked.scales)}"
    made = collect()
    text = [
        "# Windows at a time",
        "",
        f"`OMP_NUM_THREADS=1 python benchmarks/window_batches.py{scales} --rounds {asked.rounds} --write`, "
        f"{made['created'][:10]}, {made['device']}, commit `{made['commit'][:10]}`"
        f"{', with changes' if made['dirty'] else ''}, torch {torch.__version__}: processor seconds of one thread "
        "for a stack, the least of the rounds.",
        "",
        f"| scale of `volumes` | windows | {' | '.join(f'{number} at a time' for number in AT_A_TIME)} |",
        f"|---|---|{'---|' * len(AT_A_TIME)}",
        *rows,
    ]
    if asked.write:
        RESULT.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
