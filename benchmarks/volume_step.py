"""Where the time of a training step on stacks goes, with the channels of a voxel side by side in memory and without.

    OMP_NUM_THREADS=1 python benchmarks/volume_step.py [--scales demo study] [--rounds 5] [--write]

The network, the loss, the patches and their augmentation are those of the experiment `volumes`, on one simulated stack.
Processor time of one thread, so that other users of the machine do not count: the mean of the patches, of every other
part the least over rounds in which both orders take turns. "planes" is the order in which a patch is cut,
[B, C, Z, Y, X].
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft import tasks
from weft.config.dataset import load_dataset
from weft.config.experiment import load_experiment
from weft.dense import unet_xy
from weft.engine.randomness import draw_generator
from weft.engine.task import Sample
from weft.io.provenance import collect
from weft.io.volume_products import spacing_row
from weft.simulation.stacks.settings import StackSettings
from weft.simulation.stacks.stack import simulate_stack
from weft.tasks.volume_segmentation.sampling import draw_patch

RESULT = Path(__file__).resolve().parent / "results" / "volume_step.md"
PARTS = ("patches", "forward", "loss", "backward", "optimiser")
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {"planes": lambda volume: volume, "channels": unet_xy.as_quickest}


class Training:
    """The stage `unet` at a scale, its network and one stack."""

    def __init__(self, scale: str) -> None:
        stage = tasks.resolve(load_experiment("volumes", scale)).stages["unet"]
        self.task: Any = tasks.of(stage)
        self.batch_size = stage.training.batch_size
        settings = StackSettings.parse(load_dataset("stacks", scale).simulation)
        stack = simulate_stack(settings, seed=1, index=0)
        event = {
            "image": stack.image,
            "spacing": spacing_row(*settings.spacing),
            "truth/labels": stack.labels,
            "truth/cost": stack.cost,
        }
        sample = self.task.sample(event, (0, 0), labels=True)
        self.ready = self.task._held.get("the stack", lambda: self.task._stack(sample))  # as a loader holds it
        torch.manual_seed(0)
        self.network = self.task.network().train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)

    def patch(self, rng: np.random.Generator) -> Sample:
        return Sample(draw_patch(self.ready, *self.task.patch, self.task.options.data, rng)._asdict(), (0, 0))

    def step(self, number: int) -> list[float]:
        """Processor seconds of each part of a training step."""
        marks = [time.process_time()]
        batch = self.task.collate([self.patch(draw_generator(0, number, i)) for i in range(self.batch_size)])
        marks.append(time.process_time())
        self.optimizer.zero_grad()
        output = self.network(batch)
        marks.append(time.process_time())
        total = sum(value / weight for value, weight in self.task.loss(output, batch).values())
        marks.append(time.process_time())
        total.backward()
        marks.append(time.process_time())
        self.optimizer.step()
        marks.append(time.process_time())
        return [after - before for before, after in pairwise(marks)]


def measure(scale: str, rounds: int) -> list[str]:
    """Rows of the table: a scale in both orders."""
    spent: dict[str, list[list[float]]] = {order: [] for order in ORDERS}
    training = Training(scale)
    training.step(0)  # what happens once, such as the choice of algorithms
    for number in range(1, rounds + 1):
        for order, arrange in ORDERS.items():
            setattr(unet_xy, "as_quickest", arrange)  # noqa: B010 (what is measured is its absence)
            spent[order].append(training.step(number))
    rows = []
    for order, times in spent.items():
        least = [min(part) for part in zip(*times, strict=True)]
        mean = sum(part[0] for part in times) / len(times)  # patches are not all alike: their mean is what counts
        parts = [mean, *least[1:]]
        rows.append(f"| {scale} | {order} | {' | '.join(f'{s:.3f}' for s in parts)} | {sum(parts):.3f} |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scales", nargs="+", default=["demo", "study"])
    parser.add_argument("--rounds", type=int, default=5, help="steps in each order")
    parser.add_argument("--write", action="store_true", help=f"leave the table in {RESULT.name}")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for scale in asked.scales for row in measure(scale, asked.rounds)]
    scales = "" if asked.scales == parser.get_default("scales") else f" --scales {' '.join(asked.scales)}"
    made = collect()
    text = [
        "# A training step on stacks",
        "",
        f"`python benchmarks/volume_step.py{scales} --rounds {asked.rounds} --write`, {made['created'][:10]}, "
        f"{made['device']}, commit `{made['commit'][:10]}`{', with changes' if made['dirty'] else ''}, "
        f"torch {torch.__version__}: processor seconds of one thread, mean of the patches, least of the rest.",
        "",
        f"| scale of `volumes` | order in memory | {' | '.join(PARTS)} | all |",
        f"|---|---|{'---|' * (len(PARTS) + 1)}",
        *rows,
    ]
    print("\n".join(text))
    if asked.write:
        RESULT.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
