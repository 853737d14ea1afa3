"""SPINE's joint U-ResNet and PPN (``uresnet_ppn``): the keys of its modules ``ppn`` and ``ppn_loss``."""

from __future__ import annotations

from collections.abc import Mapping

from weft.config.dialects.rules import Drops, Maps, Only, Refuses, Rule, Source, Unfit
from weft.config.dialects.spine_uresnet import JOINT, is_joint, name_of

#: Where the blocks stand: beside the U-ResNet, and in the full chain.
_PPNS = ("model.modules", "model.modules.uresnet_ppn")
_LOSSES = ("model.modules", "model.modules.uresnet_ppn_loss")
_POWERS = {"const": 1.0, "sqrt": 0.5}


def _balance(prefix: str, kind: str) -> dict[str, Rule]:
    """``balance_<kind>_loss`` and ``<kind>_weighting_mode`` are one power of the balanced weights."""

    def power(value: bool, source: Source) -> float:
        mode = source.beside(f"{kind}_weighting_mode", default="const")
        if value and mode not in _POWERS:
            raise Unfit(f"{kind}_weighting_mode '{mode}' can give weights below zero; nearest that work: sqrt, const")
        return _POWERS[mode] if value else 0.0

    def mode_alone(value: str, source: Source) -> float | None:
        given = source.beside(f"balance_{kind}_loss")
        return power(True, source) if given is None else None

    ours = {"mask": "loss.balance_mask", "type": "loss.balance_class"}[kind]
    return {
        f"{prefix}.balance_{kind}_loss": Maps(ours, power, "false is 0, true 1, with the mode sqrt 0.5"),
        f"{prefix}.{kind}_weighting_mode": Maps(ours, mode_alone, f"read with balance_{kind}_loss"),
    }


def _network(prefix: str) -> dict[str, Rule]:
    return {
        f"{prefix}.mask_score_threshold": Maps("model.mask_score_threshold"),
        f"{prefix}.classify_endpoints": Maps("model.ends"),
        f"{prefix}.propagate_all": Maps("model.propagate_all"),
        f"{prefix}.use_binary_mask": Maps("model.use_binary_mask"),
        f"{prefix}.use_true_ghost_mask": Only((False,), "ghost points are not masked"),
        f"{prefix}.weight_path": Refuses("give the weights of both modules; nearest that works: model.weight_path"),
        f"{prefix}.model_name": Drops("weft import-weights finds the module in the file, or takes it by --module"),
        f"{prefix}.freeze_weights": Only((False,), "the PPN is what is trained"),
    }


def _loss(prefix: str) -> dict[str, Rule]:
    return {
        f"{prefix}.mask_loss": Only(("CE", "ce"), "the loss of the scores is cross-entropy"),
        f"{prefix}.resolution": Maps("loss.radius", says="voxels"),
        f"{prefix}.restrict_to_clusters": Maps("loss.same_particle"),
        f"{prefix}.point_classes": Refuses("points of all classes are learned; nearest that works: null"),
        **_balance(prefix, "mask"),
        **_balance(prefix, "type"),
        f"{prefix}.mask_loss_weight": Maps("loss.mask_weight"),
        f"{prefix}.type_loss_weight": Maps("loss.class_weight"),
        f"{prefix}.reg_loss_weight": Maps("loss.position_weight"),
        f"{prefix}.endpoint_loss_weight": Maps("loss.end_weight"),
        f"{prefix}.return_mask_labels": Drops("they are targets of a batch"),
    }


_VERTEX = Refuses("there is no proposal of vertices; nearest that works: null")

POINTS: Mapping[str, Rule] = {
    key: rule
    for ppn, loss in zip(_PPNS, _LOSSES, strict=True)
    for key, rule in {
        **_network(f"{ppn}.ppn"),
        f"{ppn}.proposal_decoder": Drops("there is no vertex proposal to share the decoder with"),
        f"{ppn}.vertex": _VERTEX,
        **_loss(f"{loss}.ppn_loss"),
        f"{loss}.vertex_loss": _VERTEX,
        f"{loss}.loss_balancing": Only(("sum",), "terms of the loss are added with their weights"),
    }.items()
}


def check(source: Source) -> None:
    """Raise Unfit for a PPN in a model that does not train it."""
    if any(source.get(f"model.modules.{key}") is not None for key in ("ppn", "ppn_loss")) and not is_joint(source):
        raise Unfit(f"model.modules.ppn: model.name is '{name_of(source)}'; nearest that works: {JOINT[0]}")
