"""Events per second of the simulated wire planes, and the size of their files.

    OMP_NUM_THREADS=1 python benchmarks/wires.py            # about a minute; prints the table
    OMP_NUM_THREADS=1 python benchmarks/wires.py --write    # and writes benchmarks/results/wires.md

Processor time of one process. "Wires alone" is the time of an event with wires less that without.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weft.io.convert import convert_file
from weft.io.provenance import collect
from weft.simulation.event import simulate_event
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings

RESULT = Path(__file__).resolve().parent / "results" / "wires.md"
SEED, EVENTS = 1, 20
COLUMNS = (
    "detector", "voxels only, events/s", "with wires, events/s", "wires alone, ms", "written, events/s",
    "converted, events/s", "pixels", "rows of truth", "ROOT, MB", "store, MB",
)  # fmt: skip


def seconds(what: Callable[[], object]) -> float:
    start = time.process_time()
    what()
    return time.process_time() - start


def measure(detector: str) -> str:
    """A row of the table."""
    plain = SimulationSettings()
    wired = SimulationSettings.parse({"wires": {"detector": detector}})
    for settings in (plain, wired):
        simulate_event(settings, SEED, 0)
    without = seconds(lambda: [simulate_event(plain, SEED, i) for i in range(EVENTS)]) / EVENTS
    events = []
    with_wires = seconds(lambda: events.extend(simulate_event(wired, SEED, i).wires for i in range(EVENTS))) / EVENTS
    with tempfile.TemporaryDirectory() as folder:
        root, store = Path(folder) / "a.root", Path(folder) / "a.h5"
        written = seconds(lambda: simulate_file(wired, SEED, 0, EVENTS, root)) / EVENTS
        converted = seconds(lambda: convert_file(root, store)) / EVENTS
        sizes = [path.stat().st_size / EVENTS / 1e6 for path in (root, store)]
    pixels = np.mean([len(event.pixels.value) for event in events])
    rows = np.mean([len(event.deposits) for event in events])
    return (
        f"| {detector} | {1 / without:.0f} | {1 / with_wires:.1f} | {1000 * (with_wires - without):.0f} "
        f"| {1 / written:.1f} | {1 / converted:.1f} | {pixels:,.0f} | {rows:,.0f} | {sizes[0]:.2f} | {sizes[1]:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/results")
    arguments = parser.parse_args()
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for detector in ("toy", "two_sided", "microboone"):
        lines.append(measure(detector))
    print("\n".join(lines))
    if arguments.write:
        machine = collect()
        text = [
            "# Wire planes: events per second",
            "",
            f"`python benchmarks/wires.py --write`, {machine['created'][:10]}, {machine['device']}, commit "
            f"`{machine['commit'][:10]}`{', with changes' if machine['dirty'] else ''}: processor time of one process, "
            f"{EVENTS} events of a box of 256³ voxels. Pixels, rows and sizes are per event.",
            "",
            *lines,
            "",
            "MicroBooNE's images have 8.3 million pixels; drawing their noise is more than half of the time.",
        ]
        RESULT.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
