"""Networks run over volumes of any size: overlapping windows, blended into slabs along z (microscopy spec §7).

Windows lie on a grid, layer by layer along z. Their outputs are weighted by a Gaussian and added up; what no later
layer touches is given away as a slab. So memory holds the input and the output of one layer of windows, not the
volume, and where even that is large it lies in scratch files. Nothing is scaled per image: a probability means the
same in every image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from weft.dense.size_law import Size, SizeLaw
from weft.dense.views import IDENTITY, View
from weft.errors import WeftError
from weft.volumes.lazy import MEMORY_MIB, LazyVolume, scratch
from weft.volumes.padded import PaddedPlanes
from weft.volumes.tiling import AxisTiles, Weight, tiles

Activation = Literal["softmax", "sigmoid", "none"]

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(1),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}


@dataclass(frozen=True)
class WindowPlan:
    """Which windows a volume is cut into.

    Attributes:
        size_in: of a window's input.
        size_out: of its output.
        axes: the windows along z, y and x.
    """

    size_in: Size
    size_out: Size
    axes: tuple[AxisTiles, AxisTiles, AxisTiles]

    def __len__(self) -> int:
        return len(self.axes[0]) * len(self.axes[1]) * len(self.axes[2])


def plan_windows(
    shape: Sequence[int], law: SizeLaw, size_in: Sequence[int], overlap: float = 0.5, weight: Weight = "gaussian"
) -> WindowPlan:
    """Windows that cover a volume [Z, Y, X].

    Along an axis that is shorter than a window's output, the window is the smallest that covers it.

    Args:
        overlap: of the outputs of neighbours, at least, as a share of their size; from 0 to below 1.

    Raises:
        WeftError: the network does not take such windows (the nearest legal sizes are said), or the volume is empty.
    """
    if not 0 <= overlap < 1:
        raise WeftError(f"overlap: {overlap}, expected a share from 0 to below 1")
    if len(shape) != 3 or min(shape) < 1:
        raise WeftError(f"a volume of shape {list(shape)} has no windows: expected at least one voxel along z, y and x")
    wanted = law.out_size(size_in)
    least = law.covering([min(n, out) for n, out in zip(shape, wanted, strict=True)])
    z, y, x = (min(a, b) for a, b in zip(size_in, least, strict=True))
    out = law.out_size((z, y, x))
    along_z, along_y, along_x = (tiles(n, window, overlap, weight) for n, window in zip(shape, out, strict=True))
    return WindowPlan((z, y, x), out, (along_z, along_y, along_x))


def sliding_windows(
    network: nn.Module | Callable[[Tensor], Any],
    volume: LazyVolume,
    law: SizeLaw,
    size_in: Sequence[int],
    *,
    overlap: float = 0.5,
    weight: Weight = "gaussian",
    batch_size: int = 1,
    activation: Activation = "softmax",
    views: Sequence[View] = (IDENTITY,),
    mean: Literal["probabilities", "logits"] = "probabilities",
    device: torch.device | str = "cpu",
    memory_mib: float = MEMORY_MIB,
    folder: Path | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """The network's output for a volume, in consecutive slabs along z.

    Beyond the volume its rows and columns are mirrored, and planes repeat the outermost.

    Args:
        network: [B, C, z, y, x] float32 to logits [B, K, z', y', x'], or a mapping with those as ``main``. A module
            is in eval mode and on ``device``; :func:`weft.dense.folding.folded` makes it quicker.
        volume: [C, Z, Y, X], or [Z, Y, X] of one channel; read plane by plane, each once.
        law: the sizes that the network takes.
        size_in: [z, y, x] of a window's input, see :func:`plan_windows`.
        overlap: of the outputs of neighbouring windows, as a share of their size.
        weight: of the voxels of a window's output: a Gaussian of width 1/8 of the window, or all the same.
        batch_size: windows at a time.
        activation: of the logits.
        views: the mean over these is taken for every window (:func:`weft.dense.views.views`).
        mean: of what.
        memory_mib: of the layer's input and of its output each; a larger one lies in a file in ``folder``.

    Yields:
        (first plane, float32 [K, planes, Y, X]).

    Raises:
        WeftError: a size that the network does not take, a module in training mode.
    """
    if isinstance(network, nn.Module) and network.training:
        raise WeftError("a network in training mode cannot predict: call eval() first")
    if len(volume.shape) == 3:
        volume = _OneChannel(volume)
    plan = plan_windows(volume.shape[1:], law, size_in, overlap, weight)
    for view in views:
        law.require(view.size(plan.size_in), "size_in of a turned window")
    run = _Run(network, _ACTIVATIONS[activation], tuple(views), mean == "logits", torch.device(device))
    return _slabs(run, volume, plan, batch_size, memory_mib, folder)


def _slabs(
    run: _Run, volume: LazyVolume, plan: WindowPlan, batch_size: int, memory_mib: float, folder: Path | None
) -> Iterator[tuple[int, np.ndarray]]:
    along_z, along_y, along_x = plan.axes
    planes, rows, columns = (axis.size for axis in plan.axes)
    margin_z, margin_y, margin_x = ((a - b) // 2 for a, b in zip(plan.size_in, plan.size_out, strict=True))
    before = [margin - axis.starts[0] for margin, axis in ((margin_y, along_y), (margin_x, along_x))]
    after = [
        axis.starts[-1] + axis.window + margin - axis.size
        for margin, axis in ((margin_y, along_y), (margin_x, along_x))
    ]
    source = PaddedPlanes(volume, plan.size_in[0], before, after, memory_mib, folder)
    grid = list(product(range(len(along_y)), range(len(along_x))))
    layers = [along_z.inside(k) for k in range(len(along_z))]
    blended: Tensor | None = None
    for k, (place, part) in enumerate(layers):
        seen = source.at(along_z.starts[k] - margin_z)
        for first in range(0, len(grid), batch_size):
            windows = grid[first : first + batch_size]
            inputs = np.stack([_window(seen, plan, j, i) for j, i in windows])
            outputs = run(torch.from_numpy(inputs))
            if outputs.shape[2:] != plan.size_out:
                raise WeftError(
                    f"the network gives {list(outputs.shape[2:])} for a window of {list(plan.size_in)}, "
                    f"its size law says {list(plan.size_out)}"
                )
            if blended is None:
                deep = max(inside.stop - inside.start for inside, _ in layers)
                shape = (outputs.shape[1], deep, rows, columns)
                blended = torch.from_numpy(scratch(shape, np.float32, memory_mib, folder))
            for output, (j, i) in zip(outputs, windows, strict=True):
                _add(blended[:, : place.stop - place.start], output[:, part], plan, k, j, i)
        assert blended is not None
        stop = layers[k + 1][0].start if k + 1 < len(layers) else planes
        yield from _given_away(blended, place.start, stop, memory_mib)


def _window(seen: np.ndarray, plan: WindowPlan, j: int, i: int) -> np.ndarray:
    """The input of window (j, i) of a layer, [C, z, y, x]."""
    (_, along_y, along_x), (_, height, width) = plan.axes, plan.size_in
    y, x = along_y.starts[j] - along_y.starts[0], along_x.starts[i] - along_x.starts[0]
    return seen[:, :, y : y + height, x : x + width]


def _add(blended: Tensor, output: Tensor, plan: WindowPlan, k: int, j: int, i: int) -> None:
    """Add what window (k, j, i) says of the planes [K, planes, y, x] of its layer that are in the volume."""
    along_z, along_y, along_x = plan.axes
    (_, planes), (rows, in_y), (columns, in_x) = along_z.inside(k), along_y.inside(j), along_x.inside(i)
    z, y, x = (
        torch.from_numpy(axis.weights[n][part])
        for axis, n, part in ((along_z, k, planes), (along_y, j, in_y), (along_x, i, in_x))
    )
    weights = z[:, None, None] * (y[:, None] * x)
    blended[:, :, rows, columns].addcmul_(output[:, :, in_y, in_x], weights)


def _given_away(blended: Tensor, start: int, stop: int, memory_mib: float) -> Iterator[tuple[int, np.ndarray]]:
    """Copies of the first planes, in slabs of bounded size; those after them move to the front."""
    count, deep = stop - start, blended.shape[1]
    plane = blended[:, 0].numel() * blended.element_size()
    step = max(1, min(count, int(memory_mib * (1 << 20)) // max(1, plane)))
    for z in range(0, count, step):
        yield start + z, blended[:, z : min(z + step, count)].numpy().copy()
    for z in range(deep - count):
        blended[:, z] = blended[:, z + count]
    blended[:, deep - count :] = 0


@dataclass(frozen=True)
class _Run:
    """From windows to what is blended: all views of a batch, their mean."""

    network: Callable[[Tensor], Any]
    activation: Callable[[Tensor], Tensor]
    views: tuple[View, ...]
    of_logits: bool
    device: torch.device

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """float32 [B, K, z, y, x] in the memory of the host."""
        windows = windows.to(self.device)
        total: Tensor | None = None
        for view in self.views:
            output = self.network(view.of(windows))  # in 16 bits where the caller casts
            output = output["main"] if isinstance(output, Mapping) else output
            found = view.back(output.float() if self.of_logits else self.activation(output.float()))
            total = found if total is None else total + found
        assert total is not None
        average = total / len(self.views) if len(self.views) > 1 else total
        return (self.activation(average) if self.of_logits else average).cpu()


class _OneChannel:
    """[Z, Y, X] as [1, Z, Y, X]."""

    def __init__(self, volume: LazyVolume) -> None:
        self._volume = volume
        self.shape = (1, *volume.shape)
        self.dtype = volume.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self._volume[key[1:]])[None][key[:1]]
