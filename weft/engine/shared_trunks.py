"""Networks of a chain that have the same trunk, such as a segmentation and the points on it: it runs once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from weft.engine.weights import state_hash
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import FeatureMaps, UResNet

_MOST = 8
"""batches of which the maps are kept; a stretch of a chain has fewer"""


@dataclass
class _Kept:
    """What a trunk has made of a batch."""

    batch: SparseTensor
    maps: FeatureMaps
    awaited: int
    """networks that have not asked for it yet"""


class SharedTrunks:
    """Makes networks for inference recall what another one's trunk has made of the same batch.

    Trunks are the same if they have the same structure, options and weights, bit for bit; batches, if they have the
    same voxels and features. Then so are the maps: products do not depend on the sharing.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], SharedTrunk] = {}

    def adopt(self, network: nn.Module) -> None:
        """Wrap the trunks among the children of a network in evaluation mode."""
        for name, child in list(network.named_children()):
            if not isinstance(child, UResNet):
                continue
            key = repr(child), state_hash(child.state_dict())
            first = self._first.get(key)
            if first is None:
                self._first[key] = shared = SharedTrunk(child)
            else:
                first.takers += 1
                shared = SharedTrunk(child, first)
            setattr(network, name, shared)


class SharedTrunk(nn.Module):
    """A trunk that keeps its maps for its takers, or one that takes those of `giver` where it can."""

    def __init__(self, trunk: UResNet, giver: SharedTrunk | None = None) -> None:
        super().__init__()
        self.trunk = trunk
        self._giver = (giver,)  # in a tuple, so that it is no part of this network
        self.takers = 0
        self.kept: list[_Kept] = []

    def forward(self, x: SparseTensor) -> FeatureMaps:
        giver = self._giver[0]
        recalled = None if giver is None else giver.recall(x)
        if recalled is not None:
            return recalled
        maps: FeatureMaps = self.trunk(x)
        if self.takers:
            self.kept = [*self.kept[-_MOST + 1 :], _Kept(x, maps, self.takers)]
        return maps

    def recall(self, x: SparseTensor) -> FeatureMaps | None:
        """The maps of a batch if they are kept; they are forgotten once every taker has had them."""
        for kept in self.kept:
            if _same(kept.batch, x):
                kept.awaited -= 1
                if not kept.awaited:
                    self.kept.remove(kept)
                return kept.maps
        return None


def _same(a: SparseTensor, b: SparseTensor) -> bool:
    if a.stride != b.stride or a.maps.engine != b.maps.engine or a.features.shape != b.features.shape:
        return False
    voxels = (tensor.maps.levels[tensor.stride].coords for tensor in (a, b))
    return torch.equal(*voxels) and torch.equal(a.features, b.features)
