"""Files of simulated events."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from weft.io.atomic import atomic_path
from weft.io.provenance import collect
from weft.io.root_planes import write_images, write_rows, write_status
from weft.io.root_write import RootWriter, meta_columns
from weft.simulation.event import SimulatedEvent, simulate_event
from weft.simulation.settings import SimulationSettings
from weft.simulation.stack import PROCESSES
from weft.simulation.wires import channel_status, plane_metas
from weft.simulation.workers import RUN, in_order, require_possible

#: Events per basket of the file and per task of a worker: memory stays at that of a few hundred events.
_CHUNK = 50


def simulate_file(
    settings: SimulationSettings,
    seed: int,
    first: int,
    count: int,
    path: str | os.PathLike[str],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write events first … first+count−1 of a sample to a ROOT file, whole or not at all.

    The content is a function of (settings, seed, first, count), whatever the number of processes. Run is 1, subrun
    the seed, event the number of the event: samples of different seeds are different events.

    Args:
        path: of the file; its folder is made.
        processes: how many simulate at once.
        progress: called with the number of events done so far, and `count`.

    Raises:
        SimulationError: an impossible number.
    """
    require_possible(seed, first, count, processes)
    codes = {str(code): name for code, name in PROCESSES.items()}
    texts = {
        "weft_codes": {f"_part_v.{c}": codes for c in ("_process", "_parent_process", "_ancestor_process")},
        "weft_provenance": collect(settings, seed, first=first, count=count),
    }
    runs = [range(start, min(start + _CHUNK, first + count)) for start in range(first, first + count, _CHUNK)]
    done = 0
    with (
        atomic_path(path) as temporary,
        RootWriter(temporary, texts) as writer,
        closing(in_order(partial(_simulate_run, settings, seed), runs, processes)) as simulated,
    ):
        for events in simulated:
            write_events(writer, events, settings, seed)
            done += len(events)
            if progress is not None:
                progress(done, count)
    return Path(path)


def _simulate_run(settings: SimulationSettings, seed: int, run: range) -> list[SimulatedEvent]:
    return [without_history(simulate_event(settings, seed, index)) for index in run]


def without_history(event: SimulatedEvent) -> SimulatedEvent:
    """The event without its tracks and deposits, which the file does not hold and processes need not send."""
    moved, labels = event.transported, event.labels
    moved = moved._replace(tracks=moved.tracks[:0], deposits=moved.deposits[:0])
    return replace(event, transported=moved, labels=labels._replace(of_deposit=labels.of_deposit[:0]))


def write_events(writer: RootWriter, events: Sequence[SimulatedEvent], settings: SimulationSettings, seed: int) -> None:
    """Append events to the four trees of a file, and to those of the wire planes if there are any."""
    n = len(events)
    identity = {
        "_run": np.full(n, RUN, np.uint64),
        "_subrun": np.full(n, seed, np.uint64),
        "_event": np.array([e.index for e in events], np.uint64),
    }
    boxed = identity | meta_columns(settings.box.meta(), n)

    def end_to_end(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)

    def counts(arrays: list[np.ndarray]) -> np.ndarray:
        return np.array([len(a) for a in arrays])

    ids = [e.voxel_id for e in events]
    for tree, values in (
        ("sparse3d_pcluster_tree", [e.voxel_value for e in events]),
        ("sparse3d_pcluster_semantics_tree", [e.semantics for e in events]),
    ):
        members = {"._id": end_to_end(ids), "._value": end_to_end(values)}
        writer.extend(tree, boxed, {"_voxel_v": (counts(ids), members)})

    ids, sizes = [e.cluster_id for e in events], [e.cluster_size.astype(np.int32) for e in events]
    members = {"._id": end_to_end(ids), "._value": end_to_end([e.cluster_value for e in events])}
    writer.extend(
        "cluster3d_pcluster_tree",
        boxed,
        {"_voxel_v": (counts(ids), members), "_voxel_v._n": (counts(sizes), {"": end_to_end(sizes)})},
    )
    members = {f".{name}": end_to_end([e.particles[name] for e in events]) for name in events[0].particles}
    writer.extend("particle_pcluster_tree", identity, {"_part_v": (counts(sizes), members)})

    if settings.wires is not None:
        planes = [e.wires for e in events if e.wires is not None]
        write_images(writer, "image2d_wire_tree", identity, plane_metas(settings.wires), [p.pixels for p in planes])
        write_status(writer, "chstatus_wire_tree", identity, channel_status(settings.wires))
        write_rows(writer, "wire_deposits_tree", identity, "_deposit_v", [p.deposits for p in planes])
