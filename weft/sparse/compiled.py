"""The numba engine: gather, multiply and accumulate in one compiled loop, on CPU in float32 and float64.

Nothing is written between the gather and the sum: blocks of output rows stay in vector registers while the input
channels pass (:mod:`weft.sparse.microkernel`). Threads share out tiles of output rows, or offsets for the weight
gradient, and no sum is ever split, so the bits depend neither on threads nor on tiles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from weft.errors import WeftError
from weft.sparse.coordinates import Matches, VoxelSet
from weft.sparse.kernel_map import KernelMap, Pairs

_ZEROS = {torch.float32: np.float32(0), torch.float64: np.float64(0)}


def compiled_convolution(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Convolution [N_out, Cout]; see :func:`weft.sparse.convolve.convolve`."""
    if features.device.type != "cpu" or features.dtype not in _ZEROS:
        raise WeftError(
            f"the numba engine computes float32 and float64 on the CPU, not {features.dtype} on {features.device}: "
            "choose the torch engine"
        )
    return _Convolution.apply(features, weight, kernel_map.pairs)


def match_compiled(voxels: VoxelSet, cells: Tensor, offsets: Sequence[tuple[int, ...]]) -> Matches:
    """:meth:`weft.sparse.coordinates.VoxelSet.match`, compiled."""
    packing = voxels.packing
    size = len(offsets) * len(cells)
    rows, positions = np.empty(size, np.int32), np.empty(size, np.int32)
    counts = load_loops().match_sorted(
        voxels.keys.numpy(),
        cells.numpy(),
        np.array(packing.low, np.int64),
        np.array(packing.extents, np.int64),
        np.array([(0, *offset) for offset in offsets], np.int64),
        rows,
        positions,
    )
    found = int(counts.sum())
    return Matches(torch.from_numpy(rows[:found]), torch.from_numpy(positions[:found]), tuple(counts.tolist()))


@cache
def load_loops() -> ModuleType:
    """:mod:`weft.sparse.compiled_loops`, or a one-line error where numba is not installed."""
    try:
        return import_module("weft.sparse.compiled_loops")
    except ImportError as error:
        raise WeftError(
            f"the numba engine needs numba ({error}): pip install numba, or use the torch engine"
        ) from error


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
        features, weight = features.contiguous(), weight.contiguous()
        ctx.save_for_backward(features, weight)
        ctx.pairs = pairs
        return _products(features, weight, pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        grad = grad.contiguous()
        wants = ctx.needs_input_grad
        return (
            _products(grad, _transposed(weight), ctx.pairs.swapped) if wants[0] else None,
            _weight_gradient(features, grad, ctx.pairs) if wants[1] else None,
            None,
        )


def _products(x: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
    """Sums [n_out, Cout] of ``x[i] @ weight[k]`` over the pairs (i, o) of every offset k."""
    n_in, n_out = weight.shape[1:]
    w = _whole_vectors(weight)
    out = x.new_empty(pairs.n_out, w.shape[2])
    loop, bounds = load_loops().convolve_tiles, _bounds(pairs)
    _share(loop, (*_addresses(x, w, out, pairs), n_in, w.shape[2], pairs.n_out, bounds), len(bounds) - 1)
    # A copy even of one row, which is contiguous as it is: what autograd takes for a view cannot be added to in place.
    return out if w is weight else out[:, :n_out].clone(memory_format=torch.contiguous_format)


def _weight_gradient(features: Tensor, grad: Tensor, pairs: Pairs) -> Tensor:
    """Sums [K, Cin, Cout] of ``features[i]^T grad[o]`` over the pairs (i, o) of every offset."""
    n_in, n_out = features.shape[1], grad.shape[1]
    g = _whole_vectors(grad)
    out = features.new_empty(len(pairs.counts), n_in, g.shape[1])
    loop, bounds = load_loops().weight_gradient, _bounds(pairs)
    _share(loop, (*_addresses(features, g, out, pairs), n_in, g.shape[1], pairs.n_out, bounds), len(pairs.counts))
    return out if g is grad else out[..., :n_out].contiguous()


def _transposed(weight: Tensor) -> Tensor:
    """[K, Cout, Cin] of [K, Cin, Cout]."""
    out = weight.new_empty(weight.shape[0], weight.shape[2], weight.shape[1])
    _share(load_loops().transpose, (_ZEROS[weight.dtype], weight.numpy(), out.numpy()), len(weight))
    return out


def _addresses(x: Tensor, right: Tensor, out: Tensor, pairs: Pairs) -> tuple:
    data = (x, right, out, pairs.in_rows, pairs.out_rows)
    return _ZEROS[x.dtype], x.element_size(), *(tensor.data_ptr() for tensor in data)


def _whole_vectors(tensor: Tensor) -> Tensor:
    """``tensor`` with zero columns added until its last dimension fills whole vectors; itself where it does."""
    lanes = load_loops().VECTOR_BYTES // tensor.element_size()
    missing = -tensor.shape[-1] % lanes
    return F.pad(tensor, (0, missing)) if missing else tensor


def _bounds(pairs: Pairs) -> np.ndarray:
    """First pair of every tile in every offset, kept with the pairs."""
    if "tile_bounds" not in pairs.__dict__:
        counts = np.array(pairs.counts, dtype=np.int64)
        pairs.__dict__["tile_bounds"] = load_loops().tile_bounds(pairs.out_rows.numpy(), counts, pairs.n_out)
    return pairs.__dict__["tile_bounds"]


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: a forked child, which inherits none, gets its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="weft-sparse")


def _share(loop: Callable, data: tuple, parts: int) -> None:
    """Run ``loop(*data, first, last)`` over ``parts`` independent parts with as many threads as torch has."""
    threads = min(torch.get_num_threads(), parts)
    if threads <= 1:
        loop(*data, 0, parts)
        return
    # One part a thread, the first on this one: waking a thread takes about as long as a small convolution.
    cuts = [parts * i // threads for i in range(threads + 1)]
    pool = _pool(threads - 1, os.getpid())
    runs = [pool.submit(loop, *data, first, last) for first, last in pairwise(cuts[1:])]
    loop(*data, 0, cuts[1])
    for run in runs:
        run.result()
