"""Small stores of known events, and the options of a small chain as modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grappa_events

from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, SEMANTICS, VOXELS, EventId
from weft.io.writer import StoreWriter

SCHEMAS = (META, VOXELS, CHARGE, SEMANTICS, CLUSTERS, PARTICLES)
TINY = {"filters": 2, "depth": 2, "reps": 1}
STILL = {"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0}
GRAPH = {"width": 4, "rounds": 1, "depth": 1}


def write_events(path: Path, events: Sequence[grappa_events.Event]) -> Path:
    with StoreWriter(path, SCHEMAS) as writer:
        for i, event in enumerate(events):
            writer.append(EventId(0, 0, i, 100 + i), {schema.name: event[schema.name] for schema in SCHEMAS})
    return path


def events(number: int, first: int = 0) -> list[grappa_events.Event]:
    """Two interactions in each, but for the second, which is empty, and the third, which is one shower."""
    made = [grappa_events.two_interactions(first + k) for k in range(number)]
    made[1:3] = [grappa_events.nothing(), grappa_events.one_shower()][: len(made[1:3])]
    return made


def modules(*names: str, **changes: Mapping[str, Any]) -> dict[str, Any]:
    """Options of these modules of a chain; changes: by module, over each of its blocks."""
    spatial = {**TINY, "spatial_size": 128, "input_kernel": 3}
    known: dict[str, dict[str, Any]] = {
        "points": {"task": "points", "model": {**TINY, "semantic": True}},
        "graph_spice": {"task": "graph_spice", "model": {**spatial, "clustering": {"edge_threshold": 0.9}}},
        "spice": {"task": "spice", "model": spatial},
        "fragments": {"task": "fragments"},
        "shower": {
            "task": "grappa",
            "model": {"instance": "shower", "classes": [0, 1, 2, 3], "graph": {"max_length": 500}, **GRAPH},
            "loss": {"edge": {"high_purity": False}, "primary": {"high_purity": False}},
        },
        "candidates": {"task": "candidates", "model": {"groups": ["shower"]}},
        "interaction": {
            "task": "grappa",
            "model": {"instance": "interaction", "graph": {"max_length": 500}, **GRAPH},
        },
    }
    chosen = {}
    for name in names:
        module = dict(known[name])
        if module["task"] == "grappa":
            module["data"] = {"order": "given"}  # else it is drawn which end of a track is shown first
        for block, value in changes.get(name, {}).items():
            both = isinstance(value, Mapping) and isinstance(module.get(block), Mapping)
            module[block] = {**module[block], **value} if both else value
        chosen[name] = module
    return chosen


def options(*names: str, **changes: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": {"modules": modules(*names, **changes)}, "data": STILL}
