"""Graph-SPICE's network: features of voxels, and logits of the edges between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft.engine.task import Batch
from weft.sparse.coord_conv import normalised_coordinates
from weft.sparse.spine_layout import uresnet_names
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import Style, UResNet
from weft.tasks.graph_spice.kernels import Bilinear, DistanceKernel, MlpKernel
from weft.tasks.graph_spice.options import ModelOptions

_DIMS = 3
_POSITIVE: dict[str, Callable[[Tensor], Tensor]] = {"softplus": F.softplus, "exp": torch.exp}


class Edges(NamedTuple):
    """The graph of a batch."""

    logits: Tensor
    """[E, 2], of each edge there and back; inverted: that it is cut"""
    ends: Tensor
    """int64 [E, 2], rows of the batch"""


class Heads(nn.Module):
    """Place, features, covariance and occupancy of each voxel: [N, 3 + C + 2 + 1]."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.place = nn.Linear(options.filters, _DIMS)
        self.feature = nn.Linear(options.filters, options.feature_dim)
        self.covariance = nn.Linear(options.filters, 2)
        self.occupancy = nn.Linear(options.filters, 1)
        self._covariance, self._occupancy = _POSITIVE[options.covariance], _POSITIVE[options.occupancy]

    def forward(self, features: Tensor, place: Tensor) -> Tensor:
        """features: [N, filters]; place: normalised coordinates [N, 3]."""
        parts = (
            self.place(features).tanh() + place,
            self.feature(features),
            self._covariance(self.covariance(features)),
            self._occupancy(self.occupancy(features)),
        )
        return torch.cat(parts, 1)


class GraphSpiceNetwork(nn.Module):
    """Logits of the edges that the batch has as the target ``edges``."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.engine, self.size, self.coord_conv = options.engine, options.spatial_size, options.coord_conv
        style = Style(options.leak, options.norm_eps, options.norm_momentum)
        inputs = 1 + (_DIMS if options.coord_conv else 0)
        self.trunk = UResNet(inputs, options.filters, options.depth, options.reps, options.input_kernel, style)
        self.heads = Heads(options) if options.features == "heads" else None
        self.kernel = _kernel(options)

    def forward(self, batch: Batch) -> Edges:
        place = normalised_coordinates(batch.coords, self.size)
        features = torch.cat([place, batch.features], 1) if self.coord_conv else batch.features
        maps = self.trunk(SparseTensor.from_points(batch.coords, features, len(batch), engine=self.engine))
        found = maps.final.at_points()
        if self.heads is not None:
            found = self.heads(found, place)
        ends = batch.targets["edges"]
        # A difference of large numbers: 16 bits are too few.
        with torch.autocast(found.device.type, enabled=False):
            return Edges(self.kernel(found.float(), ends), ends)


def _kernel(options: ModelOptions) -> nn.Module:
    if options.kernel == "default":
        return DistanceKernel()
    channels = options.filters if options.features == "raw" else options.feature_dim + 6
    if options.kernel == "mlp":
        return MlpKernel(channels, options.mlp_width, options.mlp_depth, options.kernel_bias)
    return Bilinear(channels, options.kernel_bias)


def spine_names(options: ModelOptions) -> dict[str, str]:
    """``{our name: SPINE's}`` of every tensor, SPINE's below its ``graph_spice`` module."""
    names = {
        f"trunk.{ours}": f"embedder.backbone.{theirs}"
        for ours, theirs in uresnet_names(options.depth, options.reps).items()
    }
    linear: dict[str, str] = {}
    if options.features == "heads":
        linear |= {"heads.place": "embedder.out_spatial.0", "heads.feature": "embedder.out_feature"}
        linear |= {"heads.covariance": "embedder.out_cov", "heads.occupancy": "embedder.out_occupancy"}
    if options.kernel == "mlp":
        for k in range(options.mlp_depth):
            linear[f"kernel.linears.{k}"] = f"kernel_fn.mlp.model.{3 * k}"
            norm = ("weight", "bias", "running_mean", "running_var")
            names |= {f"kernel.norms.{k}.{t}": f"kernel_fn.mlp.model.{3 * k + 1}.{t}" for t in norm}
    names |= {f"{ours}.{t}": f"{theirs}.{t}" for ours, theirs in linear.items() for t in ("weight", "bias")}
    last = {"bilinear": ("kernel", "kernel_fn.bilin"), "mlp": ("kernel.last", "kernel_fn.lin")}
    if options.kernel in last:
        ours, theirs = last[options.kernel]
        names |= {f"{ours}.{t}": f"{theirs}.{t}" for t in ("weight", "bias")[: 1 + options.kernel_bias]}
    return names
