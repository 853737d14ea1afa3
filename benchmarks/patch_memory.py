"""The largest patches for a memory (`patch: auto`), and what training steps really take beside what is counted.

    python benchmarks/patch_memory.py [--memory 8] [--batch-sizes 1 4] [--checks 1 1.5] [--whole] [--write]

What a step needs is counted on tensors without memory. A step on a patch for 8 GB is some 8 TFLOP, minutes on a CPU, so
the count is checked by real steps (forward, backward, Adam; each a process of its own) on the largest patches for
smaller memories, and what the large ones take is said by the line through these; --whole takes those steps as well.
With a GPU: the most that torch's allocator has reserved. Without one: what the resident memory of the process grows by;
it has the driver's workspaces in it and no gaps.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weft.dense.build import build_network
from weft.dense.laws import law_of
from weft.dense.loss_options import LossOptions
from weft.dense.losses import loss_terms
from weft.dense.memory import GB, largest_patch, step_memory
from weft.dense.options import UNetXYOptions
from weft.dense.size_law import Size
from weft.io.provenance import collect

RESULT = Path(__file__).resolve().parent / "results" / "patch_memory.md"
NETWORKS: dict[str, dict[str, Any]] = {
    "unet_xy": {"name": "unet_xy"},
    "unet_xy_zoom, k = 2": {"name": "unet_xy_zoom", "zoom_ratio": 2},
    "unet_xy_zoom, k = 3": {"name": "unet_xy_zoom", "zoom_ratio": 3},
}


def step(options: UNetXYOptions, size: tuple[int, int, int], batch_size: int) -> dict[str, float]:
    """GB and seconds of one training step."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out = law_of(options).out_size(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    network = build_network(options).train().to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)
    volume = torch.rand(batch_size, options.channels, *size, device=device)
    labels = torch.randint(0, 2, (batch_size, *out), device=device)
    optimizer.zero_grad()
    terms = loss_terms(network(volume), labels, None, LossOptions())
    torch.stack([total / weight for total, weight in terms.values()]).sum().backward()
    optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
        taken = torch.cuda.max_memory_reserved()
    else:
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return {"gb": taken / GB, "seconds": time.perf_counter() - start}


def measure(given: dict[str, Any], batch_size: int, size: Size) -> float:
    """GB of one training step."""
    words = json.dumps([given, batch_size, size])
    run = subprocess.run([sys.executable, __file__, "--child", words], check=True, capture_output=True, text=True)
    return float(json.loads(run.stdout.splitlines()[-1])["gb"])


@dataclass(frozen=True)
class Check:
    """A patch that a real step was taken on."""

    name: str
    size: Size
    counted: float
    measured: float


def checked(name: str, given: dict[str, Any], memories: Sequence[float]) -> list[Check]:
    """Steps on one patch each, the largest for these memories in GB."""
    options = UNetXYOptions.model_validate(given)
    made = []
    for memory in memories:
        size = largest_patch(options, memory, 1)
        counted = step_memory(options, size, 1).total / GB
        if size in [check.size for check in made]:
            raise SystemExit(f"--checks: of {name} the largest patch for {memory:g} GB is that for another: {size}")
        made.append(Check(name, size, counted, measure(given, 1, size)))
        print(made[-1], flush=True)
    return made


def expected(counted: float, checks: Sequence[Check]) -> float:
    """GB by the line through the checks of a network, least squares."""
    slope, offset = np.polyfit([check.counted for check in checks], [check.measured for check in checks], 1)
    return float(slope * counted + offset)


def command_of(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The call that writes the table, with all options that are not the default."""
    words = ["python benchmarks/patch_memory.py", f"--memory {arguments.memory:g}"]
    for option in ("batch_sizes", "checks", "networks"):
        given = getattr(arguments, option)
        if given != parser.get_default(option):
            words.append(
                " ".join([f"--{option.replace('_', '-')}", *(f"'{n}'" if " " in str(n) else str(n) for n in given)])
            )
    return " ".join([*words, *(["--whole"] if arguments.whole else []), "--write"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=float, default=8, help="GB of the device")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--checks", type=float, nargs="+", default=[1, 1.5], help="GB, two or more")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--whole", action="store_true", help="take a step on the largest patches too")
    parser.add_argument("--write", action="store_true", help=f"keep the tables in {RESULT.name}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        given, batch_size, size = json.loads(arguments.child)
        print(json.dumps(step(UNetXYOptions.model_validate(given), tuple(size), batch_size)))
        return
    if len(set(arguments.checks)) < 2:
        parser.error("--checks: a line takes two memories")
    rows, checks = [], []
    for name in arguments.networks:
        given = NETWORKS[name]
        options = UNetXYOptions.model_validate(given)
        mine = checked(name, given, arguments.checks)
        checks += mine
        for batch_size in arguments.batch_sizes:
            size = largest_patch(options, arguments.memory, batch_size)
            counted = step_memory(options, size, batch_size).total / GB
            taken = expected(counted, mine)
            cells = [name, f"{arguments.memory:g}", batch_size, list(size), list(law_of(options).out_size(size))]
            cells += [f"{counted:.2f}", f"{taken:.2f}"]
            if arguments.whole:
                taken = measure(given, batch_size, size)
                cells.append(f"{taken:.2f}")
            rows.append([*cells, "yes" if taken <= arguments.memory else "no"])
            print(*rows[-1], flush=True)
    made = collect()
    text = [
        "# The largest patch for a memory",
        "",
        f"Made by `{command_of(arguments, parser)}`, {made['created'][:10]}, {made['device']}, "
        f"commit `{made['commit'][:10]}`{', with changes' if made['dirty'] else ''}, torch {torch.__version__}. "
        "Networks of full width, in GB.",
        "",
        *table(["network", "memory", "batch_size", "size_in", "size_out", "counted", "expected",
                *(["measured"] if arguments.whole else []), "fits"], rows),
        "",
        "Expected is what the counted memory becomes on the line through real steps, of one small patch each:",
        "",
        *table(["network", "size_in", "counted", "measured"],
               [[c.name, list(c.size), f"{c.counted:.2f}", f"{c.measured:.2f}"] for c in checks]),
    ]  # fmt: skip
    print("\n".join(text))
    if arguments.write:
        RESULT.write_text("\n".join(text) + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


if __name__ == "__main__":
    main()
