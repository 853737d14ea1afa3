"""Where a configuration of SPINE may say the same in two ways, the one that the tables know."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from weft.config.dialects.rules import Unfit
from weft.config.dialects.spine_build import canonical


def tidy(document: dict[str, Any]) -> dict[str, Any]:
    """The chain's ordered list of stages as the older table of modes, and lists of post-processors as blocks."""
    document = deepcopy(document)
    modules = (document.get("model") or {}).get("modules") or {}
    chain = modules.get("chain")
    if isinstance(chain, dict) and "stages" in chain:
        modules["chain"] = {
            **{key: value for key, value in chain.items() if key != "stages"},
            **_modes(chain["stages"]),
        }
    post = document.get("post")
    if isinstance(post, dict):
        document["post"] = _processors(post)
    return document


def _modes(stages: Any) -> dict[str, Any]:
    """The modes of a list of stages; the blocks that a stage uses have names of their own there anyway."""
    known = {
        "segmentation": {"mode": "segmentation", "point_proposal": "point_proposal", "adapt_labels": "adapt_labels"},
        "fragmentation": {"mode": "fragmentation"},
        "particle_aggregation": {
            key: key for key in ("shower_aggregation", "shower_primary", "track_aggregation", "particle_aggregation")
        },
        "interaction_aggregation": {"mode": "inter_aggregation"},
        "interaction_vertexing": {"mode": "vertexing"},
        "deghost": {"mode": "deghosting", "charge_rescaling": "charge_rescaling"},
        "calibration": {"mode": "calibration"},
    }
    tasks = {
        "type": "particle_identification",
        "primary": "primary_identification",
        "orient": "orientation_identification",
    }
    found: dict[str, Any] = {}
    for stage in stages:
        name = stage.get("name")
        provider = stage.get("provider", name)
        if provider not in known:
            raise Unfit(
                f"chain.stages.{name}: no stage here does what {provider} does; those that do: {', '.join(known)}"
            )
        config = {
            key: value for key, value in stage.items() if key not in ("name", "provider", "uses", "loss", "config")
        }
        config |= stage.get("config") or {}
        given = {
            known[provider].get(key, f"{name}.{key}"): value for key, value in config.items() if key != "task_modes"
        }
        given |= {tasks.get(key, f"{name}.task_modes.{key}"): v for key, v in (config.get("task_modes") or {}).items()}
        _require_own_losses(name, stage.get("loss"))
        if twice := sorted(set(given) & set(found)):
            raise Unfit(f"chain.stages.{name}: {twice[0]} is said twice")
        found |= given
    return found


def _require_own_losses(stage: str, given: Any) -> None:
    """The loss of a module is the block of its name."""
    for name in given.values() if isinstance(given, Mapping) else [given] if given else []:
        if not str(name).endswith("_loss"):
            raise Unfit(f"chain.stages.{stage}.loss: '{name}' is not named after its module; nearest: <module>_loss")


def _processors(post: Mapping[str, Any]) -> dict[str, Any]:
    """Post-processors by name; of a list of stages, and of blocks that name their processor themselves."""
    found: dict[str, Any] = {}
    blocks = [(stage.get("name"), stage) for stage in post["stages"]] if "stages" in post else list(post.items())
    for key, block in blocks:
        block = dict(block or {})
        name = block.pop("provider", None) or (block.pop("name", None) if "stages" not in post else None) or key
        block.pop("name", None)
        block |= block.pop("config", None) or {}
        name = canonical(name)
        if name in found:
            raise Unfit(f"post: {name} comes twice, with values of its own each time; nearest that works: once")
        found[name] = block
    return found
