"""Convolution of voxel features by a kernel map, with exchangeable engines.

An engine is a function ``(features [N_in, Cin], weight [K, Cin, Cout], kernel_map) -> [N_out, Cout]`` that
autograd can differentiate in its first two arguments. ``numba`` is the fastest on CPU and needs numba; ``torch`` needs
nothing but torch and runs on CPU and GPU; ``minkowski`` calls MinkowskiEngine 0.5.4 where that is installed (``make
minkowski``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from weft.errors import WeftError
from weft.sparse.compiled import compiled_convolution
from weft.sparse.gather_scatter import gather_scatter_convolution
from weft.sparse.kernel_map import KernelMap
from weft.sparse.minkowski import minkowski_convolution

Engine = Callable[[Tensor, Tensor, KernelMap], Tensor]

ENGINES: dict[str, Engine] = {
    "torch": gather_scatter_convolution,
    "numba": compiled_convolution,
    "minkowski": minkowski_convolution,
}


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap, engine: str = "torch") -> Tensor:
    """Sparse convolution: ``out[o] = sum over offsets k and pairs (i, o) of k: features[i] @ weight[k]``.

    Args:
        features: [N_in, Cin] on ``kernel_map.inputs``.
        weight: [kernel volume, Cin, Cout], offsets in the order of :func:`weft.sparse.kernel_map.kernel_offsets`.
        engine: a key of :data:`ENGINES`; nothing else is tried if it fails.

    Returns: [N_out, Cout] on ``kernel_map.outputs``. Under autocast, in the autocast type.
    """
    if engine not in ENGINES:
        raise WeftError(f"unknown sparse engine {engine!r}: choose one of {', '.join(ENGINES)}")
    if features.shape[0] != len(kernel_map.inputs) or features.shape[1:] != weight.shape[1:2]:
        raise WeftError(
            f"features {list(features.shape)} do not fit {len(kernel_map.inputs)} voxels "
            f"and a weight of shape {list(weight.shape)}"
        )
    if weight.shape[0] != kernel_map.volume:
        raise WeftError(f"weight has {weight.shape[0]} offsets, the kernel {kernel_map.volume}")
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    return ENGINES[engine](features, weight, kernel_map)
