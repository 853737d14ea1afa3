"""Sparse tensors: features on the voxels of a batch of events, and the maps that their layers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from weft.errors import WeftError
from weft.sparse.compiled import match_compiled
from weft.sparse.coordinates import VoxelSet
from weft.sparse.kernel_map import KernelMap


def per_axis(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One positive integer per axis, from one number or one per axis."""
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(values) != dims or min(values) < 1:
        raise WeftError(f"expected a positive integer or {dims} of them, got {value}")
    return values


def engine_for(device: str) -> str:
    """The engine that ``auto`` names on a kind of device: numba on the CPU, torch elsewhere and under autocast."""
    return "numba" if device == "cpu" and not torch.is_autocast_enabled("cpu") else "torch"


class CoordinateMaps:
    """Voxel sets by stride and kernel maps by geometry, built once and shared by all layers of a network.

    ``points`` int64 [M] is the row of every original point in the voxel set of stride 1. ``engine`` names the
    convolution engine (see :mod:`weft.sparse.convolve`) of every layer that sees these maps; ``auto`` becomes
    :func:`engine_for` their device.
    """

    def __init__(self, voxels: VoxelSet, batch_size: int, points: Tensor, engine: str) -> None:
        self.levels: dict[tuple[int, ...], VoxelSet] = {voxels.stride: voxels}
        self.batch_size = batch_size
        self.points = points
        self.engine = engine_for(points.device.type) if engine == "auto" else engine
        self._kernel_maps: dict[tuple, KernelMap] = {}
        self._parents: dict[tuple, Tensor] = {}
        self._shared: dict[str, Any] = {}

    @property
    def dims(self) -> int:
        return next(iter(self.levels.values())).dims

    def coarsen(self, stride: tuple[int, ...], factor: tuple[int, ...]) -> tuple[int, ...]:
        """The stride coarser by ``factor``; its voxel set is made if this is the first call."""
        coarse = tuple(s * f for s, f in zip(stride, factor, strict=True))
        if (stride, coarse) not in self._parents:
            voxels, parents = self.levels[stride].coarsened(factor)
            self.levels.setdefault(coarse, voxels)
            self._parents[stride, coarse] = parents
        return coarse

    def parents(self, fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tensor:
        """Row int64 [N_fine] of the coarse voxel that holds each fine one."""
        if (fine, coarse) not in self._parents:
            raise WeftError(f"voxels of stride {coarse} were not made from those of stride {fine} in this batch")
        return self._parents[fine, coarse]

    def kernel_map(
        self,
        fine: tuple[int, ...],
        coarse: tuple[int, ...],
        kernel_size: tuple[int, ...],
        dilation: tuple[int, ...],
    ) -> KernelMap:
        """The map of a convolution from stride ``fine`` to stride ``coarse`` (equal for a submanifold one)."""
        for stride in (fine, coarse):
            if stride not in self.levels:
                raise WeftError(
                    f"no voxels of stride {stride}: a transposed convolution returns to the voxels that an "
                    f"earlier strided one started from; there are strides {sorted(self.levels)}"
                )
        key = (fine, coarse, kernel_size, dilation)
        if key not in self._kernel_maps:
            self._kernel_maps[key] = KernelMap(
                self.levels[fine],
                self.levels[coarse],
                kernel_size,
                dilation,
                self._parents.get((fine, coarse)),
                self._shared,
                match_compiled if self.engine == "numba" else VoxelSet.match,
            )
        return self._kernel_maps[key]


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features [N, C] on the voxels of one stride; rows are unique and sorted by (batch, x, y, z).

    Make one with :meth:`from_points`; layers return new ones that share ``maps``.
    """

    features: Tensor
    maps: CoordinateMaps
    stride: tuple[int, ...]

    @classmethod
    def from_points(
        cls, coords: Tensor, features: Tensor, batch_size: int | None = None, engine: str = "torch"
    ) -> SparseTensor:
        """Voxels from points in any order.

        Args:
            coords: integers [M, 1+D], ``[batch, x, y, (z)]``; negative positions are fine.
            features: [M, C]. Points that share a voxel have their features **summed**.
            batch_size: number of events, needed when the last ones are empty (default: largest batch index + 1).
            engine: the convolution engine, a key of :data:`weft.sparse.convolve.ENGINES`, or ``auto``: numba on the
                CPU, torch on other devices, nothing else in place of either.
        """
        if coords.ndim != 2 or coords.shape[1] not in (3, 4) or coords.is_floating_point():
            raise WeftError(f"expected integer coordinates [N, 3 or 4] (batch, x, y, z), got {_describe(coords)}")
        if features.ndim != 2 or len(features) != len(coords):
            raise WeftError(f"expected features [{len(coords)}, C], got {_describe(features)}")
        voxels, points = VoxelSet.from_points(coords)
        low, high = voxels.packing.low[0], voxels.packing.high[0]
        occupied = high + 1 if len(voxels) else 0
        size = occupied if batch_size is None else batch_size
        if low < 0 or size < occupied:
            raise WeftError(f"batch indices {low} to {high} do not fit a batch of {size} events")
        summed = sum_rows(features, points, len(voxels)) if len(voxels) < len(coords) else features[_inverse(points)]
        return cls(summed, CoordinateMaps(voxels, size, points, engine), voxels.stride)

    @property
    def coords(self) -> Tensor:
        """int32 [N, 1+D]: batch, x, y, (z), multiples of the stride."""
        return self.maps.levels[self.stride].coords

    @property
    def batch(self) -> Tensor:
        """Event of every row, int32 [N]."""
        return self.maps.levels[self.stride].cells[:, 0]

    @property
    def dims(self) -> int:
        return self.maps.dims

    def __len__(self) -> int:
        return self.features.shape[0]

    def with_features(self, features: Tensor) -> SparseTensor:
        """The same voxels with other features [N, C']."""
        return replace(self, features=features)

    def at_points(self) -> Tensor:
        """Features [M, C] of every original point, in the order given to :meth:`from_points` (stride 1 only)."""
        if set(self.stride) != {1}:
            raise WeftError(f"points live on the grid of stride 1, this tensor has stride {self.stride}")
        return self.features[self.maps.points]


def sum_rows(features: Tensor, rows: Tensor, n_rows: int) -> Tensor:
    """Sums [n_rows, C] of ``features`` [M, C] over equal ``rows`` int64 [M]; deterministic and differentiable."""
    order = torch.argsort(rows, stable=True)
    lengths = torch.bincount(rows, minlength=n_rows)
    return torch.segment_reduce(features[order], "sum", lengths=lengths, unsafe=True)


def _inverse(permutation: Tensor) -> Tensor:
    inverse = torch.empty_like(permutation)
    inverse[permutation] = torch.arange(len(permutation), device=permutation.device)
    return inverse


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
