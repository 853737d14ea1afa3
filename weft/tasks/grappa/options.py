"""Options of GrapPA: one task, four instances that differ in what their nodes are and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.graph.compositions import COMPOSITIONS, Composition
from weft.io.products import LOW_ENERGY

Instance = Literal["shower", "track", "particle", "interaction"]
Head = Literal["edge", "primary", "pid", "orientation", "momentum", "vertex"]
Width = Literal[16, 19, 22, 28, 32, 33]

#: What differs between the instances (spec §1.7, §1.8, §2.3); the rest are the defaults of the fields below.
INSTANCES: Mapping[str, Mapping[str, Any]] = {
    "shower": {},
    "track": {
        "model": {"classes": [1], "heads": ["edge"], "features": 32, "graph": {"max_length": 100.0}},
        "loss": {"edge": {"high_purity": False}, "primary": {"high_purity": False}},
        "data": {"break_clusters": True},
    },
    "particle": {
        "model": {
            "classes": [0, 1, 2, 3],
            "graph": {"max_length": [500, 0, 500, 500, 100, 0, 0, 25, 0, 25]},
        },
        "loss": {"edge": {"high_purity": False}, "primary": {"high_purity": False}},
    },
    "interaction": {
        "model": {
            "nodes": "candidates",
            "classes": [0, 1, 2, 3],
            "min_size": 1,
            "heads": ["edge", "primary", "pid", "orientation"],
            "width": 128,
            "graph": {"max_length": [500, 500, 0, 0, 25, 25, 25, 0, 0, 0]},
        },
        "loss": {"edge": {"high_purity": False}, "primary": {"high_purity": False, "balance": True}},
    },
}


class GraphOptions(Strict):
    """Which clusters are connected (spec §2.3)."""

    kind: Literal["complete", "delaunay", "mst", "knn", "loop", "bipartite"] = Field(
        "complete", description="pairs of clusters that get an edge; bipartite: primaries with all others"
    )
    max_length: float | list[float] | None = Field(
        [500.0, 0.0, 500.0, 500.0, 0.0, 0.0, 0.0, 25.0, 0.0, 25.0],
        description="voxels; edges as long or longer are left out: a number, or one per pair of classes (shower, "
        "track, Michel, delta) in the order 00, 01, 02, 03, 11, 12, 13, 22, 23, 33, where 0 forbids the pair; set by "
        "instance",
    )
    measure: Literal["voxel", "centroid"] = Field("voxel", description="length by closest voxels or by centroids")
    algorithm: Literal["exact", "iterative"] = Field(
        "exact", description="closest voxels; iterative jumps between the clusters and is not exact"
    )
    max_count: int | None = Field(
        None, ge=1, description="an event with more directed edges than that loses all of them, to bound memory"
    )
    neighbours: int = Field(5, ge=1, description="knn: neighbours of each cluster")
    primaries: str | None = Field(
        None, description="bipartite: the product that scores primaries, e.g. shower_primary; above 1/2 is one"
    )
    groups: str | None = Field(
        None,
        description="a product that groups the nodes, e.g. interaction_groups: no edges between groups; a node in none "
        "has no edge",
    )

    @model_validator(mode="after")
    def _complete(self) -> GraphOptions:
        if isinstance(self.max_length, list) and len(self.max_length) != 10:
            raise ValueError(
                f"max_length has {len(self.max_length)} numbers, expected 1, or 10 for the pairs of classes"
            )
        if (self.kind == "bipartite") != (self.primaries is not None):
            raise ValueError("primaries is needed for kind 'bipartite', and only there")
        return self


class ConvolutionOptions(Strict):
    """A small residual encoder that looks at the voxels of each cluster by itself, or of each pair of clusters."""

    filters: int = Field(8, ge=1, description="channels at full resolution; level l has filters·(l+1)")
    depth: int = Field(3, ge=1, description="resolution levels")
    reps: int = Field(1, ge=1, description="residual blocks a level")
    features: int = Field(32, ge=1, description="features that it gives each node, or edge")
    engine: Literal["auto", "numba", "torch", "minkowski"] = Field(
        "auto", description="sparse convolution engine; auto: numba on CPU, torch elsewhere (docs/sparse.md)"
    )


class ModelOptions(Strict):
    """Nodes, graph, network and heads; `instance` sets the defaults of the others."""

    instance: Instance = Field("shower", description="what is aggregated; prefix of the products")
    nodes: Literal["fragments", "candidates"] = Field(
        "fragments", description="product whose rows are the nodes; set by instance"
    )
    classes: list[int] = Field([0, 2, 3], min_length=1, description="semantic classes that take part; set by instance")
    min_size: int = Field(3, ge=1, description="voxels; smaller clusters do not take part; set by instance")
    graph: GraphOptions = GraphOptions()
    encoder: Literal["geometric", "cnn", "mixed"] = Field(
        "geometric", description="node features: geometry, convolutions over the voxels of the cluster, or both"
    )
    features: Width = Field(
        33, description="geometric node features, by their number (docs/grappa.md); set by instance"
    )
    radius: float = Field(5.0, description="voxels; of directions and dE/dx at the ends; all voxels if not positive")
    optimize: bool = Field(False, description="directions from the most line-like part of the cluster around the end")
    cnn: ConvolutionOptions = ConvolutionOptions()
    edge_encoder: Literal["geometric", "cnn", "mixed"] = Field(
        "geometric", description="edge features: geometry, convolutions over the voxels of both clusters, or both"
    )
    edge_cnn: ConvolutionOptions = ConvolutionOptions()
    network: Literal["meta", "nnconv"] = Field(
        "meta", description="meta: SPINE's message passing; nnconv: modular_nnconv of 2020 (spec §2.5)"
    )
    node_layer: Literal["mlp", "nnconv", "econv", "gatconv", "agnnconv"] = Field(
        "mlp", description="meta: how nodes take up messages"
    )
    rounds: int = Field(3, ge=1, description="rounds of message passing")
    width: int = Field(64, ge=1, description="hidden features of nodes and edges; set by instance")
    depth: int = Field(3, ge=1, description="meta: layers of each perceptron")
    leak: float = Field(0.1, ge=0, description="negative slope of the leaky ReLU")
    reduction: Literal["max", "mean", "add"] = Field(
        "max", description="meta: how the messages to a node are put together; modular_nnconv adds"
    )
    attention: bool = Field(False, description="meta with mlp: weigh the messages to a node by a learned softmax")
    norm: Literal["batch", "layer"] = Field("batch", description="meta: normalisation of hidden features")
    heads: list[Head] = Field(["edge", "primary"], min_length=1, description="what is predicted; set by instance")
    grouping: Literal["score", "threshold"] = Field("score", description="groups from edges (spec §2.4)")
    threshold: float = Field(0.5, ge=0, lt=1, description="grouping threshold: edges above it join")
    through_track: bool = Field(
        False,
        description="grouping score: a node that is no track is joined to at most one track by an edge of its own",
    )
    momentum_unit: float = Field(100.0, gt=0, description="MeV/c, one unit of the output of the momentum head")
    vertex_normalise: bool = Field(True, description="the vertex head counts in sizes of the image, else in voxels")
    vertex_anchor: Literal["start", "nearest", "origin"] = Field(
        "start",
        description="where the vertex head counts from: the start of the node; the end of it that is nearest to the "
        "answer taken as a position (SPINE's anchor points); or the origin",
    )

    @property
    def composition(self) -> Composition:
        return COMPOSITIONS[self.features]

    @model_validator(mode="after")
    def _consistent(self) -> ModelOptions:
        if sorted(set(self.classes)) != self.classes or not set(self.classes) <= set(range(LOW_ENERGY)):
            raise ValueError(f"classes are {self.classes}, expected some of 0 to 3, increasing")
        if len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads are {self.heads}, expected each once")
        if self.network == "nnconv":
            given = {"node_layer": "mlp", "reduction": "max", "attention": False, "norm": "batch", "depth": 3}
            for key, value in given.items():
                if getattr(self, key) != value:
                    raise ValueError(f"{key} belongs to the network 'meta', the network is 'nnconv'")
        if self.node_layer != "mlp" and self.attention:
            raise ValueError("attention belongs to the node layer 'mlp'")
        if self.through_track and self.grouping != "score":
            raise ValueError("through_track belongs to the grouping 'score'")
        if self.nodes == "fragments" and "vertex" in self.heads:
            raise ValueError("the head 'vertex' is for candidates: fragments have no vertex of their own")
        if self.graph.kind == "bipartite" and (self.through_track or self.grouping == "threshold"):
            raise ValueError("a bipartite graph has its own grouping: each node joins its best primary")
        return self


class EdgeLoss(Strict):
    """Cross-entropy over edges: do the two ends belong together?"""

    weight: float = Field(1.0, ge=0, description="factor of the term")
    target: Literal["group", "forest", "particle_forest"] = Field(
        "group",
        description="group: every pair of a true group; forest: a spanning tree of each, the one that the scores like "
        "best, pairs of a group off the tree not judged; particle_forest: parents with their children",
    )
    high_purity: bool = Field(
        True, description="leave out pairs inside groups without exactly one true primary particle; set by instance"
    )
    balance: bool = Field(False, description="both answers weigh the same")


class PrimaryLoss(Strict):
    """Cross-entropy over nodes: does the group, or the interaction, begin here?"""

    weight: float = Field(1.0, ge=0, description="factor of the term")
    balance: bool = Field(False, description="both answers weigh the same; set by instance")
    high_purity: bool = Field(True, description="only nodes of groups with exactly one true primary; set by instance")
    predicted_groups: bool = Field(
        False, description="the groups of high_purity are the predicted ones, as in 2020; not with training.accumulate"
    )
    closest: bool = Field(
        False, description="of several nodes of one primary particle, only the one nearest to its start is primary"
    )
    rain: bool = Field(
        True, description="whether particles of interactions that do not look like a neutrino's have a label"
    )


class PidLoss(Strict):
    """Cross-entropy over particle types."""

    weight: float = Field(1.0, ge=0, description="factor of the term")
    balance: bool = Field(True, description="every type weighs the same")
    closest: bool = Field(
        False, description="of several nodes of one particle, only the one nearest to its start has a label"
    )
    secondaries: bool = Field(True, description="whether particles that do not come from the vertex have a label")
    rain: bool = Field(
        True, description="whether particles of interactions that do not look like a neutrino's have a label"
    )


class OrientationLoss(Strict):
    """Cross-entropy over tracks: do start and end stand the right way round?"""

    weight: float = Field(1.0, ge=0, description="factor of the term")


class MomentumLoss(Strict):
    """Reverse Huber loss of the initial momentum: linear up to 0.2 of the largest residual, quadratic beyond."""

    weight: float = Field(1.0, ge=0, description="factor of the term")


class VertexLoss(Strict):
    """Cross-entropy of being primary and squared distance of the vertex, half each."""

    weight: float = Field(1.0, ge=0, description="factor of the two terms")
    contained: bool = Field(True, description="only vertices inside the image")


class LossOptions(Strict):
    """Losses of the heads; each is a mean over its valid edges or nodes, and they are added."""

    edge: EdgeLoss = EdgeLoss()
    primary: PrimaryLoss = PrimaryLoss()
    pid: PidLoss = PidLoss()
    orientation: OrientationLoss = OrientationLoss()
    momentum: MomentumLoss = MomentumLoss()
    vertex: VertexLoss = VertexLoss()
    min_purity: float = Field(
        0.0, ge=0, le=1, description="nodes less of which is one true fragment (of candidates: particle) have no label"
    )
    min_efficiency: float = Field(
        0.0, ge=0, le=1, description="nodes that hold less of their true fragment (particle) have no label"
    )


class OverlayOptions(Strict):
    """Several events laid over each other as one, in training (merge_batch of 2020)."""

    kind: Literal["none", "const", "poisson"] = Field("none", description="so many events each time, or on average")
    events: int = Field(4, ge=2, description="number or mean number of events; taken in turn from the micro-batch")


class DataOptions(Strict):
    """How events are varied in training."""

    flip: bool = Field(True, description="mirror each axis at random")
    rotate: bool = Field(True, description="permute the axes at random")
    charge_jitter: float = Field(0.05, ge=0, description="relative spread of a common factor on the charge")
    order: Literal["random", "given"] = Field(
        "random",
        description="start and end of a track; random: swapped at random in training and put in a fixed order else, so "
        "that the labels do not give the answer away; given: as in the product",
    )
    break_clusters: bool = Field(
        False,
        description="in training every detached piece of a cluster is a node of its own, as if found alone; "
        "set by instance",
    )
    overlay: OverlayOptions = OverlayOptions()


class BaselineOptions(Strict):
    """Nearest-distance grouping and boosted trees on the geometric features of nodes."""

    grid: int = Field(24, ge=2, description="distances tried for each pair of classes, 1 voxel to max_length")
    passes: int = Field(2, ge=1, description="how often the distances of all pairs of classes are tried in turn")
    events: int = Field(1000, ge=1, description="most training events; the first ones")
    iterations: int = Field(100, ge=1, description="boosting iterations")
    learning_rate: float = Field(0.1, gt=0, description="shrinkage of each tree")
    leaves: int = Field(15, ge=2, description="most leaves of a tree")
    min_leaf: int = Field(20, ge=1, description="fewest training nodes of a leaf")


class Options(Strict):
    """Aggregation of clusters by a graph network."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if self.loss.primary.predicted_groups and not (self.loss.primary.high_purity and "edge" in self.model.heads):
            raise ValueError("loss.primary.predicted_groups needs loss.primary.high_purity and the head 'edge'")
        return self

    @model_validator(mode="before")
    @classmethod
    def _by_instance(cls, given: Any) -> Any:
        """Fill in what the instance sets and the user does not."""
        model = given.get("model") if isinstance(given, Mapping) else None
        instance = model.get("instance", "shower") if isinstance(model, Mapping) else "shower"
        if not isinstance(given, Mapping) or not isinstance(instance, str) or instance not in INSTANCES:
            return given
        return _below(INSTANCES[instance], given)


def _below(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` over `defaults`, block by block."""
    merged = dict(defaults)
    for key, value in given.items():
        below = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _below(below, value) if both else value  # type: ignore[arg-type]
    return merged
