"""The block ``chain`` of SPINE's full chain, and the weights of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Drops, Maps, Noted, Only, Refuses, Rule, Several, Source, Unfit
from weft.config.dialects.spine_uresnet import CHAIN, name_of, named

_BALANCED = {
    "segmentation": ("uresnet",),
    "fragmentation": ("spice", "graph_spice"),
    "particle_aggregation": ("shower", "track", "particle"),
    "interaction_aggregation": ("interaction",),
}


def _balancing(value: Any, source: Source) -> Any:
    """Weights of the stages of a chain that is trained together."""
    name, block = named(value)
    weights = block.get("weights") or {}
    if name == "sum" and not weights:
        return Noted(None, "terms of the loss are added with their weights")
    if name not in ("sum", "fixed") or name_of(source) != "full_chain":
        raise Unfit("terms of the loss are added with their weights; nearest that works: sum")
    for stage in weights:
        if stage not in _BALANCED:
            raise Unfit(f"weights.{stage}: no such stage; nearest that work: {', '.join(_BALANCED)}")
    return Several({f"{part}:weight": weight for stage, weight in weights.items() for part in _BALANCED[stage]})


_STAGES = Drops("says which stages there are, and what each of them reads")
_MODE_KEYS = (
    *("segmentation", "point_proposal", "fragmentation", "shower_aggregation", "shower_primary"),
    *("track_aggregation", "particle_aggregation", "inter_aggregation", "vertexing"),
)
CHAIN_TABLE: Mapping[str, Rule] = {
    "model.modules.loss_balancing": Maps("uresnet:weight", _balancing, "fixed: weights of stages trained together"),
    **{f"{CHAIN}.{key}": _STAGES for key in _MODE_KEYS},
    f"{CHAIN}.adapt_labels": Drops("labels are those of the majority of voxels"),
    f"{CHAIN}.inputs": Refuses("a chain starts from charge; nearest that works: null"),
    f"{CHAIN}.deghosting": Refuses("ghost points are told apart by model.ghost of a U-ResNet alone; nearest: null"),
    f"{CHAIN}.charge_rescaling": Refuses("charge is taken as it is; nearest that works: null"),
    f"{CHAIN}.store_charge_info": Only((False,), "charge is taken as it is"),
    f"{CHAIN}.calibration": Refuses("charge is taken as it is; nearest that works: null"),
    **{
        f"{CHAIN}.{key}_identification": Only(("grappa", None), "what particles are is said by the interaction stage")
        for key in ("particle", "primary", "orientation")
    },
}
