"""Reconstructed objects outside of event stores: as data frames, and in flat ROOT."""

import json

import numpy as np
import pandas as pd
import pytest
import uproot
from spine_events import write_stores

from weft.io.predictions_root import store_to_root
from weft.io.reco_objects import RECONSTRUCTED
from weft.io.store import EventStore
from weft.io.tables import export_tables


@pytest.fixture(scope="module")
def reco(tmp_path_factory):
    """Three events, the last one empty."""
    return write_stores(tmp_path_factory.mktemp("objects"))["reco"]


@pytest.mark.parametrize(("form", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_particles_are_rows_with_units_and_names_of_types(tmp_path, reco, form, read):
    export_tables(reco, tmp_path, form)
    assert {path.stem for path in tmp_path.glob(f"*.{form}")} == {schema.name for schema in RECONSTRUCTED}
    frame = read(tmp_path / f"reco_particles.{form}")
    members = read(tmp_path / f"reco_interaction_particles.{form}")
    with EventStore.open(reco) as store:
        for i, event in enumerate(store.events):
            table, rows = store["reco_particles"][i], frame[frame["uid"] == event["uid"]]
            assert rows["row"].tolist() == list(range(len(table)))
            for name in ("ke", "start_x", "score_muon", "pid"):
                np.testing.assert_allclose(rows[name], table[name], rtol=1e-6, equal_nan=True)
            of_event = members[members["uid"] == event["uid"]]
            for k, expected in enumerate(store["reco_interaction_particles"][i]):
                values = of_event.loc[of_event["item"] == k].iloc[:, -1]
                assert values.tolist() == expected.tolist()
    if form == "csv":
        columns = json.loads((tmp_path / "reco_particles.json").read_text())["columns"]
        assert columns["ke"]["unit"] == "MeV"
        assert columns["start_x"]["unit"] == "cm"
        assert columns["pid"]["codes"]["2"] == "muon"


def test_particles_are_branches(tmp_path, reco):
    trees = store_to_root(reco, tmp_path / "reco.root")
    assert {"reco_particles_weft_tree", "reco_particle_voxels_weft_tree", "reco_interactions_weft_tree"} <= set(trees)
    with uproot.open(tmp_path / "reco.root") as file, EventStore.open(reco) as store:
        energies = file["reco_particles_weft_tree"]["_v._ke"].array()
        sizes = file["reco_particle_voxels_weft_tree"]["_v._n"].array()
        units = json.loads(str(file["weft_units"]))
        assert units["reco_particles.ke"] == "MeV"
        for i in range(len(store)):
            np.testing.assert_array_equal(np.asarray(energies[i], np.float32), store["reco_particles"][i]["ke"])
            assert sizes[i].tolist() == store["reco_particle_voxels"][i].counts.tolist()
