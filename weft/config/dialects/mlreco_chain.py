"""The full chain of 2020: its modules beside U-ResNet and PPN, trained together with five weights of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft.config.dialects.lartpc import GRAPH_DATA, IMAGE_DATA
from weft.config.dialects.mlreco_points import is_joint, starts
from weft.config.dialects.rules import Drops, Maps, Noted, Only, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.stages import Defaults, Part, Plan

_MODULES = "model.modules"
_UNET = f"{_MODULES}.uresnet_lonely"
STAGE = "full_chain"
_ALONE = ("uresnet_lonely", "uresnet_ppn_chain", "uresnet_ppn", STAGE)
_NEEDED = (
    *("uresnet_lonely", "ppn", "network_base", "spatial_embeddings", "uresnet", "particle_gnn", "interaction_gnn"),
    *("particle_edge_model", "interaction_edge_model"),
)
_FRAGMENTS = ("fragments", "fragment_voxels")
#: Of the network of 2020, whatever it learns.
_TRUNK: Defaults = {
    "model.reps": (2, "there built in"),
    "model.input_kernel": (3, "there built in"),
    "model.leak": (0.0, "there built in: ReLU"),
    "model.norm_eps": (1e-4, "SparseConvNet's"),
    "model.norm_momentum": (0.1, "SparseConvNet's 0.9 is the share of the old"),
}
_POINTS: Defaults = {
    "model.form": ("scales3", "there built in"),
    "model.semantic": (True, "there built in"),
    "data.min_voxels": (5, "there built in"),
}
_SPICE: Defaults = {
    **_TRUNK,
    "model.input_kernel": (3, "there the default"),
    "model.leak": (0.33, "there the default"),
    "model.classes": (["shower", "track", "michel", "delta"], "there built in"),
    "model.clustering.rule": ("compete", "there built in"),
    "loss.form": ("se_lovasz_inter", "there built in"),
    "loss.inter_weight": (1.0, "there it is always 1"),
    "data.context": (True, "there the network sees all voxels"),
    "data.break_clusters": (False, "there a particle is one cluster"),
    "data.proposals": (True, "there starts are those of the PPN"),
}
_GRAPPA: Defaults = {
    "model.network": ("nnconv", "modular_nnconv"),
    "model.leak": (0.1, "there the default"),
    "model.graph.kind": ("complete", "there the default"),
    "model.graph.max_length": (None, "there the default"),
    "model.radius": (5.0, "there built in"),
    "loss.edge.high_purity": (False, "there the default"),
    "loss.primary.high_purity": (False, "there the default"),
    "loss.primary.balance": (False, "there the default"),
    "data.order": ("given", "there built in"),
}


def plan(source: Source) -> Plan:
    """The stages of a file. Raises Unfit for a model that there is not."""
    name = source.get("model.name", default="uresnet_lonely")
    if name not in _ALONE:
        raise Unfit(f"model.name: no model '{name}' here; nearest that work: {', '.join(_ALONE)}")
    for module in _NEEDED if name == STAGE else ("uresnet_lonely", *(["ppn"] if is_joint(source) else [])):
        if source.get(f"{_MODULES}.{module}") is None:
            raise Unfit(f"no {_MODULES}.{module}, which the model {name} is made of")
    loaded, own = source.get("trainval.model_path", default=""), source.get(f"{_UNET}.model_path", default="")
    if loaded and own and loaded != own:
        raise Unfit(f"trainval.model_path and {_UNET}.model_path: there the second wins; leave one of them")
    if name == STAGE:
        return _chain(source)
    needs = ["voxels", "charge", "semantics"]
    if not is_joint(source):
        first = Part("segmentation", {"truth": needs}, {**IMAGE_DATA, **_TRUNK})
        return Plan({"uresnet": first}, idle=_idle({"uresnet_lonely", "full_chain_loss"}))
    needs = ["voxels", "charge", "meta", "semantics", "particles"]
    first = Part("points", {"truth": needs}, {**IMAGE_DATA, **_TRUNK, **_POINTS})
    return Plan({"uresnet": first}, idle=_idle({"uresnet_lonely", "ppn"}))


def _chain(source: Source) -> Plan:
    size = source.get(f"{_MODULES}.particle_gnn.node_min_size", default=-1)
    least = (max(1, size), f"{_MODULES}.particle_gnn.node_min_size")
    nodes = {"model.min_size": least, "model.heads": (["edge", "primary"], "there built in")}
    whole = {
        "model.min_size": (1, "there the size of a node is not looked at"),
        "model.classes": ([0, 1, 2, 3], "there the default"),
        "model.nodes": ("candidates", "there built in"),
        "model.heads": (["edge"], "there the answers of nodes have no loss"),
    }
    groups: Defaults = {"model.groups": (["shower"], "there built in"), "model.primary": (["shower"], "there built in")}
    parts = {
        "uresnet": Part("points", {}, {**IMAGE_DATA, **_TRUNK, **_POINTS}),
        "spice": Part(
            "spice",
            {"uresnet": ["semantics", "point_proposals"]},
            {**IMAGE_DATA, **_SPICE, "model.clustering.min_size": least},
        ),
        "shower": Part(
            "grappa",
            {"spice": _FRAGMENTS},
            {**GRAPH_DATA, **_GRAPPA, "model.instance": ("shower", "particle_gnn"), **nodes},
        ),
        "candidates": Part(
            "candidates", {"spice": _FRAGMENTS, "shower": ["shower_groups", "shower_primary"]}, groups, learned=False
        ),
        "interaction": Part(
            "grappa",
            {"candidates": ["candidates", "candidate_voxels"]},
            {**GRAPH_DATA, **_GRAPPA, "model.instance": ("interaction", "interaction_gnn"), **whole},
        ),
    }
    aliases = {"particle": "shower"}
    return Plan(parts, aliases, joint=STAGE)


def _idle(used: set[str]) -> Callable[[str], str]:
    def idle(key: str) -> str:
        parts = key.split(".")
        other = parts[:2] == ["model", "modules"] and len(parts) > 2 and parts[2] not in used
        return "the model does not use it" if other else ""

    return idle


# --- the keys -------------------------------------------------------------------------------------------------


def start_of_all(value: str, source: Source) -> Any:
    """Weights of all modules from one file."""
    found = starts(value, source)
    if found is None or source.get("model.name") != STAGE:
        return found
    return Several({f"{name}:init": found for name in ("uresnet", "spice", "shower", "interaction")})


def _freeze(*modules: str) -> Callable[[bool, Source], list[str] | None]:
    def convert(value: bool, source: Source) -> list[str] | None:
        return list(modules) if value else None

    return convert


def _own(block: str, part: str, frozen: Rule) -> dict[str, Rule]:
    return {
        f"{_MODULES}.{block}.model_path": Maps(f"{part}:init", starts, "weights of this module alone"),
        f"{_MODULES}.{block}.freeze_weights": frozen,
    }


_UNFROZEN = Only((False,), "there it froze nothing, for the block is no module of its own; nearest that works: false")


def _seeds(value: bool, source: Source) -> list[str] | None:
    return ["seed_decoder", "seed_head"] if value else None


_CLUSTERS: dict[str, Rule] = {
    "network_base.spatial_size": Maps("spice:model.spatial_size"),
    "network_base.data_dim": Only((3,), "voxels have three coordinates"),
    "network_base.features": Only((4,), "the network reads the charge and the coordinates"),
    "network_base.leakiness": Maps("spice:model.leak"),
    "spatial_embeddings.seediness_dim": Only((1,), "a voxel has one seediness"),
    "spatial_embeddings.sigma_dim": Only((1,), "a cluster has one margin"),
    "spatial_embeddings.embedding_dim": Only((3,), "an embedding is a place"),
    "spatial_embeddings.coordConv": Only((True,), "the network reads the charge and the coordinates"),
    "spatial_embeddings.seed_freeze": Maps("spice:freeze", _seeds, "seed_decoder and seed_head"),
    "uresnet.filters": Maps("spice:model.filters"),
    "uresnet.input_kernel_size": Maps("spice:model.input_kernel"),
    "uresnet.num_strides": Maps("spice:model.depth"),
    "uresnet.reps": Maps("spice:model.reps"),
    "clustering_loss.name": Only(("se_lovasz_inter",), "the loss of the clusters"),
    "clustering_loss.seediness_weight": Maps("spice:loss.seediness_weight"),
    "clustering_loss.embedding_weight": Maps("spice:loss.embedding_weight"),
    "clustering_loss.smoothing_weight": Maps("spice:loss.smoothing_weight"),
    "clustering_loss.inter_weight": Drops("there it scaled what was logged; the weight is 1"),
    "fragment_clustering.s_thresholds": Maps("spice:model.clustering.s_thresholds"),
    "fragment_clustering.p_thresholds": Maps("spice:model.clustering.p_thresholds"),
    "fragment_clustering.cluster_all": Maps("spice:model.clustering.cluster_all"),
}


def _shapes(value: int, source: Source) -> list[int]:
    return [0, 1, 2, 3] if value == -1 else [value]


def _width(value: int, source: Source) -> int:
    if value not in (16, 19, 22, 28):
        raise Unfit(f"nodes have no {value} features; nearest that work: 16, 19, 22, 28")
    return value


def _max_length(value: float, source: Source) -> Any:
    return value if value > 0 else Noted(None, "edges of any length")


def _max_count(value: int, source: Source) -> Any:
    return value if value > 0 else Noted(None, "as many edges as there are")


def _weight(value: float, source: Source) -> float:
    if not value > 0:
        raise Unfit("a weight is above 0; nearest that works: freeze_weights, or a chain without the module")
    return value


def _of_points(value: float, source: Source) -> Several:
    keys = ("mask_weight", "class_weight", "position_weight")
    return Several({f"uresnet:loss.{key}": value for key in keys})


def _purity(part: str) -> Callable[[bool, Source], Several]:
    """Of edges, and of primaries where they are learned; there the groups that were tested are the predicted ones."""

    def convert(value: bool, source: Source) -> Several:
        keys = ("edge.high_purity", *(("primary.high_purity", "primary.predicted_groups") if part == "shower" else ()))
        return Several({f"{part}:loss.{key}": value for key in keys})

    return convert


def _graph(gnn: str, part: str, columns: tuple[int, int]) -> dict[str, Rule]:
    """Rules of one graph network: what its nodes are, and the network."""
    nodes, network = f"{gnn}_gnn", f"{gnn}_edge_model"
    least = (
        Maps(f"{part}:model.min_size", lambda value, source: max(1, value), "voxels; of fragments too")
        if gnn == "particle"
        else Drops("there it was not looked at")
    )
    return {
        f"{nodes}.node_type": Maps(f"{part}:model.classes", _shapes, "−1 is all"),
        f"{nodes}.node_min_size": least,
        f"{nodes}.source_col": Only(columns[:1], "nodes are what the chain makes"),
        f"{nodes}.target_col": Only(columns[1:], "groups are what the chain makes"),
        **{
            f"{nodes}.{encoder}": Only(("geo",), "nodes and edges have geometric features")
            for encoder in ("node_encoder", "edge_encoder")
        },
        f"{nodes}.network": Only(("complete",), "all pairs of an event have an edge"),
        f"{nodes}.edge_max_dist": Maps(f"{part}:model.graph.max_length", _max_length, "voxels; −1 is null"),
        f"{nodes}.edge_max_count": Maps(f"{part}:model.graph.max_count", _max_count, "−1 is null"),
        f"{nodes}.loss": Only(("CE",), "the loss is cross-entropy"),
        f"{nodes}.balance_classes": Maps(f"{part}:loss.edge.balance"),
        f"{nodes}.high_purity": Maps(
            f"{part}:loss.edge.high_purity", _purity(part), "of predicted groups for primaries"
        ),
        f"{network}.name": Only(("modular_nnconv",), "the network is modular_nnconv"),
        f"{network}.edge_feats": Only((19,), "an edge has 19 geometric features"),
        f"{network}.node_feats": Maps(f"{part}:model.features", _width),
        f"{network}.edge_output_feats": Maps(f"{part}:model.width", says="the same for nodes and edges"),
        f"{network}.node_output_feats": Maps(f"{part}:model.width", says="the same for nodes and edges"),
        f"{network}.node_classes": Only((2,), "primary or not"),
        f"{network}.edge_classes": Only((2,), "together or not"),
        f"{network}.aggr": Only(("add",), "messages are added"),
        f"{network}.leak": Drops("there it was looked for under another name: leakiness"),
        f"{network}.leakiness": Maps(f"{part}:model.leak"),
        f"{network}.num_mp": Maps(f"{part}:model.rounds"),
    }


_CHAIN: dict[str, Rule] = {
    **_CLUSTERS,
    "node_encoder.name": Only(("geo",), "nodes have geometric features"),
    "node_encoder.use_numpy": Drops("features are computed once, when an event is read"),
    "edge_encoder.name": Only(("geo",), "edges have geometric features"),
    "edge_encoder.use_numpy": Drops("features are computed once, when an event is read"),
    **_graph("particle", "shower", (5, 6)),
    **_graph("interaction", "interaction", (6, 7)),
    "full_chain.merge_batch": Only((False,), "there the chain did not read it; events are not merged"),
    "full_chain.merge_batch_mode": Drops("read only with merge_batch"),
    "full_chain.merge_batch_size": Drops("read only with merge_batch"),
    "full_chain_loss.name": PartOf("model.modules.clustering_loss.name"),
    "full_chain_loss.spatial_size": Drops("the loss does not depend on it"),
    "full_chain_loss.segmentation_weight": Maps("uresnet:loss.semantic_weight"),
    "full_chain_loss.ppn_weight": Maps(
        "uresnet:loss.mask_weight, class_weight, position_weight", _of_points, "of all terms of the points"
    ),
    "full_chain_loss.clustering_weight": Maps("spice:weight", _weight),
    "full_chain_loss.particle_gnn_weight": Maps("shower:weight", _weight),
    "full_chain_loss.interaction_gnn_weight": Maps("interaction:weight", _weight, "there particle_gnn_weight was read"),
}

CHAIN: Mapping[str, Rule] = {
    **{f"{_MODULES}.{key}": rule for key, rule in _CHAIN.items()},
    **_own("network_base", "spice", _UNFROZEN),
    **_own("spatial_embeddings", "spice", _UNFROZEN),
    **_own("uresnet", "spice", _UNFROZEN),
    **_own("particle_gnn", "shower", Maps("shower:freeze", _freeze(""), "the whole module")),
    **_own("interaction_gnn", "interaction", Maps("interaction:freeze", _freeze(""), "the whole module")),
    **_own("particle_edge_model", "shower", _UNFROZEN),
    **_own("interaction_edge_model", "interaction", _UNFROZEN),
    **{
        f"{_MODULES}.{block}.{key}": Drops("nothing in it is learned")
        for block in ("clustering_loss", "fragment_clustering", "node_encoder", "edge_encoder")
        for key in ("model_path", "freeze_weights")
    },
}
