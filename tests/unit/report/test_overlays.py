"""What is drawn of an event beside the class of each voxel."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINTS, space_points, triplet_scores
from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, SEMANTICS, VOXELS, EventId, Ragged
from weft.io.reco_objects import RECONSTRUCTED
from weft.io.reco_products import FRAGMENT_VOXELS, FRAGMENTS, POINTS, groups, vertex
from weft.io.store import EventStore
from weft.io.wire_products import TRIPLETS
from weft.io.writer import StoreWriter
from weft.reco.builders import build
from weft.reco.feed import FedStore
from weft.reco.settings import Settings
from weft.report.display import Grid, event_payload
from weft.report.overlays import Layer, _different, _places, alike, layers, markers
from weft.report.show import show_event, store_payload

EVENT = EventId(1, 2, 3, 4)


def truth() -> dict[str, Any]:
    """Three tracks of two voxels each along x, the first two of one interaction; 1 cm voxels from 0."""
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = 1.0, 20
    particles = np.zeros(3, PARTICLES.dtype)
    particles["id"] = particles["group_id"] = particles["trackid"] = np.arange(3)
    particles["interaction_id"] = [5, 5, 6]
    particles["shape"], particles["num_voxels"], particles["energy_deposit"], particles["pdg"] = 1, 2, 1.0, 13
    particles["first_step_x"], particles["last_step_x"] = [0.5, 3.5, 6.5], [1.5, 4.5, 7.5]
    clusters = np.zeros(6, CLUSTERS.dtype)
    clusters["voxel"] = np.arange(6)
    x = np.array([0, 1, 3, 4, 6, 7])
    return {
        "meta": meta,
        "voxels": np.stack([x, 0 * x, 0 * x], axis=1).astype(np.int32),
        "charge": np.ones((6, 1), np.float32),
        "semantics": np.ones((6, 1), np.int8),
        "particles": particles,
        "clusters": Ragged(clusters, np.array([0, 2, 4, 6])),
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The truth; two fragments, the second and third track in one; a grouping of them, points and vertices."""
    paths = {name: tmp_path / f"{name}.h5" for name in ("truth", "pieces", "prediction")}
    with StoreWriter(paths["truth"], [META, VOXELS, CHARGE, SEMANTICS, PARTICLES, CLUSTERS]) as writer:
        writer.append(EVENT, truth())
    parents = {"truth": writer.content_hash}
    pieces = {"fragments": np.zeros(2, FRAGMENTS.dtype)}
    pieces["fragment_voxels"] = Ragged(np.array([2, 3, 4, 5, 0], np.int32), np.array([0, 4, 5]))
    with StoreWriter(paths["pieces"], [FRAGMENTS, FRAGMENT_VOXELS, POINTS], parents=parents) as writer:
        points = np.zeros(1, POINTS.dtype)
        points["x"], points["class"] = 6.25, 1
        writer.append(EVENT, pieces | {"points": points})
    parents["pieces"] = writer.content_hash
    schemas = [groups("track", "fragments"), vertex("track", "fragments")]
    with StoreWriter(paths["prediction"], schemas, parents=parents) as writer:
        said = np.array([[0.9, 1, 2, 3], [0.1, 7, 8, 9]], np.float32)
        writer.append(EVENT, {"track_groups": np.array([[0], [-1]], np.int32), "track_vertex": said})
    return paths


def test_lists_of_voxels_and_groups_of_items_are_layers(files: dict[str, Path]) -> None:
    with EventStore.open(files) as store:
        found = {layer.name: layer for layer in layers(FedStore(store), 0)}
    assert set(found) == {"fragments", "track groups"}
    assert found["fragments"].truth.tolist() == [0, 0, 1, 1, 2, 2]
    # The large piece has the number of one of the two tracks in it, the small one of its track; voxel 1 is in none.
    assert found["fragments"].predicted.tolist() == [0, -1, 1, 1, 1, 1]
    assert found["track groups"].truth.tolist() == [0, 0, 1, 1, 2, 2]
    assert found["track groups"].predicted.tolist() == [-1, -1, 1, 1, 1, 1]


def test_places_are_markers(files: dict[str, Path]) -> None:
    with EventStore.open(files) as store:
        found = {(marked.name, marked.source): marked for marked in markers(FedStore(store), 0)}
    assert set(found) == {("point", "truth"), ("point", "prediction"), ("vertex", "prediction")}
    assert found["point", "prediction"].positions.tolist() == [[6.25, 0, 0]]
    assert found["point", "prediction"].classes.tolist() == [1]
    assert sorted(found["point", "truth"].positions[:, 0].tolist()) == [0.5, 1.5, 3.5, 4.5, 6.5, 7.5]
    assert found["vertex", "prediction"].positions.tolist() == [[1, 2, 3]]  # not the one that nobody believes in


def test_objects_are_drawn_beside_what_they_are_in_truth(files: dict[str, Path], tmp_path: Path) -> None:
    """Of true clusters, so that both sides agree: particles and interactions by their voxels, vertices."""
    with EventStore.open({"truth": files["truth"]}) as store:
        parents = {"truth": store.files["truth"].content_hash}
        made = build(FedStore(store).event(0), Settings())
    with StoreWriter(tmp_path / "reco.h5", RECONSTRUCTED, parents=parents) as writer:
        writer.append(EVENT, made)
    with EventStore.open({"truth": files["truth"], "prediction": tmp_path / "reco.h5"}) as store:
        found = {layer.name: layer for layer in layers(FedStore(store), 0)}
        places = {(marked.name, marked.source): marked.positions for marked in markers(FedStore(store), 0)}
    assert {name: layer.predicted.tolist() for name, layer in found.items()} == {
        "reco particles": [0, 0, 1, 1, 2, 2],
        "reco fragments": [0, 0, 1, 1, 2, 2],
        "reco interactions": [0, 0, 0, 0, 2, 2],
    }
    assert next(iter(found)) == "reco particles"
    assert all(layer.truth.tolist() == layer.predicted.tolist() for layer in found.values())
    assert set(places) == {("vertex", "truth"), ("vertex", "prediction")}
    assert places["vertex", "truth"].tolist() == [[0, 0, 0]]
    assert len(places["vertex", "prediction"]) == 2


def test_what_another_stage_of_a_chain_made_is_drawn_beside_the_same_truth(
    files: dict[str, Path], tmp_path: Path
) -> None:
    table = replace(FRAGMENTS, name="g_spice.fragments")
    voxels = replace(FRAGMENT_VOXELS, name="g_spice.fragment_voxels", items_on="g_spice.fragments")
    made = {table.name: np.zeros(1, table.dtype), voxels.name: Ragged(np.array([4, 5], np.int32), np.array([0, 2]))}
    with EventStore.open(files["truth"]) as store:
        parents = {"truth": store.content_hash}
    with StoreWriter(tmp_path / "chain.h5", [table, voxels], parents=parents) as writer:
        writer.append(EVENT, made)
    with EventStore.open({"truth": files["truth"], "prediction": tmp_path / "chain.h5"}) as store:
        (layer,) = layers(FedStore(store), 0)
    assert layer.name == "fragments of g_spice"
    assert layer.truth is not None
    assert layer.truth.tolist() == [0, 0, 1, 1, 2, 2]
    assert layer.predicted is not None
    assert layer.predicted.tolist() == [-1, -1, -1, -1, 2, 2]


def test_a_store_without_predictions_shows_the_truth(files: dict[str, Path]) -> None:
    with EventStore.open({"truth": files["truth"]}) as store:
        found = {layer.name: layer for layer in layers(FedStore(store), 0)}
    assert {name: layer.truth.tolist() for name, layer in found.items()} == {
        "fragments": [0, 0, 1, 1, 2, 2],
        "candidates": [0, 0, 1, 1, 2, 2],
        "interaction groups": [0, 0, 0, 0, 2, 2],
    }
    assert all(layer.predicted is None for layer in found.values())


def test_items_have_the_numbers_of_those_they_are() -> None:
    true = np.array([0, 0, 0, 1, 1, -1, 2])
    # Item 7 is most of 0, item 3 the rest of it, item 5 is 1, item 9 has no truth.
    predicted = np.array([7, 7, 3, 5, 5, 9, -1])
    assert alike(true, predicted).tolist() == [0, 0, 3, 1, 1, 4, -1]
    assert alike(true[:0], predicted[:0]).tolist() == []
    assert alike(np.full(3, -1), np.array([4, 4, 2])).tolist() == [1, 1, 0]


def test_a_payload_holds_layers_and_markers(files: dict[str, Path], tmp_path: Path) -> None:
    with EventStore.open(files) as store:
        payload = store_payload(store, 0)
    labels = {layer["name"]: layer for layer in payload["layers"]}
    packed = zlib.decompress(base64.b64decode(labels["fragments"]["truth"]), wbits=-15)
    assert np.frombuffer(packed, "<i2").tolist() == [0, 0, 1, 1, 2, 2]
    assert {(marked["kind"], marked["source"]) for marked in payload["markers"]} >= {("vertex", "prediction")}
    assert [layer["name"] for layer in payload["layers"]] == ["track groups", "fragments"]  # what is judged comes first
    assert payload["color"] == "track groups"
    json.dumps(payload)
    show_event({"truth": files["truth"], "pieces": files["pieces"]}, 0, tmp_path / "event.html")
    assert '"name":"fragments"' in (tmp_path / "event.html").read_text()


def test_a_display_starts_with_the_classes_where_these_are_predicted(files: dict[str, Path], tmp_path: Path) -> None:
    with EventStore.open(files["truth"]) as store:
        parents = {"truth": store.content_hash}
    made = {"fragments": np.zeros(1, FRAGMENTS.dtype), "semantics": np.zeros((6, 1), np.int8)}
    made["fragment_voxels"] = Ragged(np.array([4, 5], np.int32), np.array([0, 2]))
    for schemas, start in (
        ((FRAGMENTS, FRAGMENT_VOXELS, SEMANTICS), None),
        ((FRAGMENTS, FRAGMENT_VOXELS), "fragments"),
    ):
        with StoreWriter(tmp_path / "joint.h5", list(schemas), parents=parents) as writer:
            writer.append(EVENT, {schema.name: made[schema.name] for schema in schemas})
        for alias, expected in (("prediction", start), ("pieces", None)):  # judged, or what something was fed
            with EventStore.open({"truth": files["truth"], alias: tmp_path / "joint.h5"}) as store:
                assert store_payload(store, 0).get("color") == expected
    with EventStore.open({"truth": files["truth"]}) as store:
        assert "color" not in store_payload(store, 0)


def test_a_layer_has_a_row_for_each_voxel() -> None:
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (4, 4, 4))
    with pytest.raises(WeftError, match="'t': pieces of 2 voxels, expected 1"):
        event_payload(
            np.zeros((1, 3)), np.ones(1), grid=grid, title="t", layers=[Layer("pieces", np.zeros(2, int), None)]
        )


def test_objects_stand_for_what_they_were_made_of():
    """Particles are candidates of which more is known; groups that only happen to be alike are both shown."""
    items, other = np.array([0, 0, 1, -1]), np.array([0, 1, 1, -1])
    found = [
        Layer("candidates", items, other),
        Layer("fragments", None, other),
        Layer("reco fragments", items, other),
        Layer("reco particles", items.copy(), other.copy()),
    ]
    assert [layer.name for layer in _different(found)] == ["fragments", "reco fragments", "reco particles"]
    assert [layer.name for layer in _different(found[:2])] == ["candidates", "fragments"]


def test_key_points_are_marks_and_what_they_were_found_in_is_none() -> None:
    points = np.zeros(2, KEY_POINTS.dtype)
    points["y"] = [1, np.nan]
    found = _places(points, KEY_POINTS)
    assert found is not None
    assert found[0].tolist() == [[0, 1, 0]]
    for schema in (TRIPLETS, space_points(triplet_scores())):
        assert _places(np.zeros(3, schema.dtype), schema) is None
