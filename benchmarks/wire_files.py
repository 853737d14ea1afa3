"""How fast files of wire planes are converted, and how right the truth of triplets is that pixels alone tell.

    OMP_NUM_THREADS=1 python benchmarks/wire_files.py            # about a minute; prints the tables
    OMP_NUM_THREADS=1 python benchmarks/wire_files.py --write    # and writes benchmarks/results/wire_files.md

Processor time of one process. The files are made here, of the size of MicroBooNE's events: 8256 waveforms of 6400 ticks
with pulses on a tenth of the wires (OpenSamples), hundreds of thousands of triplets (LArMatch's training files). Pulses
without noise compress better than real waveforms do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from weft.config.detector import load_detector
from weft.io.convert import convert_file
from weft.io.opensamples import WIRES
from weft.io.provenance import collect
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET, PIXEL_TRUTH, UNKNOWN_TRIPLET
from weft.simulation.event import simulate_event
from weft.simulation.settings import SimulationSettings
from weft.triplets.build import build_triplets
from weft.triplets.images import pixels_of
from weft.triplets.label_options import TruthOptions
from weft.triplets.options import TripletOptions
from weft.triplets.pixel_truth import IONISATION_ENERGY, label_from_pixels
from weft.triplets.truth import label_triplets

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "wire_files.md"
sys.path.append(str(ROOT / "tests/unit/io"))  # the writers of small files
EVENTS, SIMULATED = (2, 8), 40


def child(what: Callable[[], object]) -> tuple[float, float]:
    """Processor time (s) and peak memory (MB) of a call in a process of its own."""

    def run(queue: multiprocessing.Queue) -> None:
        start = time.process_time()
        what()
        queue.put((time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=run, args=(queue,))
    process.start()
    found = queue.get()
    process.join()
    return found


def opensamples(path: Path, events: int) -> str:
    """Full-size events of pulses, in compressed chunks of a few waveforms; what an event has."""
    rng = np.random.default_rng(0)
    wires = sum(WIRES)
    plane = np.repeat(np.arange(3), WIRES)
    wire = np.concatenate([np.arange(n) for n in WIRES])
    pulse = 40 * np.exp(-0.5 * (np.arange(-10, 11) / 3.0) ** 2)
    with h5py.File(path, "w") as file:

        def put(name: str, values: np.ndarray) -> None:
            file.create_dataset(
                name, data=values, chunks=(min(len(values), 1000), *values.shape[1:]), compression="gzip"
            )

        ids = np.column_stack([np.ones((events, 2), np.int32), np.arange(events, dtype=np.int32)])
        put("event_table/event_id", ids)
        adc = file.create_dataset(
            "wire_table/adc", (events * wires, 6400), "f4", chunks=(16, 6400), compression="gzip", compression_opts=4
        )
        hits = []
        for k in range(events):
            waves = np.zeros((wires, 6400), np.float32)
            for w in rng.choice(wires, wires // 10, replace=False):
                for tick in rng.integers(20, 6300, 4):
                    waves[w, tick - 10 : tick + 11] += pulse
                    hits.append((k, plane[w], wire[w], tick))
            adc[k * wires : (k + 1) * wires] = waves
        table = np.array(hits)
        columns = {
            "wire_table": {"local_plane": np.tile(plane, events), "local_wire": np.tile(wire, events).astype("f4")},
            "hit_table": {
                "hit_id": np.arange(len(table)), "local_plane": table[:, 1], "local_wire": table[:, 2],
                "local_time": table[:, 3].astype("f4"), "rms": np.full(len(table), 3, "f4"),
                "integral": np.full(len(table), 300, "f4"),
            },
            "edep_table": {"hit_id": np.arange(0, len(table), 5), "g4_id": 1 + table[::5, 2] % 20,
                           "energy": np.full(len(table[::5]), 2.5, "f4")},
            "particle_table": {
                "g4_id": np.tile(np.arange(1, 21), events), "g4_pdg": np.full(20 * events, 13),
                "parent_id": np.zeros(20 * events, int), "category": np.ones(20 * events, int),
                "instance": np.tile(np.arange(20), events), "momentum": np.ones(20 * events, "f4"),
                "start_wire_time": np.full(20 * events, 2000, "f4"), "end_wire_time": np.full(20 * events, 2100, "f4"),
            },
        }  # fmt: skip
        owner = {"wire_table": np.repeat(np.arange(events), wires), "hit_table": table[:, 0],
                 "edep_table": table[::5, 0], "particle_table": np.repeat(np.arange(events), 20)}  # fmt: skip
        for name, values in columns.items():
            for column, rows in values.items():
                put(f"{name}/{column}", rows[:, None])
            put(f"{name}/event_id", ids[owner[name]])
            counts = np.bincount(owner[name], minlength=events)
            put(f"{name}/event_id.seq_cnt", np.column_stack([np.arange(events), counts]))
        for column in ("start", "end"):
            put(f"particle_table/{column}_position_corr", np.full((20 * events, 3), 66.0, "f4"))
            text = file.create_dataset(f"particle_table/{column}_process", (20 * events, 1), h5py.string_dtype())
            text[:] = "primary"
    return f"{wires} waveforms, {len(table) // events:,} hits"


def larmatch(path: Path, events: int) -> str:
    """Pixels of random cells, and all triplets of them; what an event has."""
    from larmatch_files import event, write_larmatch

    rng = np.random.default_rng(0)
    detector = load_detector(ROOT / "config/detectors/microboone.yaml")
    cells = np.column_stack(
        [rng.integers(0, 450, 37000), rng.integers(800, 1400, 37000), rng.integers(800, 1400, 37000)]
    )
    cells = np.column_stack([cells, cells[:, 1] + cells[:, 2] - 671])
    cells = cells[(cells[:, 3] >= 0) & (cells[:, 3] < WIRES[2])]
    planes = [np.unique(cells[:, [0, 1 + p]], axis=0) for p in range(3)]
    from weft.io.wire_products import PIXELS

    pixels = np.concatenate([np.zeros(len(found), PIXELS.dtype) for found in planes])
    pixels["plane"] = np.repeat(np.arange(3), [len(found) for found in planes])
    pixels["row"], pixels["wire"] = np.concatenate(planes).T
    pixels["charge"] = 50
    dead = tuple(rng.random(n) < 0.02 for n in WIRES)
    alive = ~np.concatenate([dead[p][found[:, 1]] for p, found in enumerate(planes)])
    made = build_triplets(detector, pixels[alive], (dead,), TripletOptions(max_per_row=1000))  # type: ignore[arg-type]
    first = np.searchsorted(made.pixels["plane"], np.arange(3))
    rows = np.stack([made.triplets[f"pixel_{p}"] - first[p] for p in range(3)], 1)
    lists = []
    for p in range(3):
        mine = made.pixels[made.pixels["plane"] == p]
        charge = np.where(mine["dead"] != 0, 1.0, mine["charge"])
        lists.append(list(zip(mine["row"].tolist(), mine["wire"].tolist(), charge.tolist(), strict=True)))
    n = len(rows)
    one = event(lists, rows, larmatch_truth=rng.integers(0, 2, n), ssnet_truth=rng.integers(0, 7, n),
                ssnet_top_weight=np.ones(n), kp_truth=rng.random((n, 6)))  # fmt: skip
    write_larmatch(path, [one] * events)
    return f"{len(made.pixels):,} pixels, {n:,} triplets"


def speed() -> list[str]:
    """Table of events per second and peak memory."""
    detector = load_detector(ROOT / "config/detectors/microboone.yaml")
    lines = ["| file, per event | events | file, MB | s per event | peak, MB |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm.h5"
        opensamples(warm, 1)
        convert_file(warm, Path(folder) / "warm-out.h5")
        for name, make, where in (("OpenSamples", opensamples, None), ("LArMatch", larmatch, detector)):
            for events in EVENTS:
                source = Path(folder) / f"{name}{events}"
                what = make(source, events)
                target = Path(folder) / "out.h5"
                seconds, peak = child(lambda s=source, t=target, w=where: convert_file(s, t, detector=w))  # type: ignore[misc]
                size = source.stat().st_size / 1e6
                lines.append(f"| {name}: {what} | {events} | {size:.1f} | {seconds / events:.1f} | {peak:,.0f} |")
                print(lines[-1], file=sys.stderr)
    return lines


def pixel_truth(deposits: np.ndarray) -> np.ndarray:
    """What simulated deposits tell of pixels once it is forgotten where in space they were."""
    parts = []
    for p in range(3):
        seen = deposits[(deposits[f"wire_{p}"] >= 0) & (deposits["row"] >= 0)]
        rows = np.zeros(len(seen), PIXEL_TRUTH.dtype)
        for name in ("tpc", "row", "particle", "class"):
            rows[name] = seen[name]
        rows["plane"], rows["wire"], rows["known"] = p, seen[f"wire_{p}"], 1
        rows["energy"] = seen["electrons"] * IONISATION_ENERGY
        parts.append(rows)
    names = ("tpc", "plane", "row", "wire", "particle")
    rows = np.sort(np.concatenate(parts), order=names)
    new = np.ones(len(rows), bool)
    new[1:] = np.any([rows[name][1:] != rows[name][:-1] for name in names], axis=0)
    found = rows[new]
    found["energy"] = np.add.reduceat(rows["energy"], np.flatnonzero(new))
    return found


def agreement() -> list[str]:
    """Table of exact truth against that of pixels, and how far from charge those lie that are called good."""
    from scipy.spatial import cKDTree

    settings = SimulationSettings.parse({"wires": {"detector": "toy"}})
    detector = load_detector(ROOT / "config/detectors/toy.yaml")
    dead = tuple(settings.wires.dead_wires)
    counts = np.zeros((2, 2, 3), np.int64)
    near = np.zeros((2, 4), np.int64)
    called = np.zeros(2, np.int64)
    least = TruthOptions().min_electrons
    for i in range(SIMULATED):
        wires = simulate_event(settings, 3, i).wires
        images = np.zeros((3, detector.tpcs[0].readout.rows, max(p.wires for p in detector.tpcs[0].planes)), "f4")
        images[wires.pixels.plane, wires.pixels.row, wires.pixels.col] = wires.pixels.value
        event = build_triplets(detector, pixels_of(detector, images, 10), (dead,), TripletOptions())  # type: ignore[arg-type]
        exact = label_triplets(event.pixels, event.triplets, wires.deposits, least)["good"]
        said = label_from_pixels(event.pixels, event.triplets, pixel_truth(wires.deposits), least)["good"]
        members = [event.pixels[event.triplets[f"pixel_{p}"]] for p in range(3)]
        through = np.any([m["dead"] != 0 for m in members], axis=0)
        for d, e in np.ndindex(2, 2):
            for k, state in enumerate((GHOST_TRIPLET, GOOD_TRIPLET, UNKNOWN_TRIPLET)):
                counts[d, e, k] += np.sum((through == d) & (exact == e) & (said == state))
        cells = np.stack([wires.deposits["row"] * 100.0, *(wires.deposits[f"wire_{p}"] for p in range(3))], axis=1)
        cells = cells[(cells >= 0).all(axis=1)]
        place = np.stack([members[0]["row"] * 100.0, *(m["wire"] for m in members)], axis=1)
        for d in range(2):
            called[d] += np.sum((said == GOOD_TRIPLET) & (through == d))
            chosen = place[(said == GOOD_TRIPLET) & (through == d)]
            distance = cKDTree(cells).query(chosen, p=np.inf)[0] if len(chosen) and len(cells) else np.zeros(0)
            near[d] += [(distance <= k).sum() for k in range(4)]
    lines = [
        "| triplets | called good | of these good | within 1, 2, 3 wires | of good ones called good "
        "| of those called ghosts ghosts |",
        "|---|---|---|---|---|---|",
    ]
    for d, name in enumerate(("of three live wires", "through a dead wire")):
        good = counts[d, :, 1].sum()
        within = ", ".join(f"{n / called[d]:.0%}" for n in near[d, 1:])
        lines.append(
            f"| {name} | {called[d]:,} | {counts[d, 1, 1] / good:.1%} | {within} "
            f"| {counts[d, 1, 1] / counts[d, 1].sum():.2%} | {counts[d, 0, 0] / counts[d, :, 0].sum():.2%} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/results")
    arguments = parser.parse_args()
    agreed = agreement()
    print("\n".join(agreed))
    fast = speed()
    print("\n".join(fast))
    if arguments.write:
        machine = collect()
        text = [
            "# Files of wire planes",
            "",
            f"`python benchmarks/wire_files.py --write`, {machine['created'][:10]}, {machine['device']}, commit "
            f"`{machine['commit'][:10]}`{', with changes' if machine['dirty'] else ''}.",
            "",
            "Conversion, processor time of one process:",
            "",
            *fast,
            "",
            "Truth from pixels against the exact one: what `weft.triplets.pixel_truth` says of simulated events "
            f"(`wires`, toy detector, {SIMULATED} events) once it is forgotten where in space the charge was. "
            "Shares are of those whose exact truth is known: at least "
            f"{TruthOptions().min_electrons:g} electrons, or none. Distances are the largest of the three differences "
            "of wires, in the same row, to where charge arrived.",
            "",
            *agreed,
        ]
        RESULT.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
