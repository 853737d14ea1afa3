"""The largest patches for a memory (`patch: auto`), and what a training step on them really takes.

    python benchmarks/patch_memory.py [--memory 8] [--batch-sizes 1 4] [--networks unet_xy unet_xy_zoom] [--write]

Each step (forward, backward, Adam) is a process of its own. With a GPU: the most that torch's allocator has reserved.
Without one: what the resident memory of the process grows by; it has the driver's workspaces in it and no gaps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from weft.dense.build import build_network
from weft.dense.laws import law_of
from weft.dense.loss_options import LossOptions
from weft.dense.losses import loss_terms
from weft.dense.memory import GB, largest_patch, step_memory
from weft.dense.options import UNetXYOptions


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


def measure(name: str, batch_size: int, size: tuple[int, int, int]) -> dict[str, float]:
    given = json.dumps([name, batch_size, size])
    run = subprocess.run([sys.executable, __file__, "--child", given], check=True, capture_output=True, text=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def command_of(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The call that writes the table, with all options that are not the default."""
    words = ["python benchmarks/patch_memory.py", f"--memory {arguments.memory:g}"]
    for option in ("batch_sizes", "networks"):
        given = getattr(arguments, option)
        if given != parser.get_default(option):
            words.append(" ".join([f"--{option.replace('_', '-')}", *map(str, given)]))
    return " ".join([*words, "--write"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=float, default=8, help="GB of the device")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--networks", nargs="+", default=["unet_xy", "unet_xy_zoom"])
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/patch_memory.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, batch_size, size = json.loads(arguments.child)
        print(json.dumps(step(UNetXYOptions(name=name), tuple(size), batch_size)))
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {platform.machine()}"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# The largest patch for a memory",
        "",
        f"Made by `{command_of(arguments, parser)}` on {device}, "
        f"{datetime.date.today()}, commit {commit}, torch {torch.__version__}.",
        "",
        "| network | memory [GB] | batch_size | size_in | size_out | counted [GB] | measured [GB] | fits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in arguments.networks:
        options = UNetXYOptions.model_validate({"name": name})
        for batch_size in arguments.batch_sizes:
            size = largest_patch(options, arguments.memory, batch_size)
            counted = step_memory(options, size, batch_size).total / GB
            measured = measure(name, batch_size, size)["gb"]
            fits = "yes" if measured <= arguments.memory else "no"
            out = list(law_of(options).out_size(size))
            lines.append(
                f"| {name} | {arguments.memory:g} | {batch_size} | {list(size)} | {out} "
                f"| {counted:.2f} | {measured:.2f} | {fits} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.write:
        Path(__file__).with_name("results").joinpath("patch_memory.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
