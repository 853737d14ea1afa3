"""What a stage sees by which name: predictions, the truth, and what is derived from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft.engine.corpus import Corpus
from weft.engine.memory import PredictedEvents
from weft.errors import WeftError
from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, SEMANTICS, VOXELS, EventId, Nested, Ragged
from weft.io.reco_products import FRAGMENT_VOXELS, FRAGMENTS
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.reco.feed import FedStore
from weft.reco.truth import Truth

EVENTS = 3


def true_event(tracks: int) -> dict[str, Any]:
    """So many tracks of two voxels each, side by side."""
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = 1.0, 50
    particles = np.zeros(tracks, PARTICLES.dtype)
    particles["id"] = particles["group_id"] = np.arange(tracks)
    particles["shape"], particles["num_voxels"], particles["energy_deposit"] = 1, 2, 1.0
    clusters = np.zeros(2 * tracks, CLUSTERS.dtype)
    clusters["voxel"], clusters["energy"] = np.arange(2 * tracks), 1.0
    x = np.arange(2 * tracks) + np.arange(2 * tracks) // 2  # a gap after each
    return {
        "meta": meta,
        "voxels": np.stack([x, 0 * x, 0 * x], axis=1).astype(np.int32),
        "charge": np.ones((2 * tracks, 1), np.float32),
        "semantics": np.ones((2 * tracks, 1), np.int8),
        "particles": particles,
        "clusters": Ragged(clusters, 2 * np.arange(tracks + 1, dtype=np.int64)),
    }


def predicted_event(tracks: int) -> dict[str, Any]:
    """All voxels in one fragment."""
    voxels = Ragged(np.arange(2 * tracks, dtype=np.int32), np.array([0, 2 * tracks]))
    return {"fragments": np.zeros(1, FRAGMENTS.dtype), "fragment_voxels": voxels}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    truth = tmp_path / "truth.h5"
    with StoreWriter(truth, [META, VOXELS, CHARGE, SEMANTICS, PARTICLES, CLUSTERS]) as writer:
        for i in range(EVENTS):
            writer.append(EventId(0, 0, i, i), true_event(i + 1))
    prediction = tmp_path / "pieces.h5"
    parents = {"truth": EventStore.open(truth).content_hash}
    with StoreWriter(prediction, [FRAGMENTS, FRAGMENT_VOXELS], parents=parents) as writer:
        for i in range(EVENTS):
            writer.append(EventId(0, 0, i, i), predicted_event(i + 1))
    return {"truth": truth, "pieces": prediction}


def test_a_bare_name_is_the_prediction_and_the_truth_is_derived(files: dict[str, Path]) -> None:
    providers = {"fragments": "pieces", "fragment_voxels": "pieces"}
    corpus = Corpus([files], providers)
    corpus.require(["voxels", "fragment_voxels", "truth/fragment_voxels", "pieces/fragments"])
    event = corpus[2]
    assert event["fragment_voxels"].counts.tolist() == [6]
    assert event["truth/fragment_voxels"].counts.tolist() == [2, 2, 2]
    assert "truth/candidates" in event
    assert "truth/nonsense" not in event
    assert len(event["truth/candidates"]) == 3


def test_in_truth_mode_all_names_are_the_truth(files: dict[str, Path]) -> None:
    providers = {"pieces/fragments": "truth", "pieces/fragment_voxels": "truth"}
    corpus = Corpus([{"truth": files["truth"]}], providers)
    corpus.require(["fragments", "pieces/fragment_voxels"])
    for i, event in enumerate(corpus):
        assert event["fragment_voxels"].counts.tolist() == [2] * (i + 1)
        np.testing.assert_array_equal(event["pieces/fragments"], event["fragments"])
    with pytest.raises(WeftError, match=r"truth\.h5: no product 'points_of_light'; it has: "):
        corpus.require(["points_of_light"])


def test_events_without_labels_have_no_derived_truth(files: dict[str, Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare.h5"
    event = true_event(2)
    with StoreWriter(bare, [META, VOXELS, CHARGE]) as writer:
        writer.append(EventId(0, 0, 0, 0), {name: event[name] for name in ("meta", "voxels", "charge")})
    corpus = Corpus([{"truth": bare}])
    assert "fragments" not in corpus[0]
    with pytest.raises(WeftError, match="no product 'fragments'"):
        corpus.require(["fragments"])


def test_derived_products_read_like_stored_ones(files: dict[str, Path]) -> None:
    with EventStore.open(files) as store:
        fed = FedStore(store, {"fragments": "pieces", "fragment_voxels": "pieces"})
        lists, table = fed["truth/fragment_voxels"], fed["truth/fragments"]
        assert len(lists) == EVENTS
        assert lists.counts.tolist() == table.counts.tolist() == [1, 2, 3]
        together = fed.read("truth/fragment_voxels", 1, 3)
        assert isinstance(together, Nested)
        assert together.event_offsets.tolist() == [0, 2, 5]
        assert together.event(1).values.tolist() == list(range(6))
        assert fed.read("truth/fragments", 0, 9).counts.tolist() == [1, 2, 3]
        assert fed.read("fragment_voxels", 0, 3).event_offsets.tolist() == [0, 1, 2, 3]
        with pytest.raises(IndexError):
            lists[3]


def test_what_is_derived_of_an_event_is_made_once(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = Truth.__init__
    monkeypatch.setattr(Truth, "__init__", lambda self, event: (made.append(1), original(self, event))[1])
    fed = Corpus([{"truth": files["truth"]}]).fed(0)
    for name in ("fragments", "fragment_voxels", "candidates"):
        fed[name][1]
    assert len(made) == 1


def test_predictions_in_memory_beside_what_the_stage_was_fed(files: dict[str, Path]) -> None:
    corpus = Corpus([files], {"fragment_voxels": "pieces"})
    made = [{"fragment_voxels": Ragged.of([np.array([i])])} for i in range(1, EVENTS)]
    part = PredictedEvents(corpus.fed(0), made, first=1)
    assert part["fragment_voxels"][0].counts.tolist() == [4]
    assert part["truth/fragment_voxels"][0].counts.tolist() == [2, 2]
    assert part["prediction/fragment_voxels"][1].values.tolist() == [2]
    read = part.read("prediction/fragment_voxels", 0, 2)
    assert isinstance(read, Nested)
    assert read.event_offsets.tolist() == [0, 1, 2]
    assert part.read("truth/fragment_voxels", 0, 2).event_offsets.tolist() == [0, 2, 5]
