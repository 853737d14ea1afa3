"""SPINE's U-ResNet: the keys of its module ``uresnet``, and of the trunk that its other networks have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Convert, Drops, Maps, Noted, Only, Refuses, Rule, Several, Source, Unfit

#: Where the block of the U-ResNet stands: by itself, with a PPN beside it, and in the full chain.
UNETS = ("model.modules.uresnet", "model.modules.uresnet_ppn.uresnet")
LOSSES = ("model.modules.uresnet_loss", "model.modules.uresnet_ppn_loss.uresnet_loss")
#: Names of the model that trains both.
JOINT = ("uresnet_ppn", "uresnet_ppn_chain")
CHAIN = "model.modules.chain"

#: What a trunk has when its block does not say.
TRUNK_DEFAULTS = {
    "model.input_kernel": (3, "SPINE's default"),
    "model.leak": (0.01, "SPINE's default"),
    "model.norm_eps": (1e-5, "SPINE's default"),
    "model.norm_momentum": (0.1, "SPINE's default"),
}
_MODULE = "weft import-weights finds the module in the file, or takes it by --module"


def is_joint(source: Source) -> bool:
    """Whether the file trains a PPN with its U-ResNet."""
    in_chain = name_of(source) == "full_chain" and source.get("model.modules.uresnet_ppn") is not None
    return in_chain or name_of(source) in JOINT


def name_of(source: Source) -> str:
    return str(source.get("model.name", "model.provider", default=""))


def only(block: Mapping[str, Any], known: set[str], key: str) -> None:
    """Raise Unfit for a key of a block that is not one of ``known``."""
    for name in block:
        if name not in known:
            raise Unfit(f"unknown key '{key}.{name}'; known here: {', '.join(sorted(known))}")


def named(value: Any) -> tuple[str | None, Mapping[str, Any]]:
    """The name of what may be given as a name or as a block with one, and the block."""
    block: Mapping[str, Any] = {"name": value} if isinstance(value, str) else value
    return block.get("name", block.get("provider")), block


def leak(value: Any, source: Source) -> float:
    """The slope of a ReLU, leaky or not."""
    name, block = named(value)
    if name == "relu":
        return 0.0
    if name != "lrelu":
        raise Unfit(f"the network has leaky ReLUs, not '{name}'; nearest that work: lrelu, relu")
    only(block, {"name", "provider", "negative_slope", "inplace"}, "activation")
    return block.get("negative_slope", 0.01)


def _norm(part: str) -> Convert:
    def convert(value: Any, source: Source) -> Several:
        name, block = named(value)
        if name != "batch_norm":
            raise Unfit(f"the network has batch norms, not '{name}'; nearest that works: batch_norm")
        only(block, {"name", "provider", "eps", "momentum"}, "norm_layer")
        found = {"norm_eps": block.get("eps", 1e-5), "norm_momentum": block.get("momentum", 0.1)}
        return Several({f"{part}model.{key}": number for key, number in found.items()})

    return convert


def unet(prefix: str, part: str) -> dict[str, Rule]:
    """Rules of a block that builds a U-ResNet; part: of the chain that it belongs to, with a colon, or nothing."""
    return {
        **{f"{prefix}.{key}": Maps(f"{part}model.{key}") for key in ("filters", "depth", "reps", "input_kernel")},
        f"{prefix}.data_dim": Only((3,), "voxels have three coordinates"),
        f"{prefix}.allow_bias": Only((False,), "convolutions have no bias: a norm follows each"),
        f"{prefix}.activation": Maps(f"{part}model.leak", leak, "lrelu's negative_slope; 0 for relu"),
        f"{prefix}.norm_layer": Maps(f"{part}model.norm_eps, model.norm_momentum", _norm(part), "batch_norm"),
        f"{prefix}.lattice": Refuses("a random phase of the strided grid is data.shift; nearest that works: null"),
    }


def weights(value: str, source: Source) -> Noted:
    return Noted(value, "weft import-weights first, and its result here")


def own_weights(prefix: str, part: str) -> dict[str, Rule]:
    """Rules of the keys by which a module starts from weights of its own, and is held fixed."""
    return {
        f"{prefix}.weight_path": Maps(f"{part}init", weights, "after weft import-weights"),
        f"{prefix}.model_name": Drops(_MODULE),
        f"{prefix}.freeze_weights": Only((False,), "a stage whose whole network is frozen has nothing to train"),
    }


def _freeze(value: bool, source: Source) -> list[str] | None:
    """``freeze_weights`` of the U-ResNet, with a PPN that is trained."""
    if not value:
        return None
    if not is_joint(source):
        raise Unfit("with its only network frozen there is nothing to train; nearest that works: false")
    return ["trunk", "head"]


def _module_weights(value: str, source: Source) -> Noted:
    """Weights of the U-ResNet alone: in a joint training of two of its modules."""
    start: Any = {"trunk": value, "head": value} if is_joint(source) else value
    return Noted(start, "weft import-weights first, and its result here")


def alone(value: Any, source: Source) -> Any:
    """A key of the U-ResNet that a joint training has no counterpart of: nothing where it is off, else refused."""
    if not is_joint(source):
        return value
    if value:
        raise Unfit("a joint training with a PPN cannot do this; nearest that works: false")
    return None


def _alone_number(value: float, source: Source) -> float | None:
    """A number that only says how much of what a joint training does not do."""
    return None if is_joint(source) else value


def _balance(value: bool, source: Source) -> float | None:
    kept = alone(value, source)
    return None if kept is None else float(kept)


def _network(prefix: str) -> dict[str, Rule]:
    return {
        f"{prefix}.num_input": Only((1,), "the network reads the charge"),
        **unet(prefix, ""),
        f"{prefix}.num_classes": Only((5,), "shower, track, Michel, delta, low-energy; ghosts by model.ghost"),
        f"{prefix}.spatial_size": Drops("the network does not depend on it"),
        f"{prefix}.ghost": Maps("model.ghost", alone),
        f"{prefix}.weight_path": Maps("init", _module_weights, "after weft import-weights"),
        f"{prefix}.model_name": Drops(_MODULE),
        f"{prefix}.freeze_weights": Maps("freeze", _freeze, "with a PPN: trunk and head"),
    }


def _loss(prefix: str) -> dict[str, Rule]:
    return {
        f"{prefix}.loss": Only(("ce",), "the loss is cross-entropy"),
        f"{prefix}.ghost_label": Only((-1,), "ghosts are told apart by model.ghost, in a head of their own"),
        f"{prefix}.alpha": Maps("loss.semantic_weight"),
        f"{prefix}.beta": Maps("loss.ghost_weight", _alone_number),
        f"{prefix}.balance_loss": Maps("loss.balance", _balance, "true is 1, false 0"),
        f"{prefix}.upweight_points": Maps("loss.upweight_points", alone),
        f"{prefix}.upweight_radius": Maps("loss.point_radius", _alone_number, "voxels"),
    }


URESNET: Mapping[str, Rule] = {
    **_network(UNETS[0]),
    **_loss(LOSSES[0]),
    **_network(UNETS[1]),
    **_loss(LOSSES[1]),
}
