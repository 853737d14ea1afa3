"""GrapPA's networks: nodes and edges encoded, rounds of message passing, a linear head for each answer (spec §2.5)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch_geometric.nn import MetaLayer, NNConv

from weft.engine.task import Batch
from weft.graph.features import EDGE_WIDTH
from weft.sparse.layers import StridedConv, SubmanifoldConv
from weft.sparse.pooling import GlobalPool
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import ResidualBlock, Style
from weft.tasks.grappa.batch import GraphBatch
from weft.tasks.grappa.layers import (
    ConvolutionUpdate,
    EdgeUpdate,
    GraphNorm,
    NodeUpdate,
    Norm,
    Perceptron,
    edge_by_edge,
    norms_first,
)
from weft.tasks.grappa.options import ConvolutionOptions, Head, ModelOptions

#: Numbers that each head gives an edge or a node.
OUTPUTS: dict[Head, int] = {"edge": 2, "primary": 2, "pid": 5, "orientation": 2, "momentum": 1, "vertex": 5}


class GrappaNetwork(nn.Module):
    """Answers by head: [E, 2] for edges, [n, outputs] for nodes; a head of two or five classes gives logits."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.options = options
        nodes = 0 if options.encoder == "cnn" else options.composition.width
        self.encoder = None if options.encoder == "geometric" else VoxelEncoder(options.cnn)
        if self.encoder is not None:
            nodes += options.cnn.features
        edges = 0 if options.edge_encoder == "cnn" else EDGE_WIDTH
        self.edge_encoder = None if options.edge_encoder == "geometric" else VoxelEncoder(options.edge_cnn)
        if self.edge_encoder is not None:
            edges += options.edge_cnn.features
        node_heads = [head for head in options.heads if head != "edge"]
        trunk = MetaTrunk if options.network == "meta" else ConvolutionTrunk
        self.trunk = trunk(options, nodes, edges, bool(node_heads))
        self.heads = nn.ModuleDict(
            {
                head: nn.Linear(self.trunk.edge_width if head == "edge" else self.trunk.node_width, OUTPUTS[head])
                for head in options.heads
            }
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(batch, GraphBatch)
        x, e = batch.nodes, batch.edges
        if self.encoder is not None:
            x = torch.cat([x, self._of_clusters(batch, self.encoder)], dim=1)
        if self.edge_encoder is not None:
            e = torch.cat([e, self._of_pairs(batch, self.edge_encoder)], dim=1)
        nodes, edges = self.trunk(x, batch.edge_index, e)
        return {name: head(edges if name == "edge" else nodes) for name, head in self.heads.items()}

    def _of_clusters(self, batch: GraphBatch, encoder: VoxelEncoder) -> Tensor:
        return encoder(batch.voxel_node, batch.coords[:, 1:], batch.features, len(batch.row))

    def _of_pairs(self, batch: GraphBatch, encoder: VoxelEncoder) -> Tensor:
        """Both directions of a pair see the same voxels; a loop sees those of its cluster."""
        loops = self.options.graph.kind == "loop"
        clusters = batch.edge_index[:1].t() if loops else batch.edge_index[:, ::2].t()
        pair, voxel = voxels_of(clusters, torch.bincount(batch.voxel_node, minlength=len(batch.row)))
        found = encoder(pair, batch.coords[voxel, 1:], batch.features[voxel], len(clusters))
        return found if loops else found.repeat_interleave(2, dim=0)


class MetaTrunk(nn.Module):
    """SPINE's canonical message passing: each round updates the edges, then the nodes.

    The last round leaves the nodes as they are where no head looks at them.
    """

    def __init__(self, options: ModelOptions, nodes: int, edges: int, for_nodes: bool) -> None:
        super().__init__()
        norm: Norm = GraphNorm if options.norm == "batch" else nn.LayerNorm
        perceptron = partial(Perceptron, width=options.width, depth=options.depth, leak=options.leak, norm=norm)
        self.node_norm, self.edge_norm = GraphNorm(nodes), GraphNorm(edges)
        self.rounds = nn.ModuleList()
        for number in range(options.rounds):
            edge_model = EdgeUpdate(perceptron(2 * nodes + edges))
            edges = options.width
            if number == options.rounds - 1 and not for_nodes:
                self.rounds.append(MetaLayer(edge_model))
                continue
            node_model: nn.Module
            if options.node_layer == "mlp":
                message, update = perceptron(nodes + edges), perceptron(nodes + options.width)
                node_model = NodeUpdate(message, update, options.reduction, options.width, options.attention)
                nodes = options.width
            else:
                node_model = ConvolutionUpdate(
                    options.node_layer,
                    nodes,
                    edges,
                    options.width,
                    options.depth,
                    options.leak,
                    options.reduction,
                    norm,
                )
                nodes = node_model.width
            self.rounds.append(MetaLayer(edge_model, node_model))
        self.node_width, self.edge_width = nodes, edges

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        x, e = self.node_norm(x), self.edge_norm(e)
        for layer in self.rounds:
            assert isinstance(layer, MetaLayer)
            assert layer.edge_model is not None
            e = edge_by_edge(partial(_update, layer.edge_model, x), edge_index, e, self.training)
            x = x if layer.node_model is None else layer.node_model(x, edge_index, e, None, None)
        return x, e

    def layers(self) -> list[list[nn.Module]]:
        return [[self.node_norm, self.edge_norm], *([layer] for layer in self.rounds)]


def _update(model: nn.Module, x: Tensor, ends: Tensor, e: Tensor) -> Tensor:
    updated: Tensor = model(x[ends[0]], x[ends[1]], e, None, None)
    return updated


class ConvolutionTrunk(nn.Module):
    """`modular_nnconv` of 2020: edge-conditioned convolutions of the nodes, each followed by an update of the edges.

    Every perceptron normalises first; the convolution adds its messages up (Simonovsky & Komodakis, arXiv:1704.02901).
    """

    def __init__(self, options: ModelOptions, nodes: int, edges: int, for_nodes: bool) -> None:
        super().__init__()
        width, leak = options.width, options.leak
        self.norms, self.convolutions, self.updates = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for _ in range(options.rounds):
            self.norms.append(GraphNorm(nodes))
            theta = norms_first([edges, nodes, nodes, nodes * width], leak)
            self.convolutions.append(NNConv(nodes, width, theta, aggr="add"))
            self.updates.append(EdgeUpdate(norms_first([2 * width + edges, width, width, width], leak)))
            nodes = edges = width
        self.activation = nn.LeakyReLU(leak)
        self.node_width = self.edge_width = width

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        source, target = edge_index
        for norm, convolution, update in zip(self.norms, self.convolutions, self.updates, strict=True):
            x = self.activation(convolution(norm(x), edge_index, e))
            e = update(x[source], x[target], e, None, None)
        return x, e

    def layers(self) -> list[list[nn.Module]]:
        return [list(parts) for parts in zip(self.norms, self.convolutions, self.updates, strict=True)]


class VoxelEncoder(nn.Module):
    """Features of each of several sets of voxels: the encoder half of a U-ResNet, averaged over the set."""

    def __init__(self, options: ConvolutionOptions) -> None:
        super().__init__()
        style, dims = Style(), 3
        widths = [options.filters * (level + 1) for level in range(options.depth)]
        layers: list[nn.Module] = [SubmanifoldConv(1, widths[0], 3, dims)]
        for level, width in enumerate(widths):
            if level:
                layers += [style(widths[level - 1]), StridedConv(widths[level - 1], width, 2, 2, dims)]
            layers += [ResidualBlock(width, width, style, dims) for _ in range(options.reps)]
        self.layers = nn.Sequential(*layers, style(widths[-1]))
        self.pool = GlobalPool("mean")
        self.linear = nn.Linear(widths[-1], options.features)
        self.engine = options.engine

    def forward(self, sets: Tensor, coords: Tensor, features: Tensor, n: int) -> Tensor:
        """[n, features]; sets: int64 [M], which one each voxel is in; coords: int32 [M, 3]; features: [M, 1]."""
        voxels = SparseTensor.from_points(torch.cat([sets[:, None].int(), coords], 1), features, n, engine=self.engine)
        found: Tensor = self.linear(self.pool(self.layers(voxels)))
        return found


def voxels_of(clusters: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The voxels of several clusters at a time: int64 [M] the row of `clusters`, and int64 [M] the voxel.

    clusters: int64 [P, K], numbers of clusters; counts: int64 [n], voxels of each, which lie cluster after cluster.
    """
    chosen = clusters.flatten()
    many = counts[chosen]
    first = (counts.cumsum(0) - counts)[chosen] - (many.cumsum(0) - many)
    voxel = first.repeat_interleave(many) + torch.arange(int(many.sum()), device=counts.device)
    rows = torch.arange(len(chosen), device=counts.device) // max(clusters.shape[1], 1)
    return rows.repeat_interleave(many), voxel


def layers(network: GrappaNetwork) -> list[list[nn.Module]]:
    """From the encoder to the heads, for a learning rate that decays by layer."""
    first: list[nn.Module] = [e for e in (network.encoder, network.edge_encoder) if e is not None]
    return [*([first] if first else []), *network.trunk.layers(), [network.heads]]


def spine_names(options: ModelOptions) -> dict[str, str] | None:
    """``{our name: SPINE's}`` of every tensor, SPINE's below its GrapPA module; None where it has no such network."""
    if (options.network, options.node_layer, options.norm) != ("meta", "mlp", "batch"):
        return None
    if (options.encoder, options.edge_encoder) != ("geometric", "geometric"):
        return None
    names: dict[str, str] = {}
    for part in ("node", "edge"):
        names |= _batch_norm(f"trunk.{part}_norm", f"gnn.{part}_bn")
    node_heads = [head for head in options.heads if head != "edge"]
    for number in range(options.rounds):
        ours, theirs = f"trunk.rounds.{number}", f"gnn.mp_layers.{number}"
        names |= _perceptron(f"{ours}.edge_model.network", f"{theirs}.edge_model.mlp.model", options.depth)
        if number < options.rounds - 1 or node_heads:
            for mine, other in (("message", "message_mlp"), ("update", "aggr_mlp")):
                names |= _perceptron(f"{ours}.node_model.{mine}", f"{theirs}.node_model.{other}.model", options.depth)
            if options.attention:
                names |= _linear(f"{ours}.node_model.gate", f"{theirs}.node_model.gate")
    # SPINE names a head by its key, where there are several of the kind, or of a kind that has one in its examples.
    spine = {"pid": "node_type_pred", "orientation": "node_orient_pred", "edge": "edge_pred"}
    for head in options.heads:
        alone = head == "primary" and options.nodes == "fragments" and len(node_heads) == 1
        names |= _linear(f"heads.{head}", ("node_pred" if alone else spine.get(head, f"node_{head}_pred")) + ".linear")
    return names


def _linear(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{tensor}": f"{theirs}.{tensor}" for tensor in ("weight", "bias")}


def _batch_norm(ours: str, theirs: str) -> dict[str, str]:
    tensors = ("weight", "bias", "running_mean", "running_var")
    return {f"{ours}.{tensor}": f"{theirs}.{tensor}" for tensor in tensors}


def _perceptron(ours: str, theirs: str, depth: int) -> dict[str, str]:
    names: dict[str, str] = {}
    for k in range(depth):
        names |= _linear(f"{ours}.linear.{k}", f"{theirs}.{3 * k}")
        names |= _batch_norm(f"{ours}.norm.{k}", f"{theirs}.{3 * k + 1}")
    return names
