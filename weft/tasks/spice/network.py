"""SPICE's network: an encoder with two decoders (Koh et al., arXiv:2007.03083; spec §1.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from weft.engine.task import Batch
from weft.sparse.coord_conv import normalised_coordinates
from weft.sparse.decoder import Decoder
from weft.sparse.layers import PerVoxel
from weft.sparse.norm import VoxelBatchNorm
from weft.sparse.spine_layout import batch_norm_names, uresnet_names
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import Style, UResNet
from weft.tasks.spice.options import ModelOptions

_DIMS = 3


class Embedding(NamedTuple):
    """One row per voxel of the batch, in its order."""

    position: Tensor
    """[N, 3]: voxels of one fragment lie close together; about −2 to 2"""
    margin: Tensor
    """[N], 0 to 2: how wide the fragment of the voxel is"""
    seediness: Tensor
    """[N], 0 to 1: how close the voxel is to the centre of its fragment, on the scale of its width"""


class SpiceNetwork(nn.Module):
    """Embedding, margin and seediness of every voxel from its charge, its place and its surroundings.

    ``seed_decoder`` and ``seed_head`` are the branch that ``freeze`` names for 2020's ``seed_freeze``.
    """

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.engine, self.size, self.coord_conv = options.engine, options.spatial_size, options.coord_conv
        style = Style(options.leak, options.norm_eps, options.norm_momentum)
        inputs = 1 + (_DIMS if options.coord_conv else 0)
        self.trunk = UResNet(inputs, options.filters, options.depth, options.reps, options.input_kernel, style)
        self.head = _head(options, _DIMS + 1)
        self.seed_decoder = Decoder(self.trunk.widths, options.reps, style)
        self.seed_head = _head(options, 1)

    def forward(self, batch: Batch) -> Embedding:
        place = normalised_coordinates(batch.coords, self.size)
        features = torch.cat([place, batch.features], 1) if self.coord_conv else batch.features
        maps = self.trunk(SparseTensor.from_points(batch.coords, features, len(batch), engine=self.engine))
        shift, margin = self.head(maps.final).at_points().float().split([_DIMS, 1], 1)
        seediness = self.seed_head(self.seed_decoder(maps.encoder)).at_points().float()
        return Embedding(shift.tanh() + place, 2 * margin.sigmoid()[:, 0], seediness.sigmoid()[:, 0])


def _head(options: ModelOptions, channels: int) -> nn.Sequential:
    """Norm and a linear map, without an activation between them."""
    norm = VoxelBatchNorm(options.filters, options.norm_eps, options.norm_momentum)
    return nn.Sequential(norm, PerVoxel(nn.Linear(options.filters, channels, bias=False)))


def spine_names(options: ModelOptions) -> dict[str, str]:
    """``{our name: SPINE's}`` of every tensor, SPINE's below its ``spice`` module."""
    names = {}
    for ours, theirs in uresnet_names(options.depth, options.reps).items():
        decoder = theirs.removeprefix("decoder.")
        if decoder == theirs:
            names[f"trunk.{ours}"] = theirs
        else:
            names[f"trunk.{ours}"] = f"embedding_decoder.{decoder}"
            names[f"seed_decoder.{ours}"] = f"seediness_decoder.{decoder}"
    for ours, theirs in (("head", "embedding_output"), ("seed_head", "seediness_output")):
        names |= batch_norm_names(f"{ours}.0", f"{theirs}.0")
        names[f"{ours}.1.module.weight"] = f"{theirs}.1.linear.weight"
    return names
