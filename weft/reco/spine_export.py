"""Reconstructed and true objects of event stores as one file of SPINE's (:mod:`weft.io.spine_hdf5`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.provenance import collect
from weft.io.reco_objects import RECO_PARTICLE_POINTS, RECONSTRUCTED
from weft.io.spine_hdf5 import Layout, Objects, Rows, SpineWriter
from weft.io.store import EventStore
from weft.reco import spine_objects as fields
from weft.reco.objects import Reconstruction, match_events, reconstructed
from weft.reco.positions import to_cm
from weft.reco.true_objects import true_objects

_VOXELS = ("meta", "voxels", "charge")
_TRUTH = (*_VOXELS, "semantics", "clusters", "particles")

_ALWAYS: dict[str, Layout] = {
    "index": Rows("i8", scalar=True),
    "run_info": Objects("RunInfo", {"run": "i8", "subrun": "i8", "event": "i8"}, scalar=True),
    "meta": Objects("ImageMeta3D", {"lower": "3f4", "upper": "3f4", "size": "3f4", "count": "3i8"}, scalar=True),
    "points": Rows("f4", 3),
    "depositions": Rows("f4"),
}
_RECO: dict[str, Layout] = {
    "reco_fragments": fields.RECO_FRAGMENTS,
    "reco_particles": fields.RECO_PARTICLES,
    "reco_interactions": fields.RECO_INTERACTIONS,
}
_TRUE: dict[str, Layout] = {
    "points_label": Rows("f4", 3),
    "depositions_label": Rows("f4"),
    "truth_particles": fields.TRUTH_PARTICLES,
    "truth_interactions": fields.TRUTH_INTERACTIONS,
}


def export_spine(
    stores: str | Path | Mapping[str, str | Path],
    target: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write what stores of the same events hold as SPINE's HDF5; it appears only when all went well.

    Args:
        stores: a store, or alias → store. One has `meta`, `voxels` and `charge`. With `reco_particles` and its like
            there are reconstructed objects in the file, with `particles`, `clusters` and `semantics` true ones; with
            both, they are matched by the intersection of their voxels over the union.
        target: the file.
        progress: called with the events written so far, and how many there are.

    Returns:
        The names of the products written.

    Raises:
        WeftError: stores without voxels, with neither kind of objects, or with a part of the reconstruction.
    """
    with EventStore.open(stores) as store:
        where = ", ".join(str(file.path) for file in store.files.values())
        names = _names(store, where)
        reco, truth = "reco_particles" in names, "particles" in names
        layouts = {**_ALWAYS, **(_RECO if reco else {}), **(_TRUE if truth else {})}
        hashes = {alias: file.content_hash for alias, file in store.files.items()}
        with SpineWriter(target, layouts, {"weft": collect(inputs=hashes)}) as writer:
            for i in range(len(store)):
                event = {name: store[qualified][i] for name, qualified in names.items()}
                codes = store[names["particles"]].schema.codes["process"] if truth else {}
                writer.append(dict(_products(event, i, store.events[i], reco, truth, codes)))
                if progress is not None:
                    progress(i + 1, len(store))
    return list(layouts)


def _names(store: EventStore, where: str) -> dict[str, str]:
    """What to read, and where it is: names qualified by the file that has the voxels, or the true particles."""
    owner = next((alias for alias, file in store.files.items() if set(_VOXELS) <= set(file.schemas)), None)
    if owner is None:
        raise WeftError(f"{where}: no store has {', '.join(_VOXELS)}: give the store of the events too")
    names = {name: f"{owner}/{name}" for name in _VOXELS}
    found = [schema.name for schema in RECONSTRUCTED if schema.name in store]
    if found and len(found) < len(RECONSTRUCTED):
        missing = sorted({schema.name for schema in RECONSTRUCTED} - set(found))
        raise WeftError(f"{where}: there is {found[0]}, but not {', '.join(missing)}")
    names |= {name: name for name in found}
    if found and RECO_PARTICLE_POINTS.name in store:
        names[RECO_PARTICLE_POINTS.name] = RECO_PARTICLE_POINTS.name
    if set(_TRUTH) <= set(store.files[owner].schemas):
        names |= {name: f"{owner}/{name}" for name in _TRUTH}
    if len(names) == len(_VOXELS):
        raise WeftError(
            f"{where}: neither reconstructed objects (reco_particles and others) "
            "nor true ones (particles, clusters and semantics beside the voxels)"
        )
    return names


def _products(
    event: Mapping[str, Any], number: int, event_id: np.void, reco: bool, truth: bool, processes: Mapping[int, str]
) -> Iterator[tuple[str, Any]]:
    meta = event["meta"]
    yield "index", [number]
    yield "run_info", {name: [event_id[name]] for name in ("run", "subrun", "event")}
    lower, size, count = (np.array([[meta[0][f"{name}{axis}"] for axis in "xyz"]]) for name in ("min_", "size_", "n"))
    yield "meta", {"lower": lower, "upper": lower + size * count, "size": size, "count": count}
    charge = event["charge"][:, 0]
    made = reconstructed(event, event["voxels"], event["charge"], meta) if reco else None
    true = reconstructed(true_objects(event), event["voxels"], event["charge"], meta, truth=True) if truth else None
    points = to_cm(event["voxels"] + 0.5, meta).astype(np.float32)
    yield "points", points
    yield "depositions", charge
    if made is not None and true is not None:
        match_events(made, true)
    if made is not None:
        yield from _reco(made)
    if true is not None:
        yield "points_label", points
        yield "depositions_label", charge
        yield from _true(true, processes)


def _reco(made: Reconstruction) -> Iterator[tuple[str, Any]]:
    tables, matches = made.tables, made.matches
    yield "reco_fragments", fields.fragment_columns(tables["fragments"], tables["fragment_voxels"])
    yield (
        "reco_particles",
        fields.particle_columns(
            tables["particles"],
            tables["particle_voxels"],
            tables["particle_fragments"],
            matches.get("particles"),
            tables.get("particle_points"),
        ),
    )
    yield (
        "reco_interactions",
        fields.interaction_columns(
            tables["interactions"],
            tables["interaction_particles"],
            tables["particles"],
            made.interaction_voxels,
            matches.get("interactions"),
        ),
    )


def _true(true: Reconstruction, processes: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    tables, matches = true.tables, true.matches
    yield (
        "truth_particles",
        fields.true_particle_columns(
            tables["particles"],
            tables["particle_voxels"],
            tables["particle_fragments"],
            matches.get("particles"),
            processes,
        ),
    )
    yield (
        "truth_interactions",
        fields.true_interaction_columns(
            tables["interactions"],
            tables["interaction_particles"],
            tables["particles"],
            true.interaction_voxels,
            matches.get("interactions"),
        ),
    )
