"""What the network of LArMatch takes: memory and time of a deploy by the number of triplets, and of simulated events.

    snakemake --cores 2 -- results/data/wires-demo/train/0000.h5
    OMP_NUM_THREADS=1 python benchmarks/larmatch_deploy.py [--truth results/data/wires-demo/train/0000.h5] [--write]

`--write` puts the tables into benchmarks/results/larmatch_deploy.md. Times are processor time of one thread. The first
table is of an event with as many pixels as one of MicroBooNE, along random walks, and triplets of any of them; each row
is a process of its own. The second needs a store of simulated events with images of wire planes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from weft import tasks
from weft.config.detector import load_detector
from weft.detector.wires import Detector
from weft.engine.task import Sample
from weft.io.provenance import collect
from weft.io.store import EventStore
from weft.tasks.larmatch.batch import triplets_through
from weft.triplets.options import TripletOptions
from weft.triplets.produce import triplet_products

RESULT = Path(__file__).parent / "results" / "larmatch_deploy.md"
ROWS, WIRES, PIXELS = 1008, 3456, 112_000  # specs/larmatch.md §2.5
NUMBERS = (300_000, 1_000_000, 3_000_000)
EVENTS, BATCH = 16, 4


def sample_of(triplets: int, rng: np.random.Generator) -> Sample:
    """Pixels of three planes along random walks, and triplets of any three of them."""
    planes = []
    for _ in range(3):
        row = np.abs(np.cumsum(rng.integers(-1, 2, 2 * PIXELS))) % ROWS
        wire = np.abs(np.cumsum(rng.integers(-1, 3, 2 * PIXELS))) % WIRES
        planes.append(np.sort(rng.permutation(np.unique(row * WIRES + wire))[: PIXELS // 3]))
    count = [len(plane) for plane in planes]
    cell, first = np.concatenate(planes), np.cumsum([0, *count])
    pixel = np.stack([rng.integers(first[p], first[p + 1], triplets, np.int32) for p in range(3)], axis=1)
    arrays = {
        "tpc": np.zeros(len(cell), np.int8),
        "plane": np.repeat(np.arange(3, dtype=np.int8), count),
        "row": (cell // WIRES).astype(np.int32),
        "wire": (cell % WIRES).astype(np.int32),
        "charge": rng.gamma(2, 30, len(cell)).astype(np.float32),
        "dead": np.zeros(len(cell), np.int8),
        "pixel": pixel,
        "triplet": np.arange(triplets, dtype=np.int32),
    }
    return Sample(arrays | triplets_through(pixel, arrays["dead"]), (0, 0))


def measure(triplets: int, min_score: float) -> tuple[int, float, float, float]:
    """Triplets kept, MB at the most in this process, seconds of the features of pixels, and of the whole."""
    task = tasks.build("larmatch", {"data": {"min_score": min_score}})
    torch.manual_seed(0)
    network = task.network().eval()
    rng = np.random.default_rng(0)
    with torch.inference_mode():
        task.predict(network, task.collate([sample_of(1000, rng)]))  # compiled, caches filled
        batch = task.collate([sample_of(triplets, rng)])
        start = time.process_time()
        made = task.predict(network, batch)
        whole = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.process_time()
        network.pixels(batch)
        trunk = time.process_time() - start
    return len(made[0]["triplet_scores"].values), peak, trunk, whole


def memory() -> list[str]:
    """A row for each number of triplets, none of them kept, and one with all of the most kept."""
    lines = ["| triplets | kept | peak of the process, MB | features of pixels, s | all, s |", "|---|---|---|---|---|"]
    for number, least in (*((n, 1.0) for n in NUMBERS), (NUMBERS[-1], 0.0)):
        command = [sys.executable, __file__, "--one", str(number), str(least)]
        kept, peak, trunk, whole = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        lines.append(f"| {number:,} | {int(kept):,} | {float(peak):.0f} | {float(trunk):.1f} | {float(whole):.1f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def simulated(path: str, detector: str) -> list[str]:
    """Processor time of samples, training steps and predictions of the first events of a store."""
    task = tasks.build("larmatch", {})
    network, geometry = task.network(), load_detector(detector)
    with EventStore.open(path) as store:
        events = [_products(_Event(store, i), geometry) for i in range(EVENTS)]
    rng = np.random.default_rng(0)
    samples = [task.sample(event, (0, k), True) for k, event in enumerate(events)]
    batches = [task.collate([task.draw(s, rng) for s in samples[i : i + BATCH]]) for i in range(0, EVENTS, BATCH)]
    optimizer = torch.optim.AdamW(network.parameters())

    def step(k: int) -> None:
        optimizer.zero_grad()
        terms = task.loss(network(batches[k]), batches[k])
        torch.stack([total / weight for total, weight in terms.values()]).sum().backward()
        optimizer.step()

    def predict(k: int) -> None:
        with torch.inference_mode():
            task.predict(network, whole[k])

    whole = [task.collate([sample]) for sample in samples]
    pixels, triplets = (np.mean([len(event[name]) for event in events]) for name in ("pixels", "triplets"))
    learned = np.mean([len(batch.row) for batch in batches]) / BATCH
    rows = {
        "labels and random view": _clock(lambda k: task.draw(task.sample(events[k], (0, k), True), rng), EVENTS),
        f"training, an event of a step of {BATCH} ({learned:,.0f} triplets)": _clock(step, len(batches)) / BATCH,
        "deploy": _clock(predict, EVENTS, network.eval),
    }
    about = f"{EVENTS} events, {pixels:,.0f} pixels and {triplets:,.0f} triplets each; milliseconds per event."
    return [about, "", "| | ms |", "|---|---|", *(f"| {name} | {1000 * value:.0f} |" for name, value in rows.items())]


@dataclass(frozen=True)
class _Event:
    store: EventStore
    index: int

    def __getitem__(self, product: str) -> np.ndarray:
        return np.asarray(self.store[product][self.index])

    def __contains__(self, product: object) -> bool:
        return product in self.store


def _products(event: _Event, detector: Detector) -> dict[str, np.ndarray]:
    made = triplet_products(detector, event, TripletOptions())
    return made | {f"truth/{name}": event[name] for name in ("wire_deposits", "particles")}


def _clock(work: Callable[[int], object], number: int, before: Callable[[], object] = lambda: None) -> float:
    """Median seconds of a call, after one over all."""
    before()
    for k in range(number):
        work(k)
    seconds = []
    for k in range(number):
        start = time.process_time()
        work(k)
        seconds.append(time.process_time() - start)
    return median(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--truth", help="a store of simulated events with images of wire planes")
    parser.add_argument("--detector", default="toy", help="of these")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT}")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.one:
        print(*measure(int(given.one[0]), float(given.one[1])))
        return
    run = collect()
    state = f"commit `{run['commit'][:10]}`{', with changes' * run['dirty']}, {run['created'][:10]}, {run['device']}"
    lines = [
        "# LArMatch: memory and time of the network",
        "",
        f"`python benchmarks/larmatch_deploy.py`, default sizes, one thread, {state}.",
        "",
        f"An event of {PIXELS:,} pixels on three planes:",
        "",
        *memory(),
    ]
    if given.truth:
        lines += ["", "Simulated events:", "", *simulated(given.truth, given.detector)]
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
