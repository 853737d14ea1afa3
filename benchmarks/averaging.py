"""What the moving average of the weights costs a training step, beside torch's and Lightning's.

    OMP_NUM_THREADS=1 python benchmarks/averaging.py [--rounds 30] [--write]

Processor milliseconds of one update on the U-ResNet with 11 million parameters, and of putting the averages into the
network for a validation and back. The methods take turns within each round; median and the range of the middle half.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

from weft import tasks
from weft.config.training import Ema
from weft.engine.averaging import Averaging
from weft.io.provenance import processor
from weft.sparse.benchmark import commit

RESULT = Path(__file__).parent / "results" / "averaging.md"


class Module(LightningModule):
    """The network, for Lightning's callback."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network


def methods() -> tuple[int, dict[str, Callable[[int], Any]]]:
    """Number of parameters, and what each method does at a step."""
    network = tasks.build("segmentation", {}).network()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    ours = Averaging(network, Ema())
    ours.on_train_start(SimpleNamespace(global_step=0), None)  # type: ignore[arg-type]
    many = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9999), use_buffers=True)
    one = AveragedModel(network, avg_fn=get_ema_avg_fn(0.9999), use_buffers=True)
    module = Module(network)
    stock = WeightAveraging(avg_fn=get_ema_avg_fn(0.9999))
    stock.setup(SimpleNamespace(), module, "fit")  # type: ignore[arg-type]
    for reference in (many, one, stock._average_model):
        assert reference is not None
        reference.update_parameters(module if reference is stock._average_model else network)  # the first one copies

    def swap(step: int) -> None:
        ours.swap_in()
        ours.swap_out()

    return parameters, {
        "weft": lambda step: ours.on_train_batch_end(_at(step), module, None, None, 0),
        "torch AveragedModel, multi-tensor": lambda step: many.update_parameters(network),
        "torch AveragedModel": lambda step: one.update_parameters(network),
        "Lightning WeightAveraging": lambda step: stock.on_train_batch_end(_at(step), module, None, None, 0),
        "weft, in for a validation and out again": swap,
    }


def _at(step: int) -> Any:
    return SimpleNamespace(global_step=step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parameters, todo = methods()
    taken: dict[str, list[float]] = {name: [] for name in todo}
    for step in range(1, arguments.rounds + 1):
        for name, update in todo.items():
            begun = time.process_time()
            update(step)
            taken[name].append(1000 * (time.process_time() - begun))
    lines = [f"U-ResNet, {parameters:,} parameters, one thread, {arguments.rounds} rounds; processor time.", ""]
    lines += ["| update of the averages | ms a step | middle half |", "|---|---|---|"]
    for name, values in taken.items():
        low, middle, high = statistics.quantiles(values, n=4)
        lines.append(f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} |")
    lines += ["", f"{processor()}, torch {torch.__version__}, {datetime.date.today()}, commit {commit()}."]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        RESULT.write_text(f"# Cost of averaging the weights\n\n    {_COMMAND}\n\n{text}\n")


_COMMAND = "OMP_NUM_THREADS=1 python benchmarks/averaging.py --write"


if __name__ == "__main__":
    main()
