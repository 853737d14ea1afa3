import json

import numpy as np
import pytest
import uproot
from small_events import same, write_store

from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.predictions_root import store_to_root
from weft.io.products import SEMANTICS, Column, Schema, semantic_scores
from weft.io.store import EventStore


@pytest.fixture
def stores(tmp_path, events):
    truth = write_store(tmp_path / "t.h5", events)
    rng = np.random.default_rng(1)
    predictions = []
    for e in events:
        scores = rng.dirichlet(np.ones(5), len(e["voxels"])).astype(np.float32)
        predictions.append({"semantic_scores": scores, "semantics": scores.argmax(1).astype(np.int8)})
    write_store(tmp_path / "p.h5", predictions, (SEMANTICS, semantic_scores()), parents={"truth": truth})
    return {"truth": tmp_path / "t.h5", "prediction": tmp_path / "p.h5"}, predictions


def test_predictions_are_voxel_trees_that_are_read_back(tmp_path, events, stores):
    paths, predictions = stores
    trees = store_to_root(paths, tmp_path / "p.root")
    assert "sparse3d_weft_semantics_tree" in trees
    assert [t for t in trees if "scores" in t] == [
        f"sparse3d_weft_semantic_scores_{c}_tree" for c in ("shower", "track", "michel", "delta", "low_energy")
    ]
    chosen = {"semantics": "sparse3d_weft_semantics", "charge": "sparse3d_weft_semantic_scores_track"}
    convert_file(tmp_path / "p.root", tmp_path / "back.h5", products=chosen)
    with EventStore.open(tmp_path / "back.h5") as back:
        assert back.events["event"].tolist() == list(range(8))
        for i, (e, p) in enumerate(zip(events, predictions, strict=True)):
            assert same(back["voxels"][i], e["voxels"])
            assert same(back["semantics"][i].ravel(), p["semantics"])
            assert same(back["charge"][i].ravel(), p["semantic_scores"][:, 1])
            assert np.allclose(back["meta"][i]["min_x"], -3.0)
    with uproot.open(tmp_path / "p.root") as file:
        assert set(json.loads(file["weft_provenance"])["inputs"]) == {"truth", "prediction"}
        assert json.loads(file["weft_codes"])["semantics.class"]["1"] == "track"


def test_a_product_of_two_stores_is_two_trees(tmp_path, events, stores):
    paths, predictions = stores
    trees = store_to_root(paths, tmp_path / "both.root", ["truth/semantics", "prediction/semantics", "charge"])
    names = [f"sparse3d_weft_{store}_semantics_tree" for store in ("truth", "prediction")]
    assert trees == [*names, "sparse3d_weft_charge_tree"]
    with uproot.open(tmp_path / "both.root") as file:
        for name, made in zip(names, (events, predictions), strict=True):
            values = file[name]["_voxel_v._value"].array()
            assert all(values[i].tolist() == e["semantics"].ravel().tolist() for i, e in enumerate(made))
        assert json.loads(file["weft_units"])["charge.energy"] == "MeV"


def test_lists_and_structured_tables_keep_their_columns(tmp_path, events, stores):
    trees = store_to_root(stores[0]["truth"], tmp_path / "t.root", ["clusters", "particles"], producer="me")
    assert trees == ["clusters_me_tree", "particles_me_tree"]
    with uproot.open(tmp_path / "t.root") as file:
        sizes = file["clusters_me_tree"]["_v._n"].array()
        rows = file["clusters_me_tree"]["_v._voxel"].array()
        shapes = file["particles_me_tree"]["_v._shape"].array()
        for i, e in enumerate(events):
            assert sizes[i].tolist() == e["clusters"].counts.tolist()
            assert rows[i].tolist() == e["clusters"].values["voxel"].tolist()
            assert shapes[i].tolist() == e["particles"]["shape"].tolist()


def test_what_cannot_be_written_is_refused(tmp_path, stores):
    with pytest.raises(WeftError, match="open the store that holds voxels"):
        store_to_root(stores[0]["prediction"], tmp_path / "p.root")
    with pytest.raises(WeftError, match="no product 'points'"):
        store_to_root(stores[0], tmp_path / "p.root", ["points"])
    schema = Schema("volume", "dense", np.dtype("f4"), (Column("v"),))
    write_store(tmp_path / "d.h5", [{"volume": np.zeros((2, 2))}], (schema,))
    with pytest.raises(WeftError, match="volume is dense"):
        store_to_root(tmp_path / "d.h5", tmp_path / "p.root")
    assert not (tmp_path / "p.root").exists()
