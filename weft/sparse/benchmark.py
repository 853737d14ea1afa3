"""Timing of the sparse engines: one training step of the seed U-ResNet, and the rate of its convolutions."""

from __future__ import annotations

import datetime
import multiprocessing
import platform
import resource
import subprocess
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft.io.provenance import processor
from weft.sparse.convolve import ENGINES, convolve
from weft.sparse.gemm import uses_onednn
from weft.sparse.kernel_map import KernelMap
from weft.sparse.minkowski import load_minkowski
from weft.sparse.synthetic import synthetic_batch
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import SegmentationHead, UResNet


@dataclass(frozen=True)
class StepTiming:
    """One training step (kernel maps, forward, backward, Adam) of one engine; median times in seconds."""

    engine: str
    events: int
    voxels: int
    wall: float
    cpu: float  # processor time of all threads
    peak: float  # MiB of resident memory above what is held before the step


@dataclass(frozen=True)
class Rate:
    """Convolutions of one pass over the network: GFLOP/s of an engine and of bare matrix products."""

    engine: str
    direction: str
    gflop: float
    seconds: float
    product_seconds: float

    @property
    def rate(self) -> float:
        return self.gflop / self.seconds

    @property
    def product_rate(self) -> float:
        return self.gflop / self.product_seconds


@dataclass(frozen=True)
class SparseBenchmark:
    """What :func:`benchmark_sparse` measured."""

    machine: str
    threads: int
    steps: list[StepTiming]
    rates: list[Rate]
    rate_events: int

    def ratio(self, events: int, engine: str, clock: Literal["wall", "cpu"]) -> float:
        """Time of MinkowskiEngine's step over that of ``engine``: median wall-clock or processor time."""
        times = {step.engine: getattr(step, clock) for step in self.steps if step.events == events}
        return times["minkowski"] / times[engine]

    def table(self) -> str:
        """Markdown tables of steps and rates."""
        compared = any(step.engine == "minkowski" for step in self.steps)
        columns = ["events", "mean voxels", "engine", "processor time, s", "wall-clock time, s", "peak memory, MiB"]
        if compared:
            columns += ["minkowski / engine, processor time", "minkowski / engine, wall-clock"]
        lines = [f"{self.machine}, threads: {self.threads}, torch {torch.__version__}", "", *_header(columns)]
        for s in self.steps:
            cells = [str(s.events), str(s.voxels), s.engine, f"{s.cpu:.3f}", f"{s.wall:.3f}", f"{s.peak:.0f}"]
            if compared:
                cells += [f"{self.ratio(s.events, s.engine, clock):.2f}" for clock in ("cpu", "wall")]
            lines.append(f"| {' | '.join(cells)} |")
        lines += [
            "",
            f"Convolutions of one step with {self.rate_events} events, kernel maps ready:",
            "",
            *_header(
                ["engine", "direction", "GFLOP", "GFLOP/s", "best product at these shapes, GFLOP/s", "engine / product"]
            ),
        ]
        for r in self.rates:
            lines.append(
                f"| {r.engine} | {r.direction} | {r.gflop:.1f} | {r.rate:.0f} | {r.product_rate:.0f} "
                f"| {r.rate / r.product_rate:.0%} |"
            )
        return "\n".join(lines)


def _header(columns: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def benchmark_sparse(
    batch_sizes: Sequence[int] = (1, 4, 8, 16),
    engines: Sequence[str] = ("numba", "torch", "minkowski"),
    repeats: int = 7,
    voxels: int = 3300,
    rate_events: int = 4,
) -> SparseBenchmark:
    """Time the engines side by side in this process, step by step in turn.

    Events are synthetic (:mod:`weft.sparse.synthetic`); the network is the seed configuration (32 filters, depth 5,
    2 repetitions, 10,956,229 parameters). Rates are measured on a batch of ``rate_events``, peak memory in a process
    of its own for every engine and batch size.

    Raises: WeftError where an engine is not installed.
    """
    if "minkowski" in engines:
        load_minkowski()
    steps = [step for events in batch_sizes for step in time_steps(events, engines, repeats, voxels)]
    rates = measure_rates(rate_events, engines, repeats, voxels)
    return SparseBenchmark(processor(), torch.get_num_threads(), steps, rates, rate_events)


class _Trainee:
    """The seed network and its optimiser."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.ModuleList([UResNet(), SegmentationHead(32, 5)])
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)

    def step(self, engine: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        """Kernel maps, forward, backward, Adam."""
        coords, features, labels = batch
        trunk, head = self.net
        logits = head(trunk(SparseTensor.from_points(coords, features, engine=engine)).final).at_points()
        self.optimiser.zero_grad()
        F.cross_entropy(logits, labels).backward()
        self.optimiser.step()


def time_steps(events: int, engines: Sequence[str], repeats: int, voxels: int) -> list[StepTiming]:
    """Interleaved steps of all engines on the same batches; medians over ``repeats`` rounds."""
    # Every round sees another batch, as in training: caches by shape must not flatter an engine.
    batches = [_batch(seed, events, voxels) for seed in range(repeats + 1)]
    trainee = _Trainee()
    wall: dict[str, list[float]] = {engine: [] for engine in engines}
    cpu: dict[str, list[float]] = {engine: [] for engine in engines}
    for repeat, batch in enumerate(batches):
        for engine in engines:
            start, busy = time.perf_counter(), time.process_time()
            trainee.step(engine, batch)
            if repeat:  # the first round warms up
                wall[engine].append(time.perf_counter() - start)
                cpu[engine].append(time.process_time() - busy)
    mean = round(sum(len(coords) for coords, _, _ in batches) / len(batches))
    return [
        StepTiming(e, events, mean, median(wall[e]), median(cpu[e]), step_memory(e, events, voxels)) for e in engines
    ]


def step_memory(engine: str, events: int, voxels: int) -> float:
    """Most memory that a training step holds above network, optimiser and loaded code, in MiB.

    Measured in a fresh process, since an allocator that has grown in an earlier step hides what the next one needs.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_step_memory, engine, events, voxels, torch.get_num_threads()).result()


def _step_memory(engine: str, events: int, voxels: int, threads: int) -> float:
    torch.set_num_threads(threads)
    trainee = _Trainee()
    trainee.step(engine, _batch(0, 1, 50))  # loads and compiles code, and makes the optimiser's state
    batch = _batch(1, events, voxels)
    return peak_memory(partial(trainee.step, engine, batch))


def measure_rates(events: int, engines: Sequence[str], repeats: int, voxels: int) -> list[Rate]:
    """GFLOP/s of all convolutions of the network, forward and backward apart; least time of the repeats each.

    A convolution does ``2 · pairs · Cin · Cout`` operations forward and twice that backward. Beside it stand the
    matrix products alone: for every kernel offset with n pairs [n, Cin]·[Cin, Cout] forward, [n, Cout]·[Cout, Cin]
    and [Cin, n]·[n, Cout] backward, each by the faster of the installed libraries on contiguous operands.
    """
    coords, features, _ = _batch(0, events, voxels)
    calls: Counter[tuple[KernelMap, int, int]] = Counter()

    def record(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        calls[kernel_map, weight.shape[1], weight.shape[2]] += 1
        return features.new_zeros(len(kernel_map.outputs), weight.shape[2])

    ENGINES["record"] = record
    try:
        with torch.no_grad():
            UResNet()(SparseTensor.from_points(coords, features, engine="record"))
    finally:
        del ENGINES["record"]

    gflop, bare = 0.0, {"forward": 0.0, "backward": 0.0}
    seconds = {(engine, direction): 0.0 for engine in engines for direction in bare}
    for (kernel_map, n_in, n_out), times in calls.items():
        pairs = kernel_map.pairs
        gflop += times * 2e-9 * len(pairs) * n_in * n_out
        for count, offsets in Counter(count for count in pairs.counts if count).items():
            bare["forward"] += times * offsets * _product_time(count, n_in, n_out, repeats)
            both = _product_time(count, n_out, n_in, repeats) + _product_time(n_in, count, n_out, repeats)
            bare["backward"] += times * offsets * both
        weight = torch.randn(kernel_map.volume, n_in, n_out, requires_grad=True)
        x = torch.randn(len(kernel_map.inputs), n_in, requires_grad=True)
        grad = torch.randn(len(kernel_map.outputs), n_out)
        for engine in engines:
            forward, backward = [], []
            for _ in range(repeats):
                start = time.perf_counter()
                out = convolve(x, weight, kernel_map, engine)
                middle = time.perf_counter()
                torch.autograd.grad(out, (x, weight), grad)
                forward.append(middle - start)
                backward.append(time.perf_counter() - middle)
            seconds[engine, "forward"] += times * min(forward)
            seconds[engine, "backward"] += times * min(backward)
    return [
        Rate(engine, way, gflop * (1 + (way == "backward")), seconds[engine, way], bare[way])
        for engine in engines
        for way in bare
    ]


def _product_time(n: int, k: int, m: int, repeats: int) -> float:
    """Least time of the faster library, its kernels for this very shape compiled beforehand."""
    a, b, out = torch.randn(n, k), torch.randn(k, m), torch.empty(n, m)
    candidates: list[Callable[[], Tensor]] = [lambda: torch.mm(a, b, out=out)]
    if uses_onednn(a):
        candidates.append(lambda: torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], ""))
    return min(_best(candidate, repeats) for candidate in candidates)


def _best(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _batch(seed: int, events: int, voxels: int) -> tuple[Tensor, Tensor, Tensor]:
    coords, features = synthetic_batch(seed, events, voxels)
    labels = torch.arange(len(coords)) % 5
    return torch.from_numpy(coords), torch.from_numpy(features), labels


def peak_memory(function: Callable[[], object]) -> float:
    """Largest resident memory while ``function`` runs above that before it, in MiB.

    On Linux the kernel's high-water mark is reset first; elsewhere it counts from the start of the process.
    """
    reset, before = Path("/proc/self/clear_refs"), high_water()
    if reset.exists():
        reset.write_text("5")
        before = high_water()
    function()
    return high_water() - before


def high_water() -> float:
    """Largest resident memory of this process, MiB, since its start or since :func:`peak_memory` has begun."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def main(engines: Sequence[str] = ("numba", "torch", "minkowski")) -> str:
    """Run the benchmark with its defaults, print the tables, and return them."""
    warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
    table = f"{datetime.date.today()}, commit {commit()}, {benchmark_sparse(engines=engines).table()}"
    print(table)
    return table


def commit(folder: Path = Path(__file__).parent) -> str:
    """Short name of the checkout's commit, and whether a folder differs from it; default: the engine."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (" (changed)" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git checkout)"
