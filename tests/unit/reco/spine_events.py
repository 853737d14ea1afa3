"""A store of simulated events, and a reconstruction of them that differs from the truth in a known way."""

from pathlib import Path

import numpy as np

from weft.io.convert import convert_file
from weft.io.products import EventId, Ragged
from weft.io.reco_objects import RECONSTRUCTED
from weft.io.store import EventStore, StoreWriter
from weft.reco.true_objects import true_objects
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings


def write_stores(folder: Path, events: int = 2) -> dict[str, Path]:
    """Stores `truth` and `reco` of a few events of 64³ voxels, and a last one without any voxel."""
    settings = SimulationSettings.model_validate({"box": {"voxels": 64}})
    convert_file(simulate_file(settings, 7, 0, events, folder / "s.root"), folder / "converted.h5")
    with EventStore.open(folder / "converted.h5") as converted:
        schemas = list(converted.products.values())
        read = [{name: converted[name][i] for name in converted.products} for i in range(events)]
        read.append({schema.name: _nothing(schema) for schema in schemas} | {"meta": read[0]["meta"]})
        ids = [EventId(*row.tolist()) for row in converted.events] + [EventId(9, 9, 9, 9)]
    with StoreWriter(folder / "truth.h5", schemas, provenance={}) as writer:
        for event_id, event in zip(ids, read, strict=True):
            writer.append(event_id, event)
    parents = {"truth": str(writer.content_hash)}
    with StoreWriter(folder / "reco.h5", RECONSTRUCTED, provenance={}, parents=parents) as writer:
        for event_id, event in zip(ids, read, strict=True):
            writer.append(event_id, reconstruction(event))
    return {"truth": folder / "truth.h5", "reco": folder / "reco.h5"}


def _nothing(schema):
    return Ragged(schema.empty(), np.zeros(1, np.int64)) if schema.kind == "list" else schema.empty()


def reconstruction(event: dict) -> dict:
    """Perfect, but for the first particle of two voxels or more, which has lost its last voxel."""
    true = true_objects(event)
    made = {}
    for schema in RECONSTRUCTED:
        value = true[schema.name.replace("reco_", "true_")]
        if schema.kind == "table":
            table = np.empty(len(value), schema.dtype)
            for name in schema.dtype.names or ():
                table[name] = value[name]
            value = table
        made[schema.name] = value
    voxels = list(made["reco_particle_voxels"])
    large = next((k for k, rows in enumerate(voxels) if len(rows) > 1), None)
    if large is not None:
        lost, voxels[large] = event["charge"][voxels[large][-1], 0], voxels[large][:-1]
        row = made["reco_particles"]["interaction"][large]
        for table, k in ((made["reco_particles"], large), (made["reco_interactions"], row)):
            table["size"][k] -= 1
            table["energy"][k] -= lost
    made["reco_particle_voxels"] = Ragged.of(voxels, np.empty(0, np.int32))
    return made
