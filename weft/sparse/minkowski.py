"""The minkowski engine: MinkowskiEngine 0.5.4 behind the same function as the others.

MinkowskiEngine finds its own kernel maps from the coordinates; its coordinate managers live as long as the voxel
sets they were made for.
"""

from __future__ import annotations

import collections
import collections.abc
from types import ModuleType
from typing import Any

from torch import Tensor

from weft.errors import WeftError
from weft.sparse.coordinates import VoxelSet
from weft.sparse.kernel_map import KernelMap


def load_minkowski() -> ModuleType:
    """MinkowskiEngine, or a one-line error where it is not installed."""
    # Release 0.5.4 (2021) imports names that Python 3.10 moved from collections to collections.abc.
    for name in ("Sequence", "Mapping", "MutableMapping", "Iterable", "Callable"):
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    try:
        import MinkowskiEngine
    except ImportError as error:
        raise WeftError(f"the minkowski engine needs MinkowskiEngine 0.5.4 ({error}): `make minkowski`") from error
    return MinkowskiEngine


def minkowski_convolution(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Convolution [N_out, Cout]; see :func:`weft.sparse.convolve.convolve`."""
    minkowski = load_minkowski()
    from MinkowskiEngineBackend._C import ConvolutionMode

    if len(kernel_map.inputs) == 0:
        return features @ weight[0]
    if "minkowski" not in kernel_map.shared:
        kernel_map.shared["minkowski"] = _Manager(minkowski.CoordinateManager(D=kernel_map.fine.dims))
    manager: _Manager = kernel_map.shared["minkowski"]
    generator = minkowski.KernelGenerator(
        kernel_size=list(kernel_map.kernel_size),
        stride=list(kernel_map.factor),
        dilation=list(kernel_map.dilation),
        dimension=kernel_map.fine.dims,
    )
    function = (
        minkowski.MinkowskiConvolutionTransposeFunction
        if kernel_map.transposed
        else minkowski.MinkowskiConvolutionFunction
    )
    return function.apply(
        features,
        weight,
        generator,
        ConvolutionMode.DEFAULT,
        manager.key(kernel_map.inputs),
        manager.key(kernel_map.outputs),
        manager.coordinates,
    )


class _Manager:
    """MinkowskiEngine's coordinate manager of one batch, and its keys of the batch's voxel sets."""

    def __init__(self, coordinates: Any) -> None:
        self.coordinates = coordinates
        self._keys: dict[VoxelSet, Any] = {}

    def key(self, voxels: VoxelSet) -> Any:
        if voxels not in self._keys:
            self._keys[voxels], _ = self.coordinates.insert_and_map(voxels.coords, list(voxels.stride))
        return self._keys[voxels]
