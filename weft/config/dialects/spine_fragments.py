"""What divides voxels into fragments in SPINE: the keys of ``spice``, ``graph_spice``, ``dbscan`` and their losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Checked, Drops, Maps, Only, Refuses, Rule, Several, Source, Unfit
from weft.config.dialects.spine_uresnet import TRUNK_DEFAULTS, named, only, own_weights, unet
from weft.config.dialects.stages import Defaults

SPICE, GRAPH, DBSCAN = (f"model.modules.{name}" for name in ("spice", "graph_spice", "dbscan"))
NAMES = ("shower", "track", "michel", "delta")
_CONTEXT = {"data.context": (False, "there the voxels of other classes are removed first")}
_EMBEDDER: Defaults = {
    **TRUNK_DEFAULTS,
    "model.coord_conv": (True, "SPINE's default"),
    **_CONTEXT,
}
SPICE_DEFAULTS: Defaults = {
    **_EMBEDDER,
    "model.classes": (["shower", "track"], "SPINE's default"),
    "model.clustering.rule": ("greedy", "there built in"),
    "model.clustering.s_thresholds": (0.0, "SPINE's default"),
    "model.clustering.p_thresholds": (0.5, "SPINE's default"),
    "model.clustering.min_size": (2, "SPINE's default"),
    "loss.form": ("bce", "there built in"),
    "loss.min_voxels": (2, "SPINE's default"),
}
GRAPH_DEFAULTS: Defaults = {
    **_EMBEDDER,
    "model.features": ("heads", "SPINE's default"),
    "model.clustering.min_size": (0, "SPINE's default"),
}
#: Without a block ``orphan`` in the constructor.
NO_ORPHANS: Defaults = {
    "model.clustering.orphan_radius": (0.5, "no voxel is so near: there orphans are dropped"),
    "model.clustering.assign_all": (False, "there orphans are dropped"),
}
DBSCAN_DEFAULTS: Defaults = {
    "model.dbscan.eps": (1.8, "SPINE's default"),
    "model.dbscan.min_size": (3, "SPINE's default"),
    "model.dbscan.track_include_delta": (False, "SPINE's default"),
    "model.dbscan.point_classes": (["shower", "track", "michel"], "there points of all classes but delta cut"),
    "model.dbscan.point_score": (0.5, "SPINE's default"),
    "model.dbscan.point_class_score": (0.5, "SPINE's default"),
}


def _inputs(value: int, source: Source) -> None:
    wanted = 4 if source.beside("coord_conv", 2, default=True) else 1
    if value != wanted:
        raise Unfit(f"the network reads the charge, with coord_conv the coordinates too; nearest that works: {wanted}")


def trunk(prefix: str, part: str) -> dict[str, Rule]:
    """Rules of the U-ResNet of a network that knows where its voxels are."""
    return {
        **unet(prefix, part),
        f"{prefix}.num_input": Checked(_inputs, "the charge, with coord_conv coordinates too"),
    }


def class_name(value: int | str) -> str:
    """A semantic class by its number or name there, as ours."""
    known: dict[int | str, str] = {**dict(enumerate(NAMES)), **{name: name for name in NAMES}, "michl": "michel"}
    if value not in known:
        raise Unfit(f"no class {value} has fragments; those that have: {', '.join(NAMES)}")
    return known[value]


def class_names(values: Any, source: Source) -> list[str]:
    return [class_name(value) for value in values]


def _not_skipped(values: Any, source: Source) -> list[str]:
    skipped = {value for value in values if value not in ("lowe", "le", 4, 5, 6)}
    return [name for name in NAMES if name not in {class_name(value) for value in skipped}]


def spice_classes(source: Source) -> list[str]:
    skipped = source.get(f"{SPICE}.skip_classes")
    if skipped is not None:
        return _not_skipped(skipped, source)
    return class_names(source.get(f"{SPICE}.shapes", default=(0, 1)), source)


def _thresholds(value: Any, source: Source) -> float | list[float]:
    """One number, one for each class in their order, or one by class."""
    if not isinstance(value, Mapping):
        return value
    by_name = {class_name(name): number for name, number in value.items()}
    classes = spice_classes(source)
    if set(by_name) != set(classes):
        raise Unfit(f"thresholds of {', '.join(by_name)} for classes {', '.join(classes)}; nearest: one of each")
    return [by_name[name] for name in classes]


def _seeds_frozen(value: bool, source: Source) -> list[str] | None:
    return ["seed_decoder", "seed_head"] if value else None


_SPICE: dict[str, Rule] = {
    **trunk(f"{SPICE}.uresnet", "spice:"),
    f"{SPICE}.uresnet.spatial_size": Maps("spice:model.spatial_size"),
    f"{SPICE}.shapes": Maps("spice:model.classes", class_names),
    f"{SPICE}.skip_classes": Maps("spice:model.classes", _not_skipped, "all the others"),
    f"{SPICE}.coord_conv": Maps("spice:model.coord_conv"),
    f"{SPICE}.margin_dim": Only((1,), "a cluster has one margin"),
    f"{SPICE}.seediness_dim": Only((1,), "a voxel has one seediness"),
    f"{SPICE}.seed_freeze": Maps("spice:freeze", _seeds_frozen, "seed_decoder and seed_head"),
    f"{SPICE}.make_clusters": Drops("a stage always makes its products"),
    f"{SPICE}.clusterer.seed_threshold": Maps("spice:model.clustering.s_thresholds", _thresholds),
    f"{SPICE}.clusterer.probability_threshold": Maps("spice:model.clustering.p_thresholds", _thresholds),
    f"{SPICE}.clusterer.min_size": Maps("spice:model.clustering.min_size"),
    f"{SPICE}.clusterer.assign_all": Maps("spice:model.clustering.cluster_all"),
    f"{SPICE}.clusterer.eps": Drops("margins are kept from zero by 1e-6"),
    **own_weights(SPICE, "spice:"),
    f"{SPICE}_loss.mask_loss": Only(("bce_logits",), "the loss of the masks is cross-entropy"),
    f"{SPICE}_loss.seed_loss": Only(("l1",), "the loss of the seediness is its distance"),
    **{
        f"{SPICE}_loss.{key}": Maps(f"spice:loss.{key}")
        for key in (
            *("embedding_weight", "seediness_weight", "smoothing_weight"),
            *("inter_weight", "inter_margin", "min_voxels"),
        )
    },
    f"{SPICE}_loss.eps": Drops("probabilities are kept from 0 and 1 by 1e-6"),
}


# --- Graph-SPICE ----------------------------------------------------------------------------------------------


def _features(value: bool, source: Source) -> str:
    return "raw" if value else "heads"


def _kernel(value: str, source: Source) -> str:
    if value not in ("bilinear", "mlp", "default"):
        raise Unfit("no such kernel; nearest that works: bilinear, mlp, default")
    return value


def _activation_of_kernel(value: Any, source: Source) -> None:
    if named(value)[0] != "elu":
        raise Unfit("the perceptron of the kernel has ELUs; nearest that works: elu")


def _graph(value: str, source: Source) -> str:
    if value not in ("radius", "knn"):
        raise Unfit("no such graph of voxels; nearest that works: radius, knn")
    return value


def _neighbours(value: int, source: Source) -> None:
    if value < 26:
        raise Unfit("all voxels within the radius are joined, 26 that touch one; nearest that works: 32")


def _same_inversion(value: bool, source: Source) -> None:
    of_model = source.get(f"{GRAPH}.invert", default=True)
    if value != of_model:
        raise Unfit(f"{GRAPH}.invert is {of_model}, of which this is the loss; nearest that works: {of_model}")


def _edge_loss(value: Any, source: Source) -> Several:
    name, block = named(value)
    if name == "bce_logits":
        only(block, {"name", "provider"}, "loss")
        return Several({"graph_spice:loss.dice_weight": 0.0, "graph_spice:loss.bce_weight": 1.0})
    if name != "binary_log_dice_ce":
        raise Unfit(f"edges have no loss '{name}'; nearest that work: binary_log_dice_ce, bce_logits")
    only(block, {"name", "provider", "w_dice", "w_ce"}, "loss")
    weights = {"dice_weight": block.get("w_dice", 0.8), "bce_weight": block.get("w_ce", 0.2)}
    return Several({f"graph_spice:loss.{key}": weight for key, weight in weights.items()})


_GRAPH: dict[str, Rule] = {
    **trunk(f"{GRAPH}.embedder.uresnet", "graph_spice:"),
    f"{GRAPH}.embedder.uresnet.spatial_size": Maps("graph_spice:model.spatial_size"),
    f"{GRAPH}.embedder.predict_semantics": Only((False,), "semantics are those of the stage before"),
    f"{GRAPH}.embedder.num_classes": Drops("read only with predict_semantics"),
    f"{GRAPH}.embedder.coord_conv": Maps("graph_spice:model.coord_conv"),
    f"{GRAPH}.embedder.covariance_mode": Maps("graph_spice:model.covariance"),
    f"{GRAPH}.embedder.occupancy_mode": Maps("graph_spice:model.occupancy"),
    f"{GRAPH}.embedder.feature_embedding_dim": Maps("graph_spice:model.feature_dim"),
    f"{GRAPH}.embedder.spatial_embedding_dim": Only((3,), "places have three coordinates"),
    f"{GRAPH}.embedder.use_raw_features": Refuses(f"there {GRAPH}.use_raw_features says it; nearest that works: that"),
    f"{GRAPH}.kernel.{{name, provider}}": Maps("graph_spice:model.kernel", _kernel),
    f"{GRAPH}.kernel.num_features": Drops("follows from the features"),
    f"{GRAPH}.kernel.bias": Maps("graph_spice:model.kernel_bias"),
    f"{GRAPH}.kernel.eps": Only((0.001,), "covariances are kept from zero by it"),
    f"{GRAPH}.kernel.mlp.{{name, provider}}": Only(("mlp",), "the kernel is a perceptron"),
    f"{GRAPH}.kernel.mlp.depth": Maps("graph_spice:model.mlp_depth"),
    f"{GRAPH}.kernel.mlp.width": Maps("graph_spice:model.mlp_width"),
    f"{GRAPH}.kernel.mlp.activation": Checked(_activation_of_kernel, "the perceptron of the kernel has ELUs"),
    f"{GRAPH}.kernel.mlp.normalization": Only(("batch_norm",), "the perceptron has batch norms"),
    f"{GRAPH}.constructor.edge_threshold": Maps("graph_spice:model.clustering.edge_threshold"),
    f"{GRAPH}.constructor.min_size": Maps("graph_spice:model.clustering.min_size"),
    f"{GRAPH}.constructor.label_edges": Drops("labels of edges are made for the loss"),
    f"{GRAPH}.constructor.target_col": Only(("cluster",), "fragments are what is learned"),
    f"{GRAPH}.constructor.graph.{{name, provider}}": Maps("graph_spice:model.graph.kind", _graph),
    f"{GRAPH}.constructor.graph.r": Maps("graph_spice:model.graph.radius", says="voxels"),
    f"{GRAPH}.constructor.graph.k": Maps("graph_spice:model.graph.k"),
    f"{GRAPH}.constructor.graph.loop": Only((False,), "a voxel has no edge with itself"),
    f"{GRAPH}.constructor.graph.max_num_neighbors": Checked(_neighbours, "all within the radius are joined"),
    f"{GRAPH}.constructor.orphan.mode": Only(("radius",), "neighbours within a radius adopt orphans"),
    f"{GRAPH}.constructor.orphan.radius": Maps("graph_spice:model.clustering.orphan_radius", says="voxels"),
    f"{GRAPH}.constructor.orphan.k": Refuses("neighbours within a radius adopt orphans; nearest that works: radius"),
    f"{GRAPH}.constructor.orphan.metric": Only(("euclidean",), "distances are Euclidean"),
    f"{GRAPH}.constructor.orphan.p": Only((2.0,), "distances are Euclidean"),
    f"{GRAPH}.constructor.orphan.iterate": Only((True,), "orphans adopted can adopt others"),
    f"{GRAPH}.constructor.orphan.assign_all": Maps("graph_spice:model.clustering.assign_all"),
    f"{GRAPH}.shapes": Maps("graph_spice:model.classes", class_names),
    f"{GRAPH}.use_raw_features": Maps("graph_spice:model.features", _features, "true is raw, false heads"),
    f"{GRAPH}.invert": Maps("graph_spice:model.invert"),
    f"{GRAPH}.make_clusters": Drops("a stage always makes its products"),
    **own_weights(GRAPH, "graph_spice:"),
    f"{GRAPH}_loss.{{name, provider}}": Only(("edge",), "the loss is that of edges"),
    f"{GRAPH}_loss.loss": Maps(
        "graph_spice:loss.dice_weight, bce_weight", _edge_loss, "binary_log_dice_ce, bce_logits"
    ),
    f"{GRAPH}_loss.invert": Checked(_same_inversion, "as the model's"),
    f"{GRAPH}_loss.balance_loss": Maps("graph_spice:loss.balance"),
    f"{GRAPH}_loss.equal_sampling": Maps("graph_spice:loss.equal_sampling"),
    f"{GRAPH}_loss.min_sample_edges": Maps("graph_spice:loss.min_sample_edges"),
    f"{GRAPH}_loss.metric": Drops("clusters are scored, by ARI, purity and efficiency"),
    f"{GRAPH}_loss.evaluate_clustering_metrics": Drops("clusters are scored at every validation"),
}


# --- DBSCAN ---------------------------------------------------------------------------------------------------


def dbscan_classes(source: Source) -> list[str]:
    return class_names(source.get(f"{DBSCAN}.shapes", default=(0, 1, 2, 3)), source)


def _by_class(value: Any, source: Source) -> Any:
    """One value for all classes, or a list in the order of the classes."""
    if not isinstance(value, list):
        return value
    classes = dbscan_classes(source)
    if len(value) != len(classes):
        raise Unfit(f"{len(value)} values for {len(classes)} classes; nearest that works: one of each")
    return dict(zip(classes, value, strict=True))


def _euclidean(value: Any, source: Source) -> None:
    for name in value if isinstance(value, list) else [value]:
        if name != "euclidean":
            raise Unfit("distances are Euclidean; nearest that works: euclidean")


def _true_points(value: bool, source: Source) -> Several | None:
    return Several({"fragments:needs.truth": ["points"]}) if value else None


def _as_made(key: str, standard: Any) -> Checked:
    def compare(value: Any, source: Source) -> None:
        if value != standard:
            raise Unfit(f"points are made once, for all stages, with {key} {standard}; nearest that works: {standard}")

    return Checked(compare, "as the points are made")


#: How points are made of what the PPN proposes, in SPINE by every step anew.
_MADE = {
    "score_threshold": 0.5,
    "type_score_threshold": 0.5,
    "type_dist_threshold": 1.999,
    "pool_score_fn": "max",
    "pool_dist": 1.999,
    "enforce_type": True,
    "classes": [0, 1, 2, 3],
    "apply_deghosting": False,
}


def made_points() -> dict[str, Rule]:
    """Rules of the keys that say how points are made: as they are."""
    return {key: _as_made(key, value) for key, value in _MADE.items()}


_DBSCAN: dict[str, Rule] = {
    **{f"{DBSCAN}.ppn_predictor.{key}": rule for key, rule in made_points().items()},
    f"{DBSCAN}.eps": Maps("fragments:model.dbscan.eps", _by_class, "voxels; of all classes, or by class"),
    f"{DBSCAN}.min_samples": Maps("fragments:model.dbscan.min_samples", _by_class),
    f"{DBSCAN}.min_size": Maps("fragments:model.dbscan.min_size", _by_class),
    f"{DBSCAN}.metric": Checked(_euclidean, "distances are Euclidean"),
    f"{DBSCAN}.shapes": Drops("the classes that dbscan provides: model.providers of the stage fragments"),
    f"{DBSCAN}.break_shapes": Maps("fragments:model.dbscan.split", class_names),
    f"{DBSCAN}.break_mask_radius": Maps("fragments:model.dbscan.mask_radius", _by_class, "voxels"),
    f"{DBSCAN}.break_track_method": Only(("masked_dbscan",), "components are cut by what is near a point"),
    f"{DBSCAN}.use_label_break_points": Maps("fragments:needs.truth", _true_points, "true points cut"),
    f"{DBSCAN}.track_include_delta": Maps("fragments:model.dbscan.track_include_delta"),
    f"{DBSCAN}.ppn_predictor.score_threshold": Maps("fragments:model.dbscan.point_score"),
    f"{DBSCAN}.ppn_predictor.type_score_threshold": Maps("fragments:model.dbscan.point_class_score"),
}
FRAGMENTS: Mapping[str, Rule] = {**_SPICE, **_GRAPH, **_DBSCAN}
