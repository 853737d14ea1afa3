"""Timing of the sparse engines: one training step of the seed U-ResNet, and the rate of its convolutions."""

from __future__ import annotations

import platform
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft.sparse.convolve import ENGINES, convolve
from weft.sparse.gemm import uses_onednn
from weft.sparse.kernel_map import KernelMap
from weft.sparse.minkowski import load_minkowski
from weft.sparse.synthetic import synthetic_batch
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import SegmentationHead, UResNet


@dataclass(frozen=True)
class StepTiming:
    """One training step (kernel maps, forward, backward, Adam) of one engine; times in seconds."""

    engine: str
    events: int
    voxels: int
    best: float
    median: float
    cpu: float  # processor time of all threads, least of the repeats
    peak: float  # MiB of resident memory above what was held before the step


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

    def ratio(self, events: int, engine: str = "minkowski") -> float:
        """Median step time of ``engine`` over that of ``torch``."""
        by_engine = {step.engine: step.median for step in self.steps if step.events == events}
        return by_engine[engine] / by_engine["torch"]

    def table(self) -> str:
        """Markdown tables of steps and rates."""
        lines = [
            f"{self.machine}, {self.threads} threads, torch {torch.__version__}",
            "",
            "| events | mean voxels | engine | step, best s | step, median s | CPU s | peak MiB | time / torch |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for s in self.steps:
            ratio = f"{self.ratio(s.events, s.engine):.2f}"
            lines.append(
                f"| {s.events} | {s.voxels} | {s.engine} | {s.best:.3f} | {s.median:.3f} | {s.cpu:.3f} "
                f"| {s.peak:.0f} | {ratio} |"
            )
        lines += [
            "",
            f"Convolutions of one step with {self.rate_events} events, kernel maps ready:",
            "",
            "| engine | direction | GFLOP | GFLOP/s | best matrix product at the same shapes, GFLOP/s | share |",
            "|---|---|---|---|---|---|",
        ]
        for r in self.rates:
            lines.append(
                f"| {r.engine} | {r.direction} | {r.gflop:.1f} | {r.rate:.0f} | {r.product_rate:.0f} "
                f"| {r.rate / r.product_rate:.0%} |"
            )
        return "\n".join(lines)


def benchmark_sparse(
    batch_sizes: Sequence[int] = (1, 4, 8),
    engines: Sequence[str] = ("torch", "minkowski"),
    repeats: int = 7,
    voxels: int = 3300,
    rate_events: int = 4,
) -> SparseBenchmark:
    """Time the engines side by side in this process, step by step in turn.

    Events are synthetic (:mod:`weft.sparse.synthetic`); the network is the seed configuration (32 filters, depth 5,
    2 repetitions, 10,956,229 parameters). Rates are measured on a batch of ``rate_events``.

    Raises: WeftError where an engine is not installed.
    """
    if "minkowski" in engines:
        load_minkowski()
    steps = [step for events in batch_sizes for step in time_steps(events, engines, repeats, voxels)]
    rates = measure_rates(rate_events, engines, repeats, voxels)
    return SparseBenchmark(machine(), torch.get_num_threads(), steps, rates, rate_events)


def time_steps(events: int, engines: Sequence[str], repeats: int, voxels: int) -> list[StepTiming]:
    """Interleaved steps of all engines on the same batches."""
    # Every round sees another batch, as in training: caches by shape must not flatter an engine.
    batches = [_batch(seed, events, voxels) for seed in range(repeats + 1)]
    torch.manual_seed(0)
    net = nn.ModuleList([UResNet(), SegmentationHead(32, 5)])
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step(engine: str, batch: int) -> None:
        coords, features, labels = batches[batch]
        logits = net[1](net[0](SparseTensor.from_points(coords, features, engine=engine)).final).at_points()
        optimiser.zero_grad()
        F.cross_entropy(logits, labels).backward()
        optimiser.step()

    wall: dict[str, list[float]] = {engine: [] for engine in engines}
    cpu: dict[str, list[float]] = {engine: [] for engine in engines}
    for repeat in range(repeats + 1):
        for engine in engines:
            start, busy = time.perf_counter(), time.process_time()
            step(engine, repeat)
            if repeat:  # the first round warms up
                wall[engine].append(time.perf_counter() - start)
                cpu[engine].append(time.process_time() - busy)
    peak = {engine: peak_memory(partial(step, engine, 0)) for engine in engines}
    mean = round(sum(len(coords) for coords, _, _ in batches) / len(batches))
    return [StepTiming(e, events, mean, min(wall[e]), median(wall[e]), min(cpu[e]), peak[e]) for e in engines]


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
    reset, before = Path("/proc/self/clear_refs"), _high_water()
    if reset.exists():
        reset.write_text("5")
        before = _high_water()
    function()
    return _high_water() - before


def _high_water() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def machine() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main(engines: Sequence[str] = ("torch", "minkowski")) -> None:
    """Run the benchmark with its defaults and print the tables."""
    print(benchmark_sparse(engines=engines).table())
