"""Layers of graph networks: perceptrons, and how edges and nodes take up what is around them (spec §2.5).

x: node features [n, F]; edge_index: int64 [2, E], source and target; e: edge features [E, G]. Nodes without incoming
edges take up zeros. u, the features of whole graphs that :class:`torch_geometric.nn.MetaLayer` knows, are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.nn import AGNNConv, EdgeConv, GATConv, NNConv
from torch_geometric.utils import scatter, softmax

from weft.sparse.norm import VoxelBatchNorm

Norm = Callable[[int], nn.Module]


class GraphNorm(VoxelBatchNorm):
    """Batch norm of rows [n, C] over the nodes, or edges, of all events and ranks.

    Fewer than two rows have no variance: the running statistics serve instead, so that graphs of one node or one edge
    are no special case (torch's batch norm refuses them).
    """

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.normalise(x)

    def after(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Weight and bias of one linear map that is `linear` and this norm with its running statistics."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return linear.weight * scale[:, None], (linear.bias - self.running_mean) * scale + self.bias


class Perceptron(nn.Module):
    """`depth` times linear, norm, leaky ReLU. In inference a batch norm is part of the linear map before it: on large
    graphs every pass over all edges counts."""

    def __init__(self, in_channels: int, width: int, depth: int, leak: float, norm: Norm) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(width if k else in_channels, width) for k in range(depth))
        self.norm = nn.ModuleList(norm(width) for _ in range(depth))
        self.activation = nn.LeakyReLU(leak)

    def forward(self, x: Tensor) -> Tensor:
        for linear, norm in zip(self.linear, self.norm, strict=True):
            assert isinstance(linear, nn.Linear)
            if isinstance(norm, GraphNorm) and not (norm.training or torch.is_grad_enabled()):
                x = nn.functional.leaky_relu_(
                    nn.functional.linear(x, *norm.after(linear)), self.activation.negative_slope
                )
            else:
                x = self.activation(norm(linear(x)))
        return x


def norms_first(sizes: list[int], leak: float, norm: Norm = GraphNorm) -> nn.Sequential:
    """Norm and linear for each step of `sizes`, a leaky ReLU between them: the perceptron of 2020."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [norm(a), nn.Linear(a, b), nn.LeakyReLU(leak)]
    return nn.Sequential(*layers[:-1])


#: Edges at a time where nothing is learned: what their perceptrons make of them then fits into a cache.
PIECE = 4096


def edge_by_edge(function: Callable[[Tensor, Tensor], Tensor], edge_index: Tensor, e: Tensor, training: bool) -> Tensor:
    """`function(edge_index, e)` [E, C] of which each row depends on its own edge alone.

    In inference it is asked for a few edges at a time: whole, large graphs spend most of their time on memory (three
    times as long for 400,000 edges), of which they then need several times as much.
    """
    if training or torch.is_grad_enabled() or len(e) <= PIECE:
        return function(edge_index, e)
    first = function(edge_index[:, :PIECE], e[:PIECE])
    out = first.new_empty((len(e), *first.shape[1:]))
    out[:PIECE] = first
    for start in range(PIECE, len(e), PIECE):
        stop = start + PIECE
        out[start:stop] = function(edge_index[:, start:stop], e[start:stop])
    return out


class EdgeUpdate(nn.Module):
    """A network on source, target and edge."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor, target: Tensor, e: Tensor, u: Tensor | None, batch: Tensor | None) -> Tensor:
        updated: Tensor = self.network(torch.cat([source, target, e], dim=1))
        return updated


class NodeUpdate(nn.Module):
    """Messages from sources and edges, put together at their target, then a perceptron on node and message."""

    def __init__(self, message: Perceptron, update: Perceptron, reduction: str, width: int, attention: bool) -> None:
        super().__init__()
        self.message, self.update, self.reduction = message, update, reduction
        self.gate = nn.Linear(width, 1) if attention else None

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor, u: Tensor | None, batch: Tensor | None) -> Tensor:
        target = edge_index[1]

        def say(ends: Tensor, edges: Tensor) -> Tensor:
            said: Tensor = self.message(torch.cat([x[ends[0]], edges], dim=1))
            return said

        messages = edge_by_edge(say, edge_index, e, self.training)
        if self.gate is not None:
            with torch.autocast(x.device.type, enabled=False):  # exp overflows in 16 bits
                logits = self.gate(messages.float())
                messages = softmax(logits, target, num_nodes=len(x)) * messages.float()
        reduce = {"add": "sum"}.get(self.reduction, self.reduction)
        taken = scatter(messages, target, dim=0, dim_size=len(x), reduce=reduce)
        updated: Tensor = self.update(torch.cat([x, taken.to(x.dtype)], dim=1))
        return updated


class ConvolutionUpdate(nn.Module):
    """A node layer of torch-geometric by name: nnconv, econv, gatconv, agnnconv.

    Simonovsky & Komodakis, arXiv:1704.02901; Wang et al., arXiv:1801.07829; Veličković et al., arXiv:1710.10903;
    Thekumparampil et al., arXiv:1803.03735. The last two weigh neighbours by attention, in float32; they do not look at
    edge features, and econv neither.
    """

    def __init__(
        self, name: str, nodes: int, edges: int, width: int, depth: int, leak: float, reduction: str, norm: Norm
    ) -> None:
        super().__init__()
        self.name, self.width = name, nodes if name == "agnnconv" else width
        self.finish: nn.Module = nn.Identity()
        if name == "nnconv":
            theta = nn.Sequential(Perceptron(edges, width, depth, leak, norm), nn.Linear(width, nodes * width))
            self.convolution: nn.Module = NNConv(nodes, width, theta, aggr=reduction)
        elif name == "econv":
            self.convolution = EdgeConv(Perceptron(2 * nodes, width, depth, leak, norm), aggr=reduction)
        else:
            self.convolution = GATConv(nodes, width, aggr=reduction) if name == "gatconv" else AGNNConv(aggr=reduction)
            self.finish = nn.Sequential(norm(self.width), nn.LeakyReLU(leak))

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor, u: Tensor | None, batch: Tensor | None) -> Tensor:
        if self.name == "nnconv":
            return self.convolution(x, edge_index, e)
        if self.name == "econv":
            return self.convolution(x, edge_index)
        with torch.autocast(x.device.type, enabled=False):
            taken = self.convolution(x.float(), edge_index)
        return self.finish(taken.to(x.dtype))
