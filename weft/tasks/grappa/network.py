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
from weft.tasks.grappa.layers import ConvolutionUpdate, EdgeUpdate, GraphNorm, NodeUpdate, Norm, Perceptron, norms_first
from weft.tasks.grappa.options import ConvolutionOptions, Head, ModelOptions

#: Numbers that each head gives an edge or a node.
OUTPUTS: dict[Head, int] = {"edge": 2, "primary": 2, "pid": 5, "orientation": 2, "momentum": 1, "vertex": 5}


class GrappaNetwork(nn.Module):
    """Answers by head: [E, 2] for edges, [n, outputs] for nodes; a head of two or five classes gives logits."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.options = options
        nodes = 0 if options.encoder == "cnn" else options.composition.width
        self.encoder = None if options.encoder == "geometric" else ClusterEncoder(options.cnn)
        if self.encoder is not None:
            nodes += options.cnn.features
        node_heads = [head for head in options.heads if head != "edge"]
        trunk = MetaTrunk if options.network == "meta" else ConvolutionTrunk
        self.trunk = trunk(options, nodes, EDGE_WIDTH, bool(node_heads))
        self.heads = nn.ModuleDict(
            {
                head: nn.Linear(self.trunk.edge_width if head == "edge" else self.trunk.node_width, OUTPUTS[head])
                for head in options.heads
            }
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(batch, GraphBatch)
        x = batch.nodes
        if self.encoder is not None:
            x = torch.cat([x, self.encoder(batch)], dim=1)
        nodes, edges = self.trunk(x, batch.edge_index, batch.edges)
        return {name: head(edges if name == "edge" else nodes) for name, head in self.heads.items()}


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
            x, e, _ = layer(x, edge_index, e)
        return x, e

    def layers(self) -> list[list[nn.Module]]:
        return [[self.node_norm, self.edge_norm], *([layer] for layer in self.rounds)]


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


class ClusterEncoder(nn.Module):
    """Features of each node from its own voxels: the encoder half of a U-ResNet, averaged over the cluster."""

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

    def forward(self, batch: GraphBatch) -> Tensor:
        coords = torch.cat([batch.voxel_node[:, None].int(), batch.coords[:, 1:]], dim=1)
        voxels = SparseTensor.from_points(coords, batch.features, len(batch.row), engine=self.engine)
        features: Tensor = self.linear(self.pool(self.layers(voxels)))
        return features


def layers(network: GrappaNetwork) -> list[list[nn.Module]]:
    """From the encoder to the heads, for a learning rate that decays by layer."""
    first: list[list[nn.Module]] = [] if network.encoder is None else [[network.encoder]]
    return [*first, *network.trunk.layers(), [network.heads]]


def spine_names(options: ModelOptions) -> dict[str, str] | None:
    """``{our name: SPINE's}`` of every tensor, SPINE's below its GrapPA module; None where it has no such network."""
    if options.network != "meta" or options.encoder != "geometric" or options.node_layer != "mlp":
        return None
    if options.norm != "batch":
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
