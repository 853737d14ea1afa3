"""GrapPA in SPINE: the networks of its modules ``grappa``, ``grappa_shower``, ``grappa_track`` and their kin.

The losses are in ``spine_grappa_loss.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weft.config.dialects.rules import Checked, Drops, Maps, Noted, Only, Refuses, Rule, Several, Source, Unfit, choice
from weft.config.dialects.spine_fragments import class_name
from weft.config.dialects.spine_uresnet import leak, name_of, named, own_weights
from weft.config.dialects.stages import Defaults

#: Modules of the chain and the instance that each of them is here; the instance of ``grappa`` is read off its block.
INSTANCE = {
    "grappa_shower": "shower",
    "grappa_track": "track",
    "grappa_particle": "particle",
    "grappa_inter": "interaction",
}
MODULES = ("grappa", *INSTANCE)
PREFIX = f"model.modules.{choice(*MODULES)}"
#: Heads of the nodes by their keys there; one without a key is that of the primaries.
HEADS = {
    "type": "pid",
    "primary": "primary",
    "orient": "orientation",
    "momentum": "momentum",
    "vertex": "vertex",
}
_OUTPUTS = {"pid": 5, "primary": 2, "orientation": 2, "momentum": 1, "vertex": 5}
_WIDTHS = {
    (): 16,
    ("add_shape", "add_value"): 19,
    ("add_local_dedxs", "add_local_dirs", "add_points", "add_value"): 32,
    ("add_local_dedxs", "add_local_dirs", "add_points", "add_shape", "add_value"): 33,
}
_ADDED = ("add_value", "add_shape", "add_points", "add_local_dirs", "add_local_dedxs")
_MLPS = ("edge_layer.mlp", "node_layer.message_mlp", "node_layer.aggr_mlp", "node_layer.mlp")

DEFAULTS: Defaults = {
    "model.classes": ([0, 1, 2, 3], "SPINE's default"),
    "model.min_size": (1, "SPINE's default"),
    "model.graph.kind": ("complete", ""),
    "model.graph.max_length": (None, "SPINE's default"),
    "model.features": (16, "SPINE's default"),
    "data.order": ("random", "SPINE's default"),
    "data.break_clusters": (False, "SPINE's default"),
    "loss.edge.high_purity": (False, "SPINE's default"),
    "loss.primary.high_purity": (False, "SPINE's default"),
    "loss.primary.balance": (False, "SPINE's default"),
    "loss.pid.balance": (False, "SPINE's default"),
}
VERTEX_DEFAULTS: Defaults = {
    "model.vertex_normalise": (False, "SPINE's default"),
    "model.vertex_anchor": ("origin", "SPINE's default"),
}


CNN_DEFAULTS: Defaults = {"features": (512, "SPINE's default")}


def check(source: Source, module: str) -> None:
    """Raise Unfit for an encoder of voxels whose ReLUs are not ours, as SPINE's are when its block does not say."""
    for key in ("node_encoder", "edge_encoder"):
        block = source.get(f"model.modules.{module}.{key}", default={})
        name, block = named(block) if block else (None, {})
        if name in ("cnn", "geo_cnn_mix"):
            block = block.get("cnn_encoder", {}) if name == "geo_cnn_mix" else block
            if "activation" not in block:
                nearest = "activation: {name: lrelu, negative_slope: 0.33}"
                raise Unfit(f"{module}.{key}: leaky ReLUs of SPINE's default slope 0.01; nearest that works: {nearest}")


def instance(source: Source, module: str) -> str:
    """Which of our instances a module is."""
    if module in INSTANCE:
        return INSTANCE[module]
    at = f"model.modules.{module}"
    loss = source.get(f"{at}_loss.edge_loss", default={})
    if loss.get("target") == "interaction" or source.get(f"{at}.nodes.source") not in (None, "cluster", "clust"):
        return "interaction"
    shapes = {class_name(shape) for shape in source.get(f"{at}.nodes.shapes", default=(0, 1, 2, 3))}
    if shapes == {"track"}:
        return "track"
    return "particle" if "track" in shapes else "shower"


def heads(source: Source, module: str) -> list[str]:
    """What a module predicts. Raises Unfit for what there is no head for, and for heads of another size."""
    at = f"model.modules.{module}.gnn_model"
    found = ["edge"] if source.get(f"{at}.edge_pred") is not None else []
    nodes = source.get(f"{at}.node_pred")
    if nodes is None:
        return found
    if not isinstance(nodes, Mapping) or "name" in nodes or "provider" in nodes:
        nodes = {"primary": nodes}
    for key, given in nodes.items():
        if key not in HEADS:
            raise Unfit(f"node_pred.{key}: no such answer of a node; nearest that work: {', '.join(HEADS)}")
        head = HEADS[key]
        _require_outputs(f"node_pred.{key}", given, _OUTPUTS[head])
        found.append(head)
    return found


def _require_outputs(key: str, given: Any, wanted: int) -> None:
    name, block = ("linear", {"out_channels": given}) if isinstance(given, int) else named(given)
    if name != "linear":
        raise Unfit(f"{key}: an answer is a linear map of features, not '{name}'; nearest that works: {wanted}")
    if block.get("out_channels") != wanted:
        raise Unfit(f"{key}: {block.get('out_channels')} numbers; nearest that works: {wanted}")


def _heads(value: Any, source: Source) -> list[str]:
    if source.key.endswith("edge_pred"):
        _require_outputs("edge_pred", value, 2)
    return heads(source, source.module.rpartition(".")[2])


def _nodes(value: str, source: Source) -> str:
    kinds = {
        **dict.fromkeys(("cluster", "clust"), "fragments"),
        **dict.fromkeys(("particle", "part", "group"), "candidates"),
    }
    if value not in kinds:
        raise Unfit("nodes are fragments (cluster) or particles (group); nearest that works: cluster")
    found = kinds[value]
    if found == "candidates" and instance(source, source.module.rpartition(".")[2]) != "interaction":
        raise Unfit("what is put together here are fragments; nearest that works: cluster")
    return found


def _classes(value: Sequence[int | str], source: Source) -> list[int]:
    order = ("shower", "track", "michel", "delta")
    return sorted({order.index(class_name(shape)) for shape in value})


def _at_least_one(value: int, source: Source) -> int:
    return max(1, value)


def _kind(value: str, source: Source) -> str:
    if value not in ("complete", "delaunay", "mst", "knn", "loop"):
        raise Unfit("no such graph without true primaries; nearest that work: complete, delaunay, mst, knn, loop")
    return value


def _directed(value: bool, source: Source) -> None:
    if value != (named(source.beside("name") or source.beside("provider"))[0] == "loop"):
        raise Unfit("edges go both ways, except those of a loop; nearest that works: the opposite")


def _max_length(value: Any, source: Source) -> Any:
    """A list by pairs of classes covers there only the classes up to the highest that takes part."""
    if not isinstance(value, list):
        return value
    size = next((n for n in range(1, 5) if n * (n + 1) // 2 == len(value)), None)
    if size is None:
        raise Unfit(f"{len(value)} numbers are not those of the pairs of some classes; nearest that works: 10")
    pairs = [(a, b) for a in range(size) for b in range(a, size)]
    given = dict(zip(pairs, value, strict=True))
    return [given.get((a, b), 0) for a in range(4) for b in range(a, 4)]


def _algorithm(value: str, source: Source) -> Any:
    if value == "recursive":
        return Noted("iterative", "there a legacy approximation under another name")
    known = {"brute": "exact", "iterative": "iterative"}
    if value not in known:
        raise Unfit(f"no such way to the closest voxels; nearest that work: {', '.join(known)}")
    return known[value]


def _encoder(value: str, source: Source) -> str:
    known = {"geo": "geometric", "geometric": "geometric", "cnn": "cnn", "geo_cnn_mix": "mixed"}
    if value not in known:
        raise Unfit(f"no such encoder; nearest that work: {', '.join(known)}")
    return known[value]


def _features(value: bool, source: Source) -> int:
    """The number of features of a node, which says what they are."""
    added = tuple(key for key in sorted(_ADDED) if source.beside(key, default=False))
    if added not in _WIDTHS:
        shown = " | ".join(", ".join(keys) or "none" for keys in _WIDTHS)
        raise Unfit(f"with {', '.join(added)} nodes have features that none here has; combinations that work: {shown}")
    return _WIDTHS[added]


def _order(value: bool, source: Source) -> str | Noted:
    if name_of(source) == "full_chain":
        return Noted(None, "read only where ends are the true ones; in the chain they are those of the stage before")
    return "random" if value else "given"


def _direction(value: float | str, source: Source) -> Any:
    radius = source.beside("dedx_max_dist", default=5.0)
    if value == "optimize":
        radius = radius if source.beside("add_local_dedxs") else -1
        return Several({"{}:model.optimize": True, "{}:model.radius": Noted(radius, "there of dE/dx alone")})
    if source.beside("add_local_dedxs") and value != radius:
        raise Unfit(f"directions and dE/dx have one radius; nearest that works: {radius}")
    return value


def _radius(value: float, source: Source) -> float:
    direction = source.beside("dir_max_dist", default=5.0)
    if direction not in (value, "optimize"):
        raise Unfit(f"directions and dE/dx have one radius; nearest that works: {direction}")
    return value


def _node_layer(value: str, source: Source) -> str:
    if value not in ("mlp", "nnconv", "econv", "gatconv", "agnnconv"):
        raise Unfit("no such node layer; nearest that work: mlp, nnconv, econv, gatconv, agnnconv")
    return value


def _norm(value: Any, source: Source) -> str:
    known = {"batch_norm": "batch", "layer_norm": "layer"}
    name, block = named(value)
    if name not in known or set(block) - {"name", "provider"}:
        raise Unfit("hidden features have plain norms; nearest that work: batch_norm, layer_norm")
    return known[name]


def _one_width(value: Any, source: Source) -> int:
    widths = set(value) if isinstance(value, list) else {value}
    if len(widths) != 1:
        raise Unfit("every layer has the same width; nearest that works: one number")
    return widths.pop()


def _reduction(value: str, source: Source) -> str:
    known = {"max": "max", "mean": "mean", "sum": "add", "add": "add"}
    if value not in known:
        raise Unfit(f"messages are put together by {', '.join(known)}; nearest that works: max")
    return known[value]


def _cnn(prefix: str, ours: str) -> dict[str, Rule]:
    """Rules of an encoder of voxels."""
    fixed = {
        "input_kernel": (3,),
        "num_input": (1,),
        "data_dim": (3,),
        "allow_bias": (False,),
        "coord_conv": (False,),
        "pool_mode": ("avg",),
    }
    return {
        **{f"{prefix}.{key}": Maps(f"{{}}:model.{ours}.{key}") for key in ("filters", "depth", "reps")},
        f"{prefix}.feature_size": Maps(f"{{}}:model.{ours}.features"),
        **{f"{prefix}.{key}": Only(values, "the encoder of voxels has it so") for key, values in fixed.items()},
        f"{prefix}.activation": Checked(_same_leak, "leaky ReLUs of slope 0.33"),
        f"{prefix}.norm_layer": Only(("batch_norm",), "the encoder of voxels has batch norms"),
        f"{prefix}.spatial_size": Drops("the average of a cluster does not depend on it"),
        f"{prefix}.lattice": Refuses("the encoder of voxels has no lattice; nearest that works: null"),
    }


def _same_leak(value: Any, source: Source) -> None:
    if leak(value, source) != 0.33:
        raise Unfit("the encoder of voxels has leaky ReLUs of slope 0.33; nearest that works: that")


def _activation(value: Any, source: Source) -> None:
    """Of an encoder of voxels; a mixed one has a layer there that is none here."""
    if (source.beside("name") or source.beside("provider")) == "geo_cnn_mix":
        raise Unfit("features of both kinds stand side by side, without a layer between; nearest that works: null")
    _same_leak(value, source)


def _geometric(prefix: str) -> dict[str, Rule]:
    """Rules of the geometric features of nodes."""
    return {
        f"{prefix}.use_numpy": Drops("features are computed once, when an event is read"),
        **{f"{prefix}.{key}": Maps("{}:model.features", _features, "with the others of add_*") for key in _ADDED},
        f"{prefix}.random_order": Maps("{}:data.order", _order, "true is random, false given"),
        f"{prefix}.dir_max_dist": Maps("{}:model.radius", _direction, "voxels; optimize is model.optimize"),
        f"{prefix}.dedx_max_dist": Maps("{}:model.radius", _radius, "voxels; the same for both"),
    }


def _perceptron(prefix: str) -> dict[str, Rule]:
    return {
        f"{prefix}.{{name, provider}}": Only(("mlp",), "layers are perceptrons"),
        f"{prefix}.depth": Maps("{}:model.depth", says="of all perceptrons"),
        f"{prefix}.width": Maps("{}:model.width", _one_width, "of all perceptrons"),
        f"{prefix}.activation": Maps("{}:model.leak", leak, "lrelu's negative_slope; 0 for relu"),
        f"{prefix}.normalization": Maps("{}:model.norm", _norm, "batch_norm, layer_norm"),
    }


_AUGMENT = "graphs are varied by views of the event alone; nearest that works: null"
_NONE = "there is no such part of a graph; nearest that works: null"
_NAME = "{name, provider}"

_RULES: dict[str, Rule] = {
    "nodes.source": Maps("{}:model.nodes", _nodes, "cluster: fragments; group, particle: candidates"),
    "nodes.shapes": Maps("{}:model.classes", _classes),
    "nodes.min_size": Maps("{}:model.min_size", _at_least_one, "voxels; −1 is 1"),
    "nodes.make_groups": Drops("a stage always makes its products"),
    "nodes.grouping_method": Maps("{}:model.grouping"),
    "nodes.grouping_through_track": Maps(
        "{}:model.through_track", says="there a node that has met a track once takes no further edge at all"
    ),
    f"graph.{_NAME}": Maps("{}:model.graph.kind", _kind),
    "graph.directed": Checked(_directed, "edges go both ways, except those of a loop"),
    "graph.directed_to": Drops("read only with a bipartite graph"),
    "graph.max_length": Maps("{}:model.graph.max_length", _max_length, "voxels"),
    "graph.classes": Drops("those of the nodes"),
    "graph.max_count": Maps("{}:model.graph.max_count"),
    "graph.dist_method": Maps("{}:model.graph.measure"),
    "graph.dist_algorithm": Maps("{}:model.graph.algorithm", _algorithm, "brute is exact"),
    "graph.k": Maps("{}:model.graph.neighbours"),
    "graph.group_by": Refuses("pairs of any groups may be joined; nearest that works: null"),
    "max_edge_count": Maps("{}:model.graph.max_count"),
    f"node_encoder.{_NAME}": Maps("{}:model.encoder", _encoder, "geometric, cnn, or mixed"),
    **_geometric("node_encoder"),
    **_geometric("node_encoder.geo_encoder"),
    **_cnn("node_encoder", "cnn"),
    **_cnn("node_encoder.cnn_encoder", "cnn"),
    "node_encoder.activation": Checked(_activation, "of a mixed encoder nothing, of voxels slope 0.33"),
    "node_encoder.max_dist": Refuses("nodes are clusters, not voxels; nearest that works: null"),
    f"edge_encoder.{_NAME}": Maps("{}:model.edge_encoder", _encoder, "geometric, cnn, or mixed"),
    "edge_encoder.use_numpy": Drops("features are computed once, when an event is read"),
    "edge_encoder.use_legacy_distance": Only((False,), "the last feature is the distance"),
    "edge_encoder.geo_encoder.use_numpy": Drops("features are computed once, when an event is read"),
    "edge_encoder.geo_encoder.use_legacy_distance": Only((False,), "the last feature is the distance"),
    **_cnn("edge_encoder", "edge_cnn"),
    **_cnn("edge_encoder.cnn_encoder", "edge_cnn"),
    "edge_encoder.activation": Checked(_activation, "of a mixed encoder nothing, of voxels slope 0.33"),
    "global_encoder": Refuses(_NONE),
    "dbscan": Refuses("fragments are those of the stage before; nearest that works: null"),
    **{
        f"augment.{key}": Refuses(_AUGMENT) for key in ("edge_dropout", "node_dropout", "feature_mask", "feature_noise")
    },
    "return_features": Drops("products are answers"),
    f"gnn_model.{_NAME}": Only(("meta",), "messages are passed by meta layers"),
    "gnn_model.node_feats": Drops("follows from the encoder of the nodes"),
    "gnn_model.edge_feats": Drops("follows from the encoder of the edges"),
    "gnn_model.global_feats": Only((0,), "a graph as a whole has no features"),
    f"gnn_model.node_layer.{_NAME}": Maps("{}:model.node_layer", _node_layer),
    "gnn_model.node_layer.reduction": Maps("{}:model.reduction", _reduction),
    "gnn_model.node_layer.aggr": Maps("{}:model.reduction", _reduction),
    "gnn_model.node_layer.attention": Maps("{}:model.attention"),
    "gnn_model.node_layer.out_channels": Maps("{}:model.width"),
    "gnn_model.node_layer.activation": Maps("{}:model.leak", leak, "lrelu's negative_slope; 0 for relu"),
    "gnn_model.node_layer.normalization": Maps("{}:model.norm", _norm, "batch_norm, layer_norm"),
    f"gnn_model.edge_layer.{_NAME}": Only(("mlp",), "edges are updated by a perceptron"),
    "gnn_model.global_layer": Refuses(_NONE),
    **{key: rule for mlp in _MLPS for key, rule in _perceptron(f"gnn_model.{mlp}").items()},
    "gnn_model.num_mp": Maps("{}:model.rounds"),
    "gnn_model.input_normalization": Only(("batch_norm",), "features are normalised by batch norms"),
    "gnn_model.node_pred": Maps("{}:model.heads", _heads, "type is pid, orient orientation; one alone primary"),
    "gnn_model.edge_pred": Maps("{}:model.heads", _heads),
    "gnn_model.global_pred": Refuses(_NONE),
}


GRAPPA: Mapping[str, Rule] = {
    **{f"{PREFIX}.{key}": rule for key, rule in _RULES.items()},
    **own_weights(PREFIX, "{}:"),
}
