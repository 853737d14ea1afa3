"""What the engine costs over a bare loop: forward, loss, backward, optimiser step, and nothing else.

    python benchmarks/engine.py [--results results] [--steps 60] [--write]

Trains the demo of the segmentation (simulate and convert it first: `snakemake --cores 2 --config scale=demo --
segmentation`). Each batch that the loader gives is trained on twice, in turns: by the engine, all that it does from
one batch to the next counted (logging included, validation and the reading of data not), and by a bare loop with a
network and an optimiser of its own. Which of the two is first alternates. The ratio is that of the sums, its interval
a bootstrap over the pairs. The average of the weights is measured in benchmarks/averaging.py.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import weft.engine.fit as engine
from weft import tasks
from weft.config import Layout, load_dataset, load_experiment, run_of
from weft.engine.optimizers import build_optimizer
from weft.io.provenance import collect

Clocks = tuple[float, float]


def clocks() -> Clocks:
    """(CPU seconds of this process, wall-clock seconds)"""
    return time.process_time(), time.perf_counter()


class BareLoop:
    """A network trained without the engine."""

    def __init__(self, task: Any, stage: Any) -> None:
        self.task, self.network = task, task.network()
        self.optimizer = build_optimizer(task, self.network, stage.optimizer)

    def step(self, batch: Any) -> None:
        self.optimizer.zero_grad()
        terms = self.task.loss(self.network(batch), batch, self.task.counts(batch))
        torch.stack([total / weight for total, weight in terms.values()]).sum().backward()
        self.optimizer.step()


class Paired:
    """A loader that has each of its batches trained on by a bare loop too, before or after the engine's step."""

    def __init__(self, loader: Any, bare: BareLoop) -> None:
        self.loader, self.bare = loader, bare
        self.engine: list[Clocks] = []
        self.alone: list[Clocks] = []
        self.held: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for t, batch in enumerate(self.loader):
            self.held = batch, *self.held[:1]  # memory of batches is given back here, which is nobody's step
            if t % 2:
                self._bare(batch)
            start = clocks()
            yield batch  # the engine's step is between this and its asking for the next batch
            self.engine.append(_difference(clocks(), start))
            if not t % 2:
                self._bare(batch)

    def _bare(self, batch: Any) -> None:
        start = clocks()
        self.bare.step(batch)
        self.alone.append(_difference(clocks(), start))


def _difference(end: Clocks, start: Clocks) -> Clocks:
    return end[0] - start[0], end[1] - start[1]


def pairs(results: str, steps: int) -> Paired:
    """Train for ``steps`` steps, both ways."""
    experiment = load_experiment("segmentation", "demo", [f"stages.uresnet.training.iterations={steps}"])
    experiment = tasks.resolve(experiment)
    run = run_of(experiment, load_dataset(experiment.dataset, "demo"), Layout(results), "uresnet", "seed0")
    # One validation, at the end, which the pairs do not include; else as in the demo.
    quiet = run.stage.training.model_copy(update={"validate_every": steps, "validation_events": 2})
    stage = run.stage.model_copy(update={"training": quiet})
    task = tasks.of(stage)
    files = [list(run.inputs(split).values()) for split in ("train", "val")]
    paired: list[Paired] = []
    make = engine.loader

    def loader(batches: Any, *arguments: Any, **options: Any) -> Any:
        made = make(batches, *arguments, **options)
        if not isinstance(batches, engine.TrainingBatches):
            return made
        paired.append(Paired(made, BareLoop(task, stage)))
        return paired[0]

    engine.loader = loader  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        engine.fit(task, stage, 0, *files, output, output / "work", run.training_options(), threads=1)
    return paired[0]


def interval(ours: np.ndarray, bare: np.ndarray, draws: int = 10_000) -> tuple[float, float, float]:
    """Ratio of the sums, and its 95 % bootstrap interval over pairs."""
    chosen = np.random.default_rng(0).integers(0, len(ours), (draws, len(ours)))
    ratios = ours[chosen].sum(1) / bare[chosen].sum(1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(ours.sum() / bare.sum()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", default="results", help="folder of results that has the demo's events")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--skip", type=int, default=4, help="first pairs to leave out")
    parser.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results/engine.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = pairs(arguments.results, arguments.steps)
    # The loop does not ask for a batch after the last, whose step is not counted then.
    counted = slice(arguments.skip, min(len(measured.engine), len(measured.alone)))
    ours, bare = np.array(measured.engine[counted]), np.array(measured.alone[counted])
    rows = ["| clock | bare loop [s/step] | engine [s/step] | ratio [95 %] |", "|---|---|---|---|"]
    for column, clock in enumerate(("CPU time of the process", "wall clock")):
        a, b = ours[:, column], bare[:, column]
        ratio, low, high = interval(a, b)
        rows.append(f"| {clock} | {b.mean():.4f} | {a.mean():.4f} | {ratio:.4f} [{low:.4f}, {high:.4f}] |")
    table = "\n".join(rows)
    print(table)
    if arguments.write:
        record = collect()
        dirty = ", with local changes" if record.get("dirty") else ""
        made = f"{record['created'][:10]}, commit {str(record.get('commit', 'unknown'))[:10]}{dirty}"
        text = (
            "# The engine over a bare loop\n\nMade by `python benchmarks/engine.py --write`: "
            f"{len(ours)} pairs of steps of the segmentation's demo, one thread, {record['device']}, {made}. "
            f"The target is a ratio of at most 1.03.\n\n{table}\n"
        )
        (Path(__file__).parent / "results" / "engine.md").write_text(text)


if __name__ == "__main__":
    main()
