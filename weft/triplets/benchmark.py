"""How fast triplets are made, and how that grows with the number of pixels in a row."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weft.detector.wires import Detector
from weft.io.wire_products import PIXELS
from weft.triplets.build import DeadWires, build_triplets
from weft.triplets.options import TripletOptions

#: Live pixels per plane in each row.
OCCUPANCIES = (5, 10, 20, 50, 100, 200, 400)


@dataclass(frozen=True)
class Timing:
    """Of one event: what was in it, and the processor time (s) of all that `weft triplets` makes of it."""

    occupancy: int
    pixels: int
    triplets: int
    seconds: float

    @property
    def rate(self) -> float:
        """Triplets per second."""
        return self.triplets / self.seconds


def random_event(
    detector: Detector, occupancy: int, rows: int, share: float, seed: int
) -> tuple[np.ndarray, DeadWires]:
    """`PIXELS` of points thrown into the first volume, `occupancy` in each of `rows` rows, and a share of dead wires.

    So every point is three pixels that close, where all three wires work; all other triplets are ghosts.
    """
    rng = np.random.default_rng(seed)
    tpc = detector.tpcs[0]
    dead = tuple(rng.random(plane.wires) < share for plane in tpc.planes)
    position = rng.uniform(tpc.lower, tpc.upper, (occupancy * rows, 3))
    wires = tpc.wires(position)
    row = np.repeat(np.arange(rows), occupancy)
    found = []
    for p in range(3):
        seen = wires[:, p] >= 0
        seen[seen] = ~dead[p][wires[seen, p]]
        lit = np.unique(np.stack([row[seen], wires[seen, p]], axis=1), axis=0)
        pixels = np.zeros(len(lit), PIXELS.dtype)
        pixels["plane"], pixels["row"], pixels["wire"], pixels["charge"] = p, lit[:, 0], lit[:, 1], 50
        found.append(pixels)
    others = tuple(
        (np.zeros(a.wires, bool), np.zeros(b.wires, bool), np.zeros(c.wires, bool))
        for a, b, c in (other.planes for other in detector.tpcs[1:])
    )
    return np.concatenate(found), ((dead[0], dead[1], dead[2]), *others)


def measure(
    detector: Detector,
    occupancies: Sequence[int] = OCCUPANCIES,
    share: float = 0.1,
    rounds: int = 5,
    done: Callable[[Timing], None] | None = None,
) -> list[Timing]:
    """The least time of several rounds for each occupancy; `done` is called with each as soon as it is known."""
    options = TripletOptions()
    found = []
    for k, occupancy in enumerate(occupancies):
        rows = min(detector.tpcs[0].readout.rows, max(20, 20_000 // occupancy))
        pixels, dead = random_event(detector, occupancy, rows, share, k)
        build_triplets(detector, pixels[:3], dead, options)  # compiled from here on
        seconds = []
        for _ in range(rounds):
            start = time.process_time()
            event = build_triplets(detector, pixels, dead, options)
            seconds.append(time.process_time() - start)
        found.append(Timing(occupancy, len(pixels), len(event.triplets), min(seconds)))
        if done is not None:
            done(found[-1])
    return found


def page(detector: Detector, timings: Sequence[Timing], share: float, command: str, when: str) -> str:
    """A table in Markdown. `when`: date and version of the code."""
    lines = [
        f"# Triplets of {detector.name}",
        "",
        f"    {command}",
        "",
        f"Points thrown into the box, {share:.0%} of the wires dead; processor time of all products of an event.",
        "",
        "| pixels per row and plane | pixels | triplets | ms | million triplets/s |",
        "|---|---|---|---|---|",
    ]
    for t in timings:
        numbers = f"{t.occupancy} | {t.pixels:,} | {t.triplets:,} | {1e3 * t.seconds:.1f} | {1e-6 * t.rate:.1f}"
        lines.append(f"| {numbers} |")
    lines += ["", f"{platform.machine()}, one thread, {when}.", ""]
    return "\n".join(lines)


def draw(timings: Sequence[Timing], path: str) -> None:
    """Triplets per pixel and time per pixel against the occupancy, as a figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    occupancy = [t.occupancy for t in timings]
    left.loglog(occupancy, [t.triplets / t.pixels for t in timings], "o-")
    left.set_ylabel("triplets per pixel")
    right.loglog(occupancy, [1e6 * t.seconds / t.pixels for t in timings], "o-")
    right.set_ylabel("processor time per pixel (µs)")
    for axes in (left, right):
        axes.set_xlabel("pixels per row and plane")
        axes.grid(alpha=0.3)
    figure.savefig(path)
    plt.close(figure)
