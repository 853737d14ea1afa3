"""Which stages a configuration of SPINE describes: one network, or the full chain with what it reads from what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft.config.dialects import spine_grappa
from weft.config.dialects.lartpc import GRAPH_DATA, IMAGE_DATA
from weft.config.dialects.rules import Source, Unfit
from weft.config.dialects.spine_build import reconstruction_defaults
from weft.config.dialects.spine_fragments import (
    DBSCAN,
    DBSCAN_DEFAULTS,
    GRAPH,
    GRAPH_DEFAULTS,
    NO_ORPHANS,
    SPICE_DEFAULTS,
    dbscan_classes,
    spice_classes,
)
from weft.config.dialects.spine_fragments import class_names as names_of
from weft.config.dialects.spine_grappa_loss import count
from weft.config.dialects.spine_points import check as check_points
from weft.config.dialects.spine_uresnet import CHAIN, JOINT, TRUNK_DEFAULTS, is_joint, name_of, named
from weft.config.dialects.stages import Defaults, Part, Plan

_ALONE = ("uresnet", *JOINT, "spice", "graph_spice", "grappa", "full_chain")
_FRAGMENTERS = ("dbscan", "spice", "graph_spice")
_MODES = (
    *("dbscan", "spice", "graph_spice", "dbscan_spice", "dbscan_graph_spice", "spice_graph_spice"),
    *("dbscan_spice_graph_spice", "label"),
)
_SEMANTIC = ("voxels", "charge", "semantics")
_FRAGMENTS = ("fragments", "fragment_voxels")


def plan(source: Source) -> Plan:
    """The stages of a file. Raises Unfit for a model that there is not, and for modes that do not work together."""
    name = name_of(source)
    check_points(source)
    if name not in _ALONE:
        raise Unfit(f"model.name: no model '{name}' here; nearest that work: {', '.join(_ALONE)}")
    if name == "full_chain":
        return _chain(source)
    block = "uresnet" if is_joint(source) else name
    if source.get(f"model.modules.{block}") is None:
        raise Unfit(f"no model.modules.{block}, which the model {name} is made of")
    made, module = _by_itself(source, block)
    stage = next(iter(made))
    beside = {"ppn", "ppn_loss", "proposal_decoder"} if is_joint(source) else set()
    used = {module, f"{module}_loss", "loss_balancing", *beside}
    return Plan(made, {module: stage, f"{module}_loss": stage}, _idle(used))


def _by_itself(source: Source, block: str) -> tuple[dict[str, Part], str]:
    if block == "uresnet":
        return {"uresnet": _uresnet(source)}, block
    if block in ("spice", "graph_spice"):
        return {block: _fragmenter(source, block, {"truth": _SEMANTIC})}, block
    instance = spine_grappa.instance(source, block)
    nodes = ("candidates", "candidate_voxels") if instance == "interaction" else _FRAGMENTS
    return {instance: _grappa(source, block, instance, {"truth": [*_SEMANTIC, *nodes]})}, block


def _idle(used: set[str], reconstructs: bool = False) -> Callable[[str], str]:
    """Why a key does not matter: it belongs to a module that the model does not use, or to what comes after it."""

    def idle(key: str) -> str:
        parts = key.split(".")
        if parts[:2] == ["model", "modules"] and len(parts) > 2 and parts[2] not in used:
            return "the model does not use it"
        if parts[0] in ("build", "post") and not reconstructs:
            return "no interactions are put together that objects could be built of"
        return ""

    return idle


# --- the stages -----------------------------------------------------------------------------------------------


def _uresnet(source: Source) -> Part:
    defaults: Defaults = {**IMAGE_DATA, **TRUNK_DEFAULTS}
    if not is_joint(source):
        return Part("segmentation", {"truth": _SEMANTIC}, defaults)
    products = ["voxels", "charge", "meta", "semantics", "particles"]
    losses = [source.get(f"model.modules.{at}ppn_loss", default={}) for at in ("", "uresnet_ppn_loss.")]
    if any(loss.get("restrict_to_clusters") for loss in losses):
        products.append("clusters")
    own = {"model.semantic": (True, ""), "model.points.anchor": ("corner", "there built in")}
    return Part("points", {"truth": products}, {**defaults, **own})


def _fragmenter(source: Source, name: str, needs: Mapping[str, Any], proposals: bool = False) -> Part:
    defaults = dict(SPICE_DEFAULTS if name == "spice" else GRAPH_DEFAULTS)
    if name == "graph_spice" and source.get(f"{GRAPH}.constructor.orphan") is None:
        defaults |= NO_ORPHANS
    if proposals:
        defaults["data.proposals"] = (True, "there starts of fragments are those of the PPN")
    size = f"model.modules.{name}.{'' if name == 'spice' else 'embedder.'}uresnet.spatial_size"
    if source.get(size) is None:
        raise Unfit(f"{size}: missing; coordinates are shares of it")
    defaults["data.break_clusters"] = (breaks(source), "as the labels are parsed")
    return Part(name, needs, {**IMAGE_DATA, **defaults})


def breaks(source: Source) -> bool:
    """Whether detached pieces of a true cluster are told apart: as its parser says, and always in the full chain."""
    entry = source.get("model.loss_input.clust_label")
    block = source.get(f"io.loader.dataset.schema.{entry}", default={})
    return bool(block.get("break_clusters", False)) or name_of(source) == "full_chain"


def _grappa(source: Source, module: str, instance: str, needs: Mapping[str, Any]) -> Part:
    spine_grappa.check(source, module)
    found = spine_grappa.heads(source, module)
    if not found:
        raise Unfit(f"model.modules.{module}.gnn_model: nothing is predicted; nearest that works: edge_pred: 2")
    defaults: dict[str, tuple[Any, str]] = {
        **GRAPH_DATA,
        **spine_grappa.DEFAULTS,
        "model.instance": (instance, f"by its labels and shapes: {module}"),
        "model.nodes": ("candidates" if instance == "interaction" else "fragments", "as the labels are"),
    }
    if "vertex" in found:
        defaults |= spine_grappa.VERTEX_DEFAULTS
    if "momentum" in found:
        defaults["model.momentum_unit"] = (1.0, "there MeV/c")
    layer = source.get(f"model.modules.{module}.gnn_model.node_layer.name", default="mlp")
    defaults["model.reduction"] = (
        {"mlp": "mean", "econv": "max", "nnconv": "max"}.get(layer, "add"),
        "SPINE's default",
    )
    for key, ours in (("node_encoder", "cnn"), ("edge_encoder", "edge_cnn")):
        if "cnn" in str(named(source.get(f"model.modules.{module}.{key}", default=""))[0]):
            defaults |= {f"model.{ours}.{option}": given for option, given in spine_grappa.CNN_DEFAULTS.items()}
    share = 1 / count(source, module)
    for head in found:
        if head != "edge" or source.get(f"model.modules.{module}_loss.edge_loss") is not None:
            defaults[f"loss.{head}.weight"] = (share, "there the mean of the losses")
    if name_of(source) == "full_chain":
        defaults["data.order"] = ("given", "there ends are those of the stage before")
    else:
        defaults["data.break_clusters"] = (breaks(source), "as the labels are parsed")
        if "pid" in found or "primary" in found:
            defaults |= _labels(source, found)
    return Part("grappa", needs, defaults)


def _labels(source: Source, heads: list[str]) -> Defaults:
    """What the parser of the clusters says of which particles have a type and are called primary."""
    entry = source.get("model.loss_input.clust_label")
    block = source.get(f"io.loader.dataset.schema.{entry}", default={})
    options = {**block, **(block.get("particle_info") or {})} if isinstance(block.get("particle_info"), dict) else block
    why = f"as the labels are parsed: {entry}"
    found: dict[str, tuple[Any, str]] = {}
    if "pid" in heads:
        found["loss.pid.secondaries"] = (options.get("type_include_secondary", True), why)
        found["loss.pid.rain"] = (options.get("type_include_mpr", True), why)
    if "primary" in heads and "pid" in heads:
        found["loss.primary.rain"] = (options.get("primary_include_mpr", True), why)
    return found


# --- the full chain -------------------------------------------------------------------------------------------


class _Wiring:
    """Which stage makes what, on the way down the chain; what none makes is the truth."""

    def __init__(self) -> None:
        self.maker: dict[str, str] = {}

    def needs(self, *products: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for product in products:
            if product in self.maker:
                found.setdefault(self.maker[product], []).append(product)
        return found

    def makes(self, stage: str, *products: str) -> None:
        self.maker |= dict.fromkeys(products, stage)


def _chain(source: Source) -> Plan:
    modes = source.get(CHAIN, default={})
    parts: dict[str, Part] = {}
    used = {"chain", "loss_balancing", "predict_points", "adapt_labels"}
    wiring = _Wiring()
    aliases: dict[str, str] = {}

    def block(module: str) -> None:
        if source.get(f"model.modules.{module}") is None:
            raise Unfit(f"{CHAIN}: no model.modules.{module}, which the chain is to use")
        used.update((module, f"{module}_loss"))

    if modes.get("segmentation") == "uresnet":
        block("uresnet_ppn" if is_joint(source) else "uresnet")
        parts["uresnet"] = _uresnet(source)
        points = ("points", "point_proposals") if is_joint(source) else ()
        wiring.makes("uresnet", "semantics", "semantic_scores", *points)
    proposals = "point_proposals" in wiring.maker
    _fragment_stages(source, modes, parts, wiring, block, proposals)
    _particle_stages(source, modes, parts, wiring, block, aliases)
    _interaction_stages(source, modes, parts, wiring, block, aliases)
    if not parts:
        raise Unfit(f"{CHAIN}: no stage has a mode")
    return Plan(parts, aliases, _idle(used, "reconstruction" in parts))


def _fragment_stages(
    source: Source,
    modes: Mapping[str, Any],
    parts: dict[str, Part],
    wiring: _Wiring,
    block: Callable[[str], None],
    proposals: bool,
) -> None:
    mode = modes.get("fragmentation")
    if mode in (None, "label"):
        return
    if mode not in _MODES:
        raise Unfit(f"{CHAIN}.fragmentation: no mode '{mode}'; nearest that work: {', '.join(_MODES)}")
    chosen = [name for name in _FRAGMENTERS if name in _split(mode)]
    owners: dict[str, str] = {}
    starts = ["point_proposals"] if proposals else []
    for name in chosen:
        block(name)
        classes = {
            "dbscan": dbscan_classes,
            "spice": spice_classes,
            "graph_spice": lambda source: names_of(source.get(f"{GRAPH}.shapes", default=(0, 1, 2, 3)), source),
        }[name](source)
        for shape in classes:
            if shape in owners:
                raise Unfit(f"{CHAIN}.fragmentation: {shape} is divided by {owners[shape]} and by {name}")
            owners[shape] = name
        if name != "dbscan":
            parts[name] = _fragmenter(source, name, wiring.needs("semantics", *starts), proposals)
    if chosen == ["spice"] or chosen == ["graph_spice"]:
        wiring.makes(chosen[0], *_FRAGMENTS)
        return
    cut = source.get(f"{DBSCAN}.break_shapes", default=[1]) if "dbscan" in chosen else []
    reads = wiring.needs("semantics", *(["points"] if cut else []), *starts)
    if source.get(f"{DBSCAN}.use_label_break_points") and cut:
        reads = wiring.needs("semantics", *starts)
    reads |= {name: list(_FRAGMENTS) for name in chosen if name != "dbscan"}
    defaults: dict[str, tuple[Any, str]] = {"model.providers": (dict(sorted(owners.items())), "the classes of each")}
    if proposals:
        defaults["data.proposals"] = (True, "there starts of fragments are those of the PPN")
    if "dbscan" in chosen:
        defaults |= DBSCAN_DEFAULTS
    parts["fragments"] = Part("fragments", reads, defaults, learned=False)
    wiring.makes("fragments", *_FRAGMENTS)


def _split(mode: str) -> list[str]:
    return mode.replace("graph_spice", "graph-spice").replace("_", " ").replace("graph-spice", "graph_spice").split()


def _require_true(wiring: _Wiring, product: str, key: str, before: str) -> None:
    """True groups are those of true objects, not of what a stage has found."""
    if product in wiring.maker:
        found = f"true groups of the {product} that {wiring.maker[product]} finds"
        raise Unfit(f"{CHAIN}.{key}: there are no {found}; nearest that works: grappa, or label for the {before} too")


def _particle_stages(
    source: Source,
    modes: Mapping[str, Any],
    parts: dict[str, Part],
    wiring: _Wiring,
    block: Callable[[str], None],
    aliases: dict[str, str],
) -> None:
    groups, primaries, labelled = [], [], []
    for instance in ("shower", "track", "particle"):
        mode, module = modes.get(f"{instance}_aggregation"), f"grappa_{instance}"
        if mode in (None, "skip"):
            continue
        if mode not in ("grappa", "label"):
            raise Unfit(f"{CHAIN}.{instance}_aggregation: no mode '{mode}'; nearest that work: grappa, label, skip")
        groups.append(instance)
        if mode == "label":
            _require_true(wiring, "fragments", f"{instance}_aggregation", "fragmentation")
            labelled.append(instance)
            continue
        block(module)
        parts[instance] = _grappa(source, module, instance, wiring.needs(*_FRAGMENTS))
        aliases |= {module: instance, f"{module}_loss": instance}
        wiring.makes(instance, f"{instance}_groups")
        if "primary" in spine_grappa.heads(source, module):
            wiring.makes(instance, f"{instance}_primary")
            if instance != "shower" or modes.get("shower_primary") == "grappa":
                primaries.append(instance)
    if "particle" in groups and len(groups) > 1:
        raise Unfit(f"{CHAIN}: particle_aggregation takes all fragments; nearest that works: it alone")
    if not groups and all(modes.get(f"{name}_aggregation") is None for name in ("shower", "track", "particle")):
        return
    primaries += [name for name in labelled if name != "track"]
    reads = [f"{name}_groups" for name in groups] + [f"{name}_primary" for name in primaries]
    defaults: Defaults = {
        "model.groups": (groups, "the aggregations of the chain"),
        "model.primary": (primaries, "as shower_primary says"),
    }
    parts["candidates"] = Part("candidates", wiring.needs(*_FRAGMENTS, *reads), defaults, learned=False)
    wiring.makes("candidates", "candidates", "candidate_voxels", "candidate_fragments")


def _interaction_stages(
    source: Source,
    modes: Mapping[str, Any],
    parts: dict[str, Part],
    wiring: _Wiring,
    block: Callable[[str], None],
    aliases: dict[str, str],
) -> None:
    mode, module = modes.get("inter_aggregation"), "grappa_inter"
    if mode is None:
        return
    if mode not in ("grappa", "label"):
        raise Unfit(f"{CHAIN}.inter_aggregation: no mode '{mode}'; nearest that work: grappa, label")
    if "fragments" in wiring.maker and "candidates" not in wiring.maker:
        unused = f"the fragments that {wiring.maker['fragments']} finds make no particles"
        raise Unfit(
            f"{CHAIN}.inter_aggregation: {unused}; nearest that works: shower_aggregation and track_aggregation"
        )
    found: list[str] = []
    if mode == "label":
        _require_true(wiring, "candidates", "inter_aggregation", "aggregation of the particles")
    else:
        block(module)
        found = spine_grappa.heads(source, module)
        parts["interaction"] = _grappa(source, module, "interaction", wiring.needs("candidates", "candidate_voxels"))
        aliases |= {module: "interaction", f"{module}_loss": "interaction"}
        made = {"edge": "groups"}
        wiring.makes("interaction", *(f"interaction_{made.get(head, head)}" for head in found))
    settings = {
        "primary": ("grappa" if "primary" in found else "vertex", "as interaction GrapPA predicts it or not"),
        "pid": ("grappa" if "pid" in found else "template", "as interaction GrapPA predicts it or not"),
        "orientation": ("grappa" if "orientation" in found else "none", "as interaction GrapPA predicts it or not"),
        "momentum": ("grappa" if "momentum" in found else "energy", "as interaction GrapPA predicts it or not"),
    }
    extrema = source.get("post.track_extrema")
    points: list[str] = []
    if extrema is not None:
        settings["orientation"] = ("dedx", "post.track_extrema")
        points = ["points"] if extrema.get("method") == "ppn" else []
    if source.get("post.ppn.assign_to_particles"):
        points = ["points"]
    if modes.get("vertexing") == "grappa":
        if "vertex" not in found:
            raise Unfit(f"{CHAIN}.vertexing: grappa_inter predicts no vertex; nearest that works: null")
        settings["vertex"] = ("grappa", f"{CHAIN}.vertexing")
    heads = [head for head, (who, _) in settings.items() if who == "grappa"]
    candidates = ("candidates", "candidate_voxels", "candidate_fragments")
    reads = wiring.needs(
        *_FRAGMENTS, *candidates, "interaction_groups", *(f"interaction_{head}" for head in heads), *points
    )
    defaults = {**reconstruction_defaults(source), **{f"model.sources.{key}": said for key, said in settings.items()}}
    if settings["pid"][0] == "template":
        defaults["model.template.enabled"] = (True, "types come from it")
    parts["reconstruction"] = Part("reconstruction", reads, defaults, learned=False)
