"""Whole volumes through a network of full width: sliding windows beside the convolutions alone, and MONAI's.

    OMP_NUM_THREADS=1 python benchmarks/windows.py            # about a minute of processor time; prints the table
    OMP_NUM_THREADS=1 python benchmarks/windows.py --write    # and writes benchmarks/results/windows.md

Processor time of one thread, so that other users of the machine do not count; the median over rounds in which all take
turns. "Convolutions alone" runs every convolution of the network by itself on an input of the shape that it has for a
window, and counts it once for each window of the volume.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import tee
from pathlib import Path
from statistics import median

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from weft.dense.folding import folded
from weft.dense.options import UNetXYOptions
from weft.dense.unet_xy import UNetXY
from weft.dense.windows import plan_windows, sliding_windows
from weft.io.dense import DenseBlocks
from weft.io.products import EventId
from weft.io.provenance import collect
from weft.io.store import EventStore, StoreWriter
from weft.io.volume_products import LABELS, image, probabilities
from weft.volumes.normalise import normalised_channels
from weft.volumes.recipes import recipe
from weft.volumes.resize import resized, resized_slabs

RESULT = Path(__file__).resolve().parent / "results" / "windows.md"
OVERLAP, FINER = 0.25, 1.5
#: Network, a window's input, the volume that it is run over.
CASES = (
    ("unet_xy_0pad", (8, 48, 48), (12, 48, 84)),
    ("unet_xy", (36, 108, 108), (14, 20, 20)),
)


def seconds(what: Callable[[], object]) -> float:
    start = time.process_time()
    what()
    return time.process_time() - start


def convolutions(network: nn.Module, window: Tensor) -> float:
    """Processor time of the convolutions of one window, each by itself on an input that lies in memory as there."""
    seen: list[tuple[nn.Module, tuple[int, ...], torch.memory_format]] = []
    kinds = (nn.Conv3d, nn.ConvTranspose3d)
    hooks = [
        module.register_forward_pre_hook(
            lambda module, given: seen.append((module, tuple(given[0].shape), order(given[0])))
        )
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    network(window)
    for hook in hooks:
        hook.remove()
    spent = 0.0
    for module, shape, kept in seen:
        given = torch.rand(shape).to(memory_format=kept)
        spent += seconds(lambda module=module, given=given: module(given))
    return spent


def order(volume: Tensor) -> torch.memory_format:
    """Whether the channels of a voxel, or the planes of a channel lie side by side."""
    return torch.contiguous_format if volume.is_contiguous() else torch.channels_last_3d


def store_to_store(
    network: UNetXY, source: Path, target: Path, size_in: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """A stack with smaller voxels: normalised, resized, predicted, resized back, written with its labels."""
    with EventStore.open(source) as store, StoreWriter(target, [probabilities(), LABELS], provenance={}) as writer:
        stack = store["image"][0]
        given = resized(normalised_channels(stack, [recipe("percentile")]), shape)
        slabs = sliding_windows(network, given, network.size_law, size_in, overlap=OVERLAP)
        once, again = tee(resized_slabs(slabs, shape, stack.shape[1:]))
        labels = ((z, slab.argmax(0).astype(np.int16)) for z, slab in again)
        products = {
            "probabilities": DenseBlocks((2, *stack.shape[1:]), np.dtype("f4"), once),
            "labels": DenseBlocks(stack.shape[1:], LABELS.dtype, labels),
        }
        writer.append(EventId(1, 1, 1, 1), products)


def idle(network: UNetXY, volume: np.ndarray, size_in: tuple[int, int, int]) -> dict[str, list[float]]:
    """Processor time of what is not the network, by way."""
    law = network.size_law
    z, y, x = law.margin

    def nothing(given: Tensor) -> Tensor:
        inside = given[:, :, z : given.shape[2] - z, y : given.shape[3] - y, x : given.shape[4] - x]
        return torch.cat((inside, 1 - inside), 1).softmax(1)

    def ours() -> None:
        for _ in sliding_windows(nothing, volume, law, size_in, overlap=OVERLAP, activation="none"):
            pass

    def monai() -> None:
        sliding_window_inference(torch.from_numpy(volume)[None], size_in, 1, nothing, OVERLAP, "gaussian")

    ways = {"array to slabs": ours} | ({"MONAI's": monai} if law.padded else {})
    return {way: [seconds(run) for _ in range(11)] for way, run in ways.items()}


def measure(name: str, size_in: tuple[int, int, int], shape: tuple[int, int, int], rounds: int) -> list[str]:
    """Rows of the table of one network."""
    torch.manual_seed(0)
    network = UNetXY(UNetXYOptions(name=name)).eval()
    quick = folded(network)
    volume = np.random.default_rng(1).random((1, *shape), np.float32)
    window = torch.rand(1, 1, *size_in)
    windows = len(plan_windows(shape, network.size_law, size_in, OVERLAP))

    def ours(model: UNetXY) -> None:
        slabs = sliding_windows(model, volume, network.size_law, size_in, overlap=OVERLAP)
        np.concatenate([slab for _, slab in slabs], 1)

    def monai(model: UNetXY) -> None:
        def predict(given: Tensor) -> Tensor:
            return model(given)["main"].softmax(1)

        sliding_window_inference(torch.from_numpy(volume)[None], size_in, 1, predict, OVERLAP, "gaussian")

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        source, target = Path(folder) / "stack.h5", Path(folder) / "predicted.h5"
        finer = (1, shape[0], *(round(FINER * n) for n in shape[1:]))
        with StoreWriter(source, [image("u2")], provenance={}) as writer:
            stack = np.random.default_rng(2).integers(0, 60000, finer).astype(np.uint16)
            writer.append(EventId(1, 1, 1, 1), {"image": stack})
        ways: dict[str, Callable[[], object]] = {
            "array to slabs": lambda: ours(quick),
            f"store to store, resized {FINER} times and back": lambda: store_to_store(
                quick, source, target, size_in, shape
            ),
        }
        if network.size_law.padded:
            ways["MONAI's, array to array"] = lambda: monai(network)
        for model in (network, quick):  # plans of convolutions are made once for a shape
            model(window)
        spent: dict[str, list[float]] = {way: [] for way in ways}
        alone: list[float] = []
        for _ in range(rounds):
            for way, run in ways.items():
                spent[way].append(seconds(run))
                print(f"{name}: {way}: {spent[way][-1]:.3f} s", flush=True)
            alone.append(windows * convolutions(quick, window))
    least = median(alone)
    text = f"{name}, {' x '.join(map(str, size_in))}"
    rows = [f"| {text} | {windows} | convolutions alone | {least:.2f} | 1 |"]
    spent |= {f"{way}: a network that does nothing": t for way, t in idle(network, volume, size_in).items()}
    rows += [f"| {text} | {windows} | {way} | {median(t):.2f} | {median(t) / least:.4f} |" for way, t in spent.items()]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table too")
    parser.add_argument("--rounds", type=int, default=1, help="how often all take their turn")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for case in CASES for row in measure(*case, asked.rounds)]
    table = [
        "| network, window | windows | | processor time, s | of the convolutions |",
        "|---|---|---|---|---|",
        *rows,
    ]
    print("\n".join(table))
    if asked.write:
        machine = collect()
        text = [
            "# Whole volumes through a network of full width",
            "",
            f"`python benchmarks/windows.py --write --rounds {asked.rounds}`, {machine['created'][:10]}, "
            f"{machine['device']}, commit `{machine['commit'][:10]}`{', with changes' if machine['dirty'] else ''}, "
            f"torch {torch.__version__}: processor time of one thread. Windows overlap by a quarter, weighted by "
            "a Gaussian.",
            "",
            *table,
        ]
        RESULT.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
