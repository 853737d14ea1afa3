"""How much memory a training step takes, and the largest patch that fits (``patch: auto``).

A step needs the weights, their gradients and the two moments of Adam, what the layers keep for the backward pass, and
while it runs the gradients of its largest layer. What is kept is counted exactly, on tensors without memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from weft.dense.build import as_volume_network, build_network
from weft.dense.laws import law_of
from weft.dense.options import NetworkOptions
from weft.dense.size_law import Size
from weft.errors import WeftError

GB = 1024**3
_LARGEST_LAYER = 2.0
"""times the largest tensor, for the gradients of the layer that is going backwards: one comes in, one goes out"""
_IN_VAIN = 0.9
"""share of a device's memory that tensors can have: the rest is the driver's, workspaces and gaps between tensors
(benchmarks/patch_memory.py)"""
_DEEPEST = 512
"""voxels; no patch is larger along an axis"""


class StepMemory(NamedTuple):
    """Bytes of a training step in float32, by what they are for.

    Attributes:
        weights: parameters, gradients and two moments each.
        kept: by the layers, for the backward pass.
        layer: the gradients of the largest layer.
    """

    weights: int
    kept: int
    layer: int

    @property
    def total(self) -> int:
        return self.weights + self.kept + self.layer


def step_memory(options: NetworkOptions, size_in: Size, batch_size: int) -> StepMemory:
    """What a training step on ``batch_size`` patches of ``size_in`` needs; nothing is computed.

    Raises:
        WeftError: the size is not legal.
    """
    with torch.device("meta"):
        network = build_network(options).train()
    return _counted(network, options, size_in, batch_size)


def largest_patch(options: NetworkOptions, memory_gb: float, batch_size: int, most: Size | None = None) -> Size:
    """The legal patch with the most voxels of output whose training step fits; square in y and x.

    Args:
        memory_gb: of the device, in units of 2^30 bytes; a tenth of it is left free.
        batch_size: patches of a step on that device.
        most: [Z, Y, X] of the largest image; a patch need not give more than that.

    Raises:
        WeftError: even the smallest patch does not fit.
    """
    law = law_of(options)
    with torch.device("meta"):
        network = build_network(options).train()
    budget = memory_gb * GB * _IN_VAIN
    smallest = law.smallest
    least = _counted(network, options, smallest, batch_size).total
    if least > budget:
        raise WeftError(
            f"patch: auto: a step of {batch_size} patches of {list(smallest)}, the smallest, takes "
            f"{least / GB / _IN_VAIN:.1f} GB, and {memory_gb:g} GB are there; take a smaller batch or fewer "
            "base_channels"
        )
    if law.largest is not None:
        return law.largest
    bounds = law.covering(most or (_DEEPEST,) * 3)
    size_of = _fitted(network, options, batch_size)
    best: tuple[int, Size] = (0, smallest)
    for z in range(smallest[0], bounds[0] + 1, law.step[0]):
        step = math.lcm(law.step[1], law.step[2])
        planes = range(max(smallest[1:]), max(bounds[1:]) + 1, step)
        fitting = [n for n in planes if size_of(z, n) <= budget]
        for n in fitting[-1:]:
            size = (z, min(n, bounds[1]), min(n, bounds[2]))
            given = math.prod(law.out_size(size))
            if given > best[0]:
                best = given, size
    return best[1]


def _fitted(network: nn.Module, options: NetworkOptions, batch_size: int) -> Callable[[int, int], float]:
    """Bytes of a patch [z, n, n] as a function of z and n: a polynomial of first and second order, since so is the size
    of every layer. Six sizes settle its coefficients."""
    law = law_of(options)
    step = math.lcm(law.step[1], law.step[2])
    start = max(law.smallest[1:])
    zs = [law.smallest[0] + i * law.step[0] * 8 for i in (0, 1)]
    ns = [start + i * step * 4 for i in (0, 1, 2)]
    rows, values = [], []
    for z in zs:
        for n in ns:
            rows.append([a * b for a in (1, z) for b in (1, n, n * n)])
            values.append(_counted(network, options, (z, n, n), batch_size).total)
    coefficients = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return lambda z, n: float(coefficients @ [a * b for a in (1, z) for b in (1, n, n * n)])


def _counted(network: nn.Module, options: NetworkOptions, size_in: Size, batch_size: int) -> StepMemory:
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    alive: list[Tensor] = []  # a storage that was freed could come again at the same place

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    volume = torch.empty((batch_size, options.channels, *size_in), device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = as_volume_network(network)(volume)
    numbers = sum(parameter.numel() for parameter in network.parameters())
    # Of each output: logits, log-probabilities and their gradient.
    logits = sum(3 * output.numel() * output.element_size() for output in outputs.values())
    largest = max(kept.values(), default=0)
    return StepMemory(16 * numbers, sum(kept.values()) + logits, int(_LARGEST_LAYER * largest))
