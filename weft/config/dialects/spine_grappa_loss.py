"""GrapPA in SPINE: the losses ``grappa_loss``, ``grappa_shower_loss`` and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Checked, Convert, Drops, Maps, Only, Refuses, Rule, Source, Unfit, choice
from weft.config.dialects.spine_grappa import HEADS, MODULES, heads, instance

LOSSES = tuple(f"{module}_loss" for module in MODULES)
_PREFIX = f"model.modules.{choice(*LOSSES)}"
#: Which losses of theirs are those of a head, by name and by the labels that they learn.
_OF_HEAD: Mapping[str, Mapping[str, tuple[str, ...] | None]] = {
    "primary": {"shower_primary": None, "class": ("group_primary", "inter_primary", "interaction_primary")},
    "pid": {"class": ("pid",)},
    "orientation": {"orient": None},
    "momentum": {"reg": ("p", "momentum")},
    "vertex": {"vertex": None},
}
_LONG = {"classification": "class", "orientation": "orient", "regression": "reg"}
_CONDITION = {
    "primary": "the primary of a group, or of an interaction",
    "pid": "the type of a particle",
    "orientation": "which way round a track stands",
    "momentum": "the momentum of a particle",
    "vertex": "the vertex",
}


def count(source: Source, module: str) -> int:
    """How many losses a module has; 1 where the file has none for it."""
    block = source.get(f"model.modules.{module}_loss", default={})
    nodes = block.get("node_loss") or {}
    number = 1 if {"name", "provider"} & set(nodes) else len(nodes)
    return max(1, number + bool(block.get("edge_loss")))


def _module(source: Source) -> str:
    return source.module.rpartition(".")[2].removesuffix("_loss")


def _named(head: str) -> Rule:
    """The name of a loss has to be one that the head has."""

    def compare(value: str, source: Source) -> None:
        if _LONG.get(value, value) not in _OF_HEAD[head]:
            raise Unfit(f"no such loss of {_CONDITION[head]}; nearest that works: {', '.join(_OF_HEAD[head])}")
        if head not in heads(source, _module(source)):
            raise Unfit(f"a loss of {_CONDITION[head]}, which gnn_model.node_pred does not predict")

    return Checked(compare, " or ".join(_OF_HEAD[head]))


def _target(head: str) -> Rule:
    def compare(value: str, source: Source) -> None:
        known = [target for targets in _OF_HEAD[head].values() for target in targets or ()]
        if value not in known:
            raise Unfit(f"the labels are of {_CONDITION[head]}; nearest that works: {', '.join(known)}")

    return Checked(compare, f"the labels of {_CONDITION[head]}")


def _edge_target(value: str, source: Source) -> None:
    wanted = "interaction" if instance(source, _module(source)) == "interaction" else "group"
    if value not in (wanted, "particle" if wanted == "group" else "inter"):
        raise Unfit(f"{_module(source)} puts together what is of one {wanted}; nearest that works: {wanted}")


def _closest(head: str) -> Convert:
    """What becomes of the other nodes of a particle: −1 is no label, 0 another class."""
    after = {"primary": 0, "pid": -1}[head]

    def convert(value: bool, source: Source) -> bool:
        name = source.beside("name") or source.beside("provider")
        if value and _LONG.get(name, name) == "class" and source.beside("secondary_label", default=-1) != after:
            raise Unfit(f"the other nodes of a particle get the label {after}; nearest that works: secondary_label")
        return value

    return convert


def _quality(value: Any, source: Source) -> float:
    if isinstance(value, list):
        raise Unfit("one number for all classes; nearest that works: the lowest of them")
    matched = source.beside("match_target", default="group")
    fragments = instance(source, _module(source)) != "interaction"
    if matched not in (("cluster", "particle") if fragments else ("group", "particle")):
        raise Unfit(
            f"a node is compared with its own true {'fragment' if fragments else 'particle'}, not with its {matched}; "
            f"nearest that works: match_target {'cluster' if fragments else 'group'}"
        )
    return value


def _same_end(value: bool, source: Source) -> str:
    return "nearest" if value else "origin"


_CE = Only(("ce",), "the loss is cross-entropy")
_SHARED: dict[str, Rule] = {
    "min_purity": Maps("{}:loss.min_purity", _quality, "of all losses"),
    "min_efficiency": Maps("{}:loss.min_efficiency", _quality, "of all losses"),
    "min_iou": Refuses("nodes are chosen by purity and efficiency; nearest that works: null"),
    "match_target": Drops("read with min_purity and min_efficiency"),
}


def _classes(head: str) -> dict[str, Rule]:
    return {
        "target": _target(head),
        "loss": _CE,
        "balance_loss": Maps(f"{{}}:loss.{head}.balance"),
        "weights": Refuses("classes weigh the same or as often as they come: balance_loss; nearest that works: null"),
        "use_closest": Maps(f"{{}}:loss.{head}.closest", _closest(head)),
        "secondary_label": Drops("read with use_closest"),
    }


_PRIMARY: dict[str, Rule] = {
    "{name, provider}": _named("primary"),
    **_classes("primary"),
    "high_purity": Maps("{}:loss.primary.high_purity"),
    "use_group_pred": Maps("{}:loss.primary.predicted_groups"),
    **_SHARED,
}
_BY_HEAD: dict[str, dict[str, Rule]] = {
    "primary": _PRIMARY,
    "type": {"{name, provider}": _named("pid"), **_classes("pid"), **_SHARED},
    "orient": {"{name, provider}": _named("orientation"), "loss": _CE, **_SHARED},
    "momentum": {
        "{name, provider}": _named("momentum"),
        "target": _target("momentum"),
        "loss": Only(("berhu",), "the loss is the reverse Huber loss, with 0.2"),
        "quality_target": Drops("one number of min_purity for all classes"),
        "quality_num_classes": Drops("one number of min_purity for all classes"),
        **_SHARED,
    },
    "vertex": {
        "{name, provider}": _named("vertex"),
        "balance_primary_loss": Only((False,), "both answers weigh as often as they come"),
        "primary_loss": _CE,
        "regression_loss": Only(("mse", "l2"), "the loss of the position is its squared distance"),
        "only_contained": Maps("{}:loss.vertex.contained"),
        "normalize_positions": Maps("{}:model.vertex_normalise"),
        "use_anchor_points": Maps("{}:model.vertex_anchor", _same_end, "true is nearest, false origin"),
        "return_vertex_labels": Drops("they are targets of a batch"),
        **_SHARED,
    },
}
assert set(_BY_HEAD) == set(HEADS)

_EDGE: dict[str, Rule] = {
    "{name, provider}": Only(("channel",), "the loss is that of edges"),
    "target": Checked(_edge_target, "what the instance puts together"),
    "mode": Maps("{}:loss.edge.target", says="group, forest, particle_forest"),
    "loss": _CE,
    "balance_loss": Maps("{}:loss.edge.balance"),
    "high_purity": Maps("{}:loss.edge.high_purity"),
    **_SHARED,
}

GRAPPA_LOSS: Mapping[str, Rule] = {
    **{f"{_PREFIX}.node_loss.{key}": rule for key, rule in _PRIMARY.items()},
    **{f"{_PREFIX}.node_loss.{head}.{key}": rule for head, rules in _BY_HEAD.items() for key, rule in rules.items()},
    **{f"{_PREFIX}.edge_loss.{key}": rule for key, rule in _EDGE.items()},
    f"{_PREFIX}.global_loss": Refuses("a graph as a whole has no answers; nearest that works: null"),
    f"{_PREFIX}.return_targets": Drops("they are targets of a batch"),
}
