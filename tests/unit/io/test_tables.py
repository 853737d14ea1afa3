"""CSV and Parquet: what is read back is what the store holds, with events, units and codes."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_events import write_store

from weft.errors import WeftError
from weft.io.products import SEMANTICS, VOXELS, Column, EventId, Filtered, Schema
from weft.io.store import EventStore, StoreWriter
from weft.io.tables import export_tables

GHOSTLESS = Schema("kept", "table", np.dtype("f4"), (Column("score"),), on="voxels", filtered=True)
IMAGE = Schema("image", "dense", np.dtype("f4"), (Column("brightness"),))


@pytest.fixture
def store(tmp_path, events):
    write_store(tmp_path / "t.h5", events)
    return tmp_path / "t.h5"


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_all_rows_come_back_with_their_events(tmp_path, events, store, form):
    paths = {path.stem: path for path in export_tables(store, tmp_path / "out", form)}
    assert set(paths) == {"meta", "voxels", "charge", "semantics", "particles", "clusters"}
    voxels, particles, clusters = (read(paths[name]) for name in ("voxels", "particles", "clusters"))
    for i, event in enumerate(events):
        mine = voxels[voxels["event"] == i]
        assert mine[["x", "y", "z"]].to_numpy().tolist() == event["voxels"].tolist()
        assert mine["row"].tolist() == list(range(len(event["voxels"])))
        assert set(mine["run"]) <= {1}
        assert set(mine["uid"]) <= {1000 + i}
        np.testing.assert_array_equal(particles[particles["event"] == i]["px"], event["particles"]["px"])
        mine = clusters[clusters["event"] == i]
        for k, rows in enumerate(event["clusters"]):
            item = mine[mine["item"] == k]
            assert item["voxel"].tolist() == rows["voxel"].tolist()
            assert item["position"].tolist() == list(range(len(rows)))
    assert len(clusters) == sum(len(event["clusters"].values) for event in events)


def test_units_descriptions_and_codes_are_in_the_metadata(tmp_path, store):
    (parquet,) = export_tables(store, tmp_path, "parquet", ["semantics"])
    (csv,) = export_tables(store, tmp_path, "csv", ["charge"])
    schema = pq.read_schema(parquet)
    assert json.loads(schema.field("class").metadata[b"codes"])["1"] == "track"
    assert json.loads(schema.metadata[b"product"])["on"] == "voxels"
    about = json.loads(csv.with_suffix(".json").read_text())
    assert about["columns"]["energy"]["unit"] == "MeV"
    assert about["provenance"]["inputs"]


def test_a_product_of_two_stores_is_two_tables_and_a_selection_keeps_its_rows(tmp_path, events, store):
    with EventStore.open(store) as opened:
        parents = {"truth": opened.content_hash}
    score = np.float32(0.5)
    with StoreWriter(tmp_path / "p.h5", (SEMANTICS, GHOSTLESS), provenance={}, parents=parents) as writer:
        for i, event in enumerate(events):
            n = len(event["voxels"])
            index = np.arange(0, n, 2, dtype=np.int32)
            products = {
                "semantics": np.full((n, 1), 4, np.int8),
                "kept": Filtered(np.full((len(index), 1), score), index),
            }
            writer.append(EventId(1, 2, i, 1000 + i), products)
    both = {"truth": store, "net": tmp_path / "p.h5"}
    paths = {path.name: read(path) for path in export_tables(both, tmp_path / "out", "parquet")}
    assert {"truth.semantics.parquet", "net.semantics.parquet", "charge.parquet"} <= set(paths)
    assert set(paths["net.semantics.parquet"]["class"]) == {4}
    assert (paths["kept.parquet"]["row"] % 2 == 0).all()
    assert len(paths["kept.parquet"]) == sum((len(event["voxels"]) + 1) // 2 for event in events)


def test_without_events_there_are_empty_tables(tmp_path):
    write_store(tmp_path / "t.h5", [])
    for path in export_tables(tmp_path / "t.h5", tmp_path / "out", "parquet"):
        assert len(read(path)) == 0


def test_dense_products_are_left_out_and_refused_by_name_and_nothing_is_left_behind(tmp_path):
    with StoreWriter(tmp_path / "t.h5", (VOXELS, IMAGE), provenance={}) as writer:
        writer.append(
            EventId(1, 1, 1, 1), {"voxels": np.zeros((1, 3), np.int32), "image": np.zeros((4, 4), np.float32)}
        )
    assert [path.stem for path in export_tables(tmp_path / "t.h5", tmp_path / "out", "csv")] == ["voxels"]
    with pytest.raises(WeftError, match="image is dense"):
        export_tables(tmp_path / "t.h5", tmp_path / "none", "csv", ["voxels", "image"])
    with pytest.raises(WeftError, match="no product 'nothing'"):
        export_tables(tmp_path / "t.h5", tmp_path / "none", "csv", ["voxels", "nothing"])
    assert not (tmp_path / "none").exists()
