"""Throughput and memory of the event store, the converter and the loader: ``python benchmarks/io.py``.

Events have 3000 voxels in random walks, shared out among 30 particles; rates are per core. CPU time is measured
where one process works alone, so that other users of the machine do not count; the loader is timed by the clock.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from weft.detector.meta import VoxelMeta
from weft.io.convert import convert_file
from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, PROCESS_COLUMNS, SEMANTICS, VOXELS, EventId, Ragged
from weft.io.provenance import collect
from weft.io.root_write import RootWriter, meta_columns
from weft.io.store import EventStore, StoreWriter, content_hash

BOX = VoxelMeta.cube(256, 0.3)
VOXELS_PER_EVENT = 3000
PARTICLES_PER_EVENT = 30


def ids(rng: np.random.Generator) -> np.ndarray:
    """uint64 (3000,): voxels of walks from random starts, sorted."""
    found = np.empty(0, np.uint64)
    while len(found) < VOXELS_PER_EVENT:
        start = rng.integers(60, 196, 3)
        walk = start + np.cumsum(rng.integers(-1, 2, (400, 3)), 0)
        x, y, z = np.clip(walk, 0, 255).T
        found = np.unique(np.concatenate([found, ((z * 256 + y) * 256 + x).astype(np.uint64)]))
    return np.sort(rng.permutation(found)[:VOXELS_PER_EVENT])


def write_root(path: Path, events: int) -> None:
    """Events in the trees of `weft simulate`, 50 per basket."""
    rng = np.random.default_rng(1)
    pool = [ids(rng) for _ in range(100)]
    absent = {"p", *PROCESS_COLUMNS}
    members = [n for n in PARTICLES.dtype.names or () if n not in absent]
    with RootWriter(path, {"weft_provenance": {}}) as writer:
        for first in range(0, events, 50):
            n = min(50, events - first)
            identity = {"_run": np.ones(n, "u8"), "_subrun": np.ones(n, "u8"), "_event": np.arange(first, first + n)}
            boxed = identity | meta_columns(BOX, n)
            voxels = np.concatenate([pool[(first + k) % 100] for k in range(n)])
            counts = np.full(n, VOXELS_PER_EVENT)
            charge = rng.gamma(2.0, 0.3, len(voxels)).astype(np.float32)
            classes = rng.integers(0, 5, len(voxels)).astype(np.float32)
            for tree, values in (("sparse3d_pcluster", charge), ("sparse3d_pcluster_semantics", classes)):
                writer.extend(f"{tree}_tree", boxed, {"_voxel_v": (counts, {"._id": voxels, "._value": values})})
            items = np.full(n, PARTICLES_PER_EVENT)
            sizes = np.full(n * PARTICLES_PER_EVENT, VOXELS_PER_EVENT // PARTICLES_PER_EVENT, np.int32)
            clusters = {"_voxel_v": (counts, {"._id": voxels, "._value": charge}), "_voxel_v._n": (items, {"": sizes})}
            writer.extend("cluster3d_pcluster_tree", boxed, clusters)
            rows = {
                f"._{m}": rng.random(len(sizes)) if PARTICLES.dtype[m].kind == "f" else np.zeros(len(sizes), np.int32)
                for m in members
            }
            rows |= {"._id": np.tile(np.arange(PARTICLES_PER_EVENT, dtype=np.int32), n), "._num_voxels": sizes}
            writer.extend("particle_pcluster_tree", identity, {"_part_v": (items, rows)})


@contextmanager
def cpu_seconds() -> Iterator[Callable[[], float]]:
    start = time.process_time()
    end: list[float] = []
    yield lambda: (end or [time.process_time()])[0] - start
    end.append(time.process_time())


def peak_memory_mb(work: Callable[[], object]) -> float:
    """Largest resident memory of a fresh process that does `work`."""
    receive, send = multiprocessing.Pipe(False)

    def child() -> None:
        work()
        send.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    found = receive.recv()
    process.join()
    return float(found)


def write_store(path: Path, events: int) -> float:
    rng = np.random.default_rng(2)
    pool = []
    for _ in range(100):
        voxel = ids(rng)
        index = np.stack([voxel % 256, voxel // 256 % 256, voxel // 65536], 1).astype(np.int32)
        rows = np.zeros(VOXELS_PER_EVENT, CLUSTERS.dtype)
        rows["voxel"] = np.arange(VOXELS_PER_EVENT)
        meta = np.zeros(1, META.dtype)
        for a in "xyz":
            meta[f"n{a}"], meta[f"size_{a}"] = 256, 0.3
        pool.append(
            {
                "meta": meta,
                "voxels": index,
                "charge": rng.gamma(2.0, 0.3, (VOXELS_PER_EVENT, 1)).astype(np.float32),
                "semantics": np.repeat(rng.integers(0, 5, 30), 100).astype(np.int8)[:, None],
                "particles": np.zeros(PARTICLES_PER_EVENT, PARTICLES.dtype),
                "clusters": Ragged(rows, np.arange(0, VOXELS_PER_EVENT + 1, 100)),
            }
        )
    with (
        cpu_seconds() as spent,
        StoreWriter(path, (META, VOXELS, CHARGE, SEMANTICS, PARTICLES, CLUSTERS), provenance={}) as writer,
    ):
        for i in range(events):
            writer.append(EventId(1, 1, i, i), pool[i % 100])
    return events / spent()


def read_one_by_one(path: Path, names: tuple[str, ...], events: int) -> float:
    """Microseconds of CPU per event, shuffled, in the second pass."""
    with EventStore.open(path) as store:
        order = np.random.default_rng(3).permutation(events)
        for _ in range(2):
            with cpu_seconds() as spent:
                for i in order:
                    for name in names:
                        store[name][i]
    return spent() / events * 1e6


def load(path: Path, events: int, workers: int, batch: int = 16) -> tuple[float, float]:
    """Events per second through the engine's own loader: real sampling, augmentation and collation.

    Returns:
        By the clock once all workers are warm, and per second of the CPU time of all processes, their start included.
    """
    import torch

    from weft import tasks
    from weft.engine.corpus import Corpus
    from weft.engine.stream import Count, TrainingBatches, loader

    def cpu() -> float:
        usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(u.ru_utime + u.ru_stime for u in usage)

    torch.set_num_threads(1)
    options = {"loss": {"upweight_points": False}, "data": {"rotate": True, "flip": True}}
    task = tasks.build("segmentation", options)
    batches = TrainingBatches(task, Corpus([{"truth": path}]), seed=1, batch_size=batch)
    total, warm = 5 * events // batch, events // batch
    used, start = cpu(), 0.0
    stream = loader(batches, Count(0, total), workers)
    for k, _ in enumerate(stream):
        if k == warm:
            start = time.perf_counter()
    by_the_clock = (total - warm - 1) * batch / (time.perf_counter() - start)
    del stream
    return by_the_clock, total * batch / (cpu() - used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "io.md")
    arguments = parser.parse_args()
    n, rows = arguments.events, []
    with tempfile.TemporaryDirectory() as folder:
        store, root = Path(folder) / "a.h5", Path(folder) / "a.root"
        rows.append(("write a store", f"{write_store(store, n):.0f} events/s"))
        rows.append(("size of the store", f"{store.stat().st_size / n / 1e3:.1f} kB/event"))
        with cpu_seconds() as spent:
            content_hash(store)
        rows.append(("content hash", f"{n / spent():.0f} events/s"))
        for names in (("voxels",), ("charge",), ("semantics",), ("particles",), ("clusters",),
                      ("voxels", "charge", "semantics")):  # fmt: skip
            microseconds = read_one_by_one(store, names, n)
            rows.append((f"read one event at random: {' + '.join(names)}", f"{microseconds:.0f} µs"))
        write_root(root, n)
        convert_file(root, Path(folder) / "b.h5", stop=50)
        with cpu_seconds() as spent:
            convert_file(root, Path(folder) / "b.h5")
        rows.append(("convert the simulator's ROOT", f"{n / spent():.0f} events/s"))
        for part in (n // 8, n):
            peak = peak_memory_mb(lambda part=part: convert_file(root, Path(folder) / "c.h5", stop=part))  # type: ignore[misc]
            rows.append((f"peak memory, converting {part} events", f"{peak:.0f} MB"))
        # Last, because torch starts threads that a forked process would miss.
        for workers in (0, 2):
            clock, core = load(store, n, workers)
            value = f"{clock:.0f} events/s by the clock, {core:.0f} per core"
            rows.append((f"training batches, {workers} loader workers", value))
    record = collect()
    lines = [
        "# Event store, converter and loader",
        "",
        f"`python benchmarks/io.py --events {n}`, {record['created'][:10]}, {record['device']}, commit "
        f"`{record.get('commit', 'none')[:10]}`, torch {record['packages'].get('torch')}.",
        "",
        f"{VOXELS_PER_EVENT} voxels and {PARTICLES_PER_EVENT} particles per event, warm page cache. Rates per core are "
        "per second of CPU time, so that",
        "other work on the machine does not count; the loader's include augmentation and collation into batches of 16.",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows),
        "",
    ]
    arguments.output.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
