"""SPINE's joint U-ResNet and PPN (``uresnet_ppn``): the keys of its modules ``ppn`` and ``ppn_loss``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Drops, Maps, Only, Refuses, Rule, Several, Source, Unfit

_PPN, _LOSS = "model.modules.ppn", "model.modules.ppn_loss"
#: Names of the model that trains both.
JOINT = ("uresnet_ppn", "uresnet_ppn_chain")
_POWERS = {"const": 1.0, "sqrt": 0.5}


def is_joint(source: Source) -> bool:
    """Whether the file trains a PPN with its U-ResNet."""
    return source.get("model.name", "model.provider") in JOINT


def task(value: str, source: Source) -> Several | None:
    """The stage of a joint training; nothing for a U-ResNet alone, which is what the stage is otherwise."""
    if not is_joint(source):
        return None
    products = ["voxels", "charge", "meta", "semantics", "particles"]
    if source.get(f"{_LOSS}.restrict_to_clusters"):
        products.append("clusters")
    return Several({"task": "points", "needs.truth": products, "model.semantic": True, "model.points.anchor": "corner"})


def freeze(value: bool, source: Source) -> list[str] | None:
    """``freeze_weights`` of the U-ResNet, with a PPN that is trained."""
    if not value:
        return None
    if not is_joint(source):
        raise Unfit("with its only network frozen there is nothing to train; nearest that works: false")
    return ["trunk", "head"]


def _balance(kind: str) -> dict[str, Rule]:
    """``balance_<kind>_loss`` and ``<kind>_weighting_mode`` are one power of the balanced weights."""

    def power(value: bool, source: Source) -> float:
        mode = source.get(f"{_LOSS}.{kind}_weighting_mode", default="const")
        if value and mode not in _POWERS:
            raise Unfit(f"{kind}_weighting_mode '{mode}' can give weights below zero; nearest that work: sqrt, const")
        return _POWERS[mode] if value else 0.0

    def mode_alone(value: str, source: Source) -> float | None:
        given = source.get(f"{_LOSS}.balance_{kind}_loss")
        return power(True, source) if given is None else None

    ours = {"mask": "loss.balance_mask", "type": "loss.balance_class"}[kind]
    return {
        f"{_LOSS}.balance_{kind}_loss": Maps(ours, power, "false is 0, true 1, with the mode sqrt 0.5"),
        f"{_LOSS}.{kind}_weighting_mode": Maps(ours, mode_alone, f"read with balance_{kind}_loss"),
    }


POINTS: Mapping[str, Rule] = {
    f"{_PPN}.mask_score_threshold": Maps("model.mask_score_threshold"),
    f"{_PPN}.classify_endpoints": Maps("model.ends"),
    f"{_PPN}.propagate_all": Maps("model.propagate_all"),
    f"{_PPN}.use_binary_mask": Maps("model.use_binary_mask"),
    f"{_PPN}.use_true_ghost_mask": Only((False,), "ghost points are not masked"),
    f"{_PPN}.weight_path": Refuses("give the weights of both modules; nearest that works: model.weight_path"),
    f"{_PPN}.model_name": Drops("weft import-weights finds the module in the file, or takes it by --module"),
    f"{_PPN}.freeze_weights": Only((False,), "the PPN is what is trained"),
    f"{_LOSS}.mask_loss": Only(("CE",), "the loss of the scores is cross-entropy"),
    f"{_LOSS}.resolution": Maps("loss.radius", says="voxels"),
    f"{_LOSS}.restrict_to_clusters": Maps("loss.same_particle"),
    f"{_LOSS}.point_classes": Refuses("points of all classes are learned; nearest that works: null"),
    **_balance("mask"),
    **_balance("type"),
    f"{_LOSS}.mask_loss_weight": Maps("loss.mask_weight"),
    f"{_LOSS}.type_loss_weight": Maps("loss.class_weight"),
    f"{_LOSS}.reg_loss_weight": Maps("loss.position_weight"),
    f"{_LOSS}.endpoint_loss_weight": Maps("loss.end_weight"),
    f"{_LOSS}.return_mask_labels": Drops("they are targets of a batch"),
    "model.modules.proposal_decoder": Drops("there is no vertex proposal to share the decoder with"),
    "model.modules.loss_balancing": Only(("sum",), "terms of the loss are added with their weights"),
}


def check(source: Source) -> None:
    """Raise Unfit for a PPN in a model that does not train it."""
    if any(source.get(key) is not None for key in (_PPN, _LOSS)) and not is_joint(source):
        raise Unfit(f"{_PPN}: model.name is '{source.get('model.name')}'; nearest that works: {JOINT[0]}")


def alone(value: Any, source: Source) -> Any:
    """A key of the U-ResNet that a joint training has no counterpart of: nothing where it is off, else refused."""
    if not is_joint(source):
        return value
    if value:
        raise Unfit("a joint training with a PPN cannot do this; nearest that works: false")
    return None


def alone_number(value: float, source: Source) -> float | None:
    """A number that only says how much of what a joint training does not do."""
    return None if is_joint(source) else value
