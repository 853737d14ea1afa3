"""What the true labels of triplets are: how many are good and what that depends on, of which class, near which key
points; and how fast.

    snakemake --cores 2 -- results/data/wires-demo/train/0000.h5 results/data/wires-demo/train/0001.h5
    OMP_NUM_THREADS=1 python benchmarks/labels.py results/data/wires-demo/train/000?.h5

`--write` puts the tables into benchmarks/results/labels.md. Processor time of one process. Directions of tracks are
compared with the paths of 25 further simulated events, which a store does not hold, and the number of true cells in
these with that if their electrons diffuse in clouds of 10 and not of 600.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from weft.config.detector import load_detector
from weft.detector.wires import Detector
from weft.io.deposits import CELL, arrived
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.provenance import collect
from weft.io.store import EventStore
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET
from weft.simulation.event import SimulatedEvent, simulate_event
from weft.simulation.settings import SimulationSettings
from weft.triplets.affinity import track_directions
from weft.triplets.key_points import seen_deposits, true_key_points, xyz
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import label_event
from weft.triplets.options import TripletOptions
from weft.triplets.produce import triplet_products
from weft.triplets.truth import cell_keys, label_triplets

RESULT = Path(__file__).parent / "results" / "labels.md"
SCHEMAS = ("particles", "topology")
NEAR = (0.3, 0.5, 1.0)
SEED, SIMULATED = 5, 25
#: Electrons that make a triplet good, and electrons that diffuse together.
ELECTRONS, CLOUDS = (0, 500, 1000, 2000, 4000), (600, 10)


class Counts:
    """Sums over events."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.options = {name: LabelOptions(classes=name) for name in SCHEMAS}
        self.number = dict.fromkeys(
            ("events", "pixels", "triplets", "good", "ghost", "live_good", "live_ghost", "directed"), 0
        )
        self.classes = {name: np.zeros(len(o.classes.classes) + 1, int) for name, o in self.options.items()}
        self.weights = {name: np.zeros(3, int) for name in SCHEMAS}
        self.labelled = np.zeros(len(KEY_POINT_KINDS), int)
        self.gaps: list[list[np.ndarray]] = [[] for _ in KEY_POINT_KINDS]
        self.far = np.zeros(4, int)  # key points without a triplet nearby, by how many dead wires are nearest to them
        self.seconds = 0.0
        self.cells: list[np.ndarray] = []  # electrons of each cell that has some
        self.candidates: list[np.ndarray] = []  # of each candidate that has some
        self.own: list[np.ndarray] = []  # whether energy was left there too

    def add(self, event: list[np.ndarray], dead: np.ndarray) -> None:
        pixels, triplets, deposits, particles = event
        for name, options in self.options.items():
            start = time.process_time()
            labels = label_event(*event, options)
            self.seconds += (time.process_time() - start) / len(self.options)
            good = labels.good == GOOD_TRIPLET
            self.classes[name] += np.bincount(labels.semantic[good] + 1, minlength=len(self.classes[name]))
            at = labels.boundary[good]
            self.weights[name] += [np.sum(at == w) for w in (1, options.boundary_weight, options.vertex_weight)]
        live = ~np.any([pixels["dead"][triplets[f"pixel_{plane}"]] != 0 for plane in range(3)], axis=0)
        found = {
            "events": 1, "pixels": len(pixels), "triplets": len(triplets), "good": good.sum(),
            "ghost": np.sum(labels.good == GHOST_TRIPLET), "live_good": (live & good).sum(),
            "live_ghost": np.sum(live & (labels.good == GHOST_TRIPLET)),
            "directed": np.isfinite(labels.affinity[good]).all(axis=1).sum(),
        }  # fmt: skip
        for key, value in found.items():
            self.number[key] += int(value)
        truth = label_triplets(pixels, triplets, deposits, 0)
        some = truth["good"] == GOOD_TRIPLET
        self.cells.append(cells_of(deposits))
        self.candidates.append(truth["electrons"][some])
        self.own.append(truth["energy"][some] > 0)
        self.labelled += (labels.key_points > 0).sum(axis=0)
        points = true_key_points(particles, deposits, options)
        gap, _ = cKDTree(xyz(triplets[good])).query(xyz(points))
        for kind in range(len(KEY_POINT_KINDS)):
            self.gaps[kind].append(gap[points["kind"] == kind])
        place = xyz(points[gap >= NEAR[0]])
        volume = self.detector.tpc_of(place)
        gone = np.zeros(len(place), int)
        for number, tpc in enumerate(self.detector.tpcs):
            for plane, wires in enumerate(tpc.wires(place).T):
                mine = dead[(dead["tpc"] == number) & (dead["plane"] == plane)]
                gone += (volume == number) & np.isin(wires, mine["wire"])
        self.far += np.bincount(gone, minlength=4)


@cache
def simulated(cloud: float = CLOUDS[0]) -> list[SimulatedEvent]:
    """Further events; cloud: electrons that diffuse together, of which the default is the simulation's."""
    settings = SimulationSettings.parse({"wires": {"detector": "toy", "cloud": cloud}})
    return [simulate_event(settings, SEED, index) for index in range(SIMULATED)]


def angles(radius: float) -> np.ndarray:
    """Degrees between the labels of tracks and the paths that they took, over 1.2 cm of it, in simulated events."""
    found = []
    for event in simulated():
        assert event.wires is not None
        deposits, owner = event.transported.deposits, event.labels.of_deposit
        own = (deposits["track"] == event.labels.track[owner]) & (event.labels.shape[owner] == 1)
        place, owner = xyz(deposits[own]), owner[own]
        middle = np.flatnonzero(owner[4:] == owner[:-4]) + 2
        path = place[middle + 2] - place[middle - 2]
        start = np.stack([event.particles[f"_first_step._{axis}"] for axis in "xyz"], axis=1)
        label = track_directions(place[middle], owner[middle], seen_deposits(event.wires.deposits), start, radius)
        cosine = np.einsum("ij,ij->i", label, path) / np.linalg.norm(path, axis=1)
        found.append(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))
    return np.concatenate(found)


def cells_of(deposits: np.ndarray) -> np.ndarray:
    """Electrons of each cell in which some arrived, all particles together."""
    deposits = arrived(deposits)
    columns = [deposits[name] for name in CELL]
    _, which = np.unique(cell_keys(columns, columns)[0], return_inverse=True)
    return np.bincount(which, deposits["electrons"].astype(np.float64))


def simulated_cells(cloud: float) -> np.ndarray:
    """The same of simulated events whose electrons diffuse in clouds of so many."""
    return np.concatenate([cells_of(event.wires.deposits) for event in simulated(cloud) if event.wires is not None])


def electron_rows(counts: Counts) -> list[str]:
    """What depends on how many electrons make a triplet good."""
    cells, candidates, own = (np.concatenate(part) for part in (counts.cells, counts.candidates, counts.own))
    several, one_by_one = (simulated_cells(cloud) for cloud in CLOUDS)
    rows = [
        "What counts as a point, by the electrons that have to arrive in a cell: shares of the cells in which some "
        "did, of the electrons, of the candidates with some, and of the good ones those where no energy was left, only "
        f"diffused charge; and true cells in {SIMULATED} further events if electrons diffuse in clouds of {CLOUDS[0]} "
        f"(as they do in the simulation) over those if in clouds of {CLOUDS[1]}:",
        "",
        "| electrons | true cells | electrons in them | good candidates | of those without energy | "
        f"clouds of {CLOUDS[0]} / {CLOUDS[1]} |",
        "|---" * 6 + "|",
    ]
    for least in ELECTRONS:
        good = candidates >= least
        name = f"{least} (default)" if least == LabelOptions().min_electrons else f"{least}"
        shares = [
            share(np.sum(cells >= least), len(cells)),
            share(cells[cells >= least].sum(), cells.sum()),
            share(good.sum(), len(good)),
            share(np.sum(good & ~own), good.sum()),
        ]
        ratio = np.sum(several >= least) / np.sum(one_by_one >= least)
        rows.append(f"| {name} | {' | '.join(shares)} | {ratio:.3f} |")
    return [*rows, ""]


def events_of(paths: list[str], detector: Detector) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    for path in paths:
        with EventStore.open(path) as store:
            for i in range(len(store)):
                event = _Event(store, i)
                made = triplet_products(detector, event, TripletOptions())
                arrays = [made["pixels"], made["triplets"], event["wire_deposits"], event["particles"]]
                yield arrays, made["dead_wires"]


class _Event:
    def __init__(self, store: EventStore, index: int) -> None:
        self.store, self.index = store, index

    def __getitem__(self, product: str) -> Any:
        return self.store[product][self.index]

    def __contains__(self, product: object) -> bool:
        return product in self.store


def share(part: float, whole: float) -> str:
    return f"{part / max(whole, 1):.1%}"


def page(counts: Counts, command: str) -> str:
    n = counts.number
    events, good = n["events"], n["good"]
    run = collect()
    commit = f"`{run['commit'][:10]}`{', with changes' if run['dirty'] else ''}"
    when = f"{run['created'][:10]}, {run['device']}, commit {commit}"
    rows = [
        "# Labels of triplets",
        "",
        f"`{command}`, {when}: {events} simulated events.",
        "",
        "| | |",
        "|---|---|",
        f"| pixels per event | {n['pixels'] / events:,.0f} |",
        f"| triplets per event | {n['triplets'] / events:,.0f} |",
        f"| good : ghost | 1 : {n['ghost'] / good:.2f} |",
        f"| of triplets without a dead wire | 1 : {n['live_ghost'] / n['live_good']:.2f} |",
        f"| of triplets with one | 1 : {(n['ghost'] - n['live_ghost']) / (good - n['live_good']):.2f} |",
        f"| of unknown truth: some electrons, too few | {share(n['triplets'] - good - n['ghost'], n['triplets'])} |",
        f"| good ones with a direction | {share(n['directed'], good)} |",
        f"| labels of an event, ms | {1e3 * counts.seconds / events:.1f} |",
        f"| million triplets/s | {n['triplets'] / counts.seconds / 1e6:.2f} |",
        "",
        *electron_rows(counts),
        "Classes of good triplets, and weights of their semantic labels:",
        "",
    ]
    for name, options in counts.options.items():
        names = [*options.classes.classes, "none", "at a boundary", "near a vertex"]
        numbers = [*counts.classes[name][1:], counts.classes[name][0], *counts.weights[name][1:]]
        rows += [f"| {name} | " + " | ".join(names[:]) + " |", "|---" * (len(names) + 1) + "|"]
        rows += ["| share | " + " | ".join(share(number, good) for number in numbers) + " |", ""]
    rows += [
        "Key points, the distance from each to the nearest good triplet, and good triplets that have a score for it:",
        "",
        "| kind | per event | " + " | ".join(f"within {near} cm" for near in NEAR) + " | triplets |",
        "|---" * (3 + len(NEAR)) + "|",
    ]
    for kind, name in enumerate(KEY_POINT_KINDS):
        gap = np.concatenate(counts.gaps[kind])
        found = " | ".join(share(np.sum(gap < near), len(gap)) for near in NEAR)
        rows.append(f"| {name} | {len(gap) / events:.2f} | {found} | {share(counts.labelled[kind], good)} |")
    rows += [
        "",
        f"Of {counts.far.sum()} key points without a good triplet within {NEAR[0]} cm, {counts.far[2:].sum()} lie "
        f"where the nearest wires of two planes are dead.",
    ]
    radius = LabelOptions().affinity_radius
    rows += [
        "",
        f"Angle between the direction of muons, pions and protons and the path that they took, over 1.2 cm of it "
        f"({SIMULATED} further events):",
        "",
        "| charge within | median | 90 % | above 20° | above 90° |",
        "|---|---|---|---|---|",
    ]
    for each in sorted({1.0, radius, 3.0}):
        off = angles(each)
        rows.append(
            f"| {each:g} cm{' (default)' * (each == radius)} | {np.median(off):.2f}° | {np.percentile(off, 90):.1f}° "
            f"| {np.mean(off > 20):.2%} | {np.mean(off > 90):.2%} |"
        )
    return "\n".join([*rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", help="event stores with wire planes and their truth")
    parser.add_argument("--detector", default="toy")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    detector = load_detector(arguments.detector)
    counts = Counts(detector)
    for event, dead in events_of(arguments.stores, detector):
        if counts.number["events"] == 0:
            label_event(*event, LabelOptions())  # what is imported then, is not measured
        counts.add(event, dead)
    text = page(counts, f"python benchmarks/labels.py wires-demo/train ({len(arguments.stores)} stores)")
    print(text)
    if arguments.write:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
