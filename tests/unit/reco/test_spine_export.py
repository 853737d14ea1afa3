"""SPINE's HDF5 as h5py sees it; tests/peers/test_spine_hdf5.py has SPINE's own reader."""

import h5py
import numpy as np
import pytest
from spine_events import write_stores

from weft.errors import WeftError
from weft.io.products import EventId, Ragged
from weft.io.reco_objects import RECO_PARTICLE_POINTS, RECONSTRUCTED
from weft.io.spine_hdf5 import Objects, Rows, SpineWriter
from weft.io.store import EventStore, StoreWriter
from weft.reco.spine_export import export_spine


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return write_stores(tmp_path_factory.mktemp("spine"))


def rows(file, name, event):
    return file[name][file["events"][event][name]]


def test_every_event_refers_to_its_own_rows(tmp_path, stores):
    names = export_spine(stores, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file, EventStore.open(stores) as store:
        assert set(file["events"].dtype.names) == set(names)
        assert len(file["events"]) == len(store) == 3
        assert file["info"].attrs["complete"]
        for i in range(len(store)):
            voxels, meta = store["voxels"][i], store["meta"][i][0]
            points = rows(file, "points", i).reshape(-1, 3)
            assert len(points) == len(voxels)
            expected = [
                [meta[f"min_{a}"] + (v[k] + 0.5) * meta[f"size_{a}"] for k, a in enumerate("xyz")] for v in voxels
            ]
            np.testing.assert_allclose(points, np.reshape(expected, (-1, 3)), rtol=1e-6)
            assert rows(file, "depositions", i).tolist() == store["charge"][i][:, 0].tolist()
            assert rows(file, "run_info", i)["event"].tolist() == [store.events[i]["event"]]
            particles, table = rows(file, "reco_particles", i), store["reco_particles"][i]
            assert particles["id"].tolist() == list(range(len(table)))
            np.testing.assert_array_equal(particles["ke"], table["ke"].astype("f8"))
            np.testing.assert_array_equal(particles["start_point"][:, 2], table["start_z"])
            for k, mine in enumerate(store["reco_particle_voxels"][i]):
                assert particles["index"][k].tolist() == mine.tolist()
        assert file["reco_particles"].attrs["class_name"] == "RecoParticle"


def test_matches_go_both_ways_and_are_intersection_over_union(tmp_path, stores):
    export_spine(stores, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        reco, true = rows(file, "reco_particles", 0), rows(file, "truth_particles", 0)
        short = [k for k in range(len(reco)) if reco["size"][k] < true["size"][k]]
        assert len(short) == 1
        for k in range(len(reco)):
            assert reco["is_matched"][k]
            assert reco["match_ids"][k][0] == k == true["match_ids"][k][0]
            size = true["size"][k]
            expected = (size - 1) / size if k in short else 1.0
            assert reco["match_overlaps"][k][0] == true["match_overlaps"][k][0] == np.float32(expected)


def test_particles_refer_to_the_points_at_them(tmp_path, stores):
    with EventStore.open(stores) as store:
        ids = [EventId(*row.tolist()) for row in store.events]
        particles = [len(store["reco_particles"][i]) for i in range(len(store))]
        parents = {alias: file.content_hash for alias, file in store.files.items()}
    with StoreWriter(tmp_path / "points.h5", [RECO_PARTICLE_POINTS], provenance={}, parents=parents) as writer:
        for event_id, n in zip(ids, particles, strict=True):
            rows_of = [np.arange(k % 3, dtype=np.int32) for k in range(n)]
            writer.append(event_id, {"reco_particle_points": Ragged.of(rows_of, np.empty(0, np.int32))})
    export_spine(stores, tmp_path / "without.h5")
    export_spine(stores | {"points": tmp_path / "points.h5"}, tmp_path / "with.h5")
    with h5py.File(tmp_path / "without.h5") as without, h5py.File(tmp_path / "with.h5") as given:
        assert particles[0] > 2
        for i, n in enumerate(particles):
            assert [list(k) for k in rows(without, "reco_particles", i)["ppn_ids"]] == [[]] * n
            assert [len(k) for k in rows(given, "reco_particles", i)["ppn_ids"]] == [k % 3 for k in range(n)]


def test_of_truth_alone_there_are_true_objects_and_nothing_is_matched(tmp_path, stores):
    names = export_spine(stores["truth"], tmp_path / "out.h5")
    assert "truth_particles" in names
    assert not [name for name in names if name.startswith("reco")]
    with h5py.File(tmp_path / "out.h5") as file, EventStore.open(stores["truth"]) as store:
        true, particles = rows(file, "truth_particles", 0), store["particles"][0]
        assert not true["is_matched"].any()
        assert true["pdg_code"].tolist() == particles["pdg"][true["orig_id"]].tolist()
        codes = store["particles"].schema.codes["process"]
        processes = [codes[code] for code in particles["process"][true["orig_id"]].tolist()]
        assert [text.decode() for text in true["creation_process"]] == processes


@pytest.mark.parametrize(("given", "message"), [(["reco"], "no store has meta, voxels, charge"), ([], "at least one")])
def test_stores_that_do_not_suffice_are_named(tmp_path, stores, given, message):
    with pytest.raises(WeftError, match=message):
        export_spine({name: stores[name] for name in given}, tmp_path / "out.h5")
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_reconstruction_is_refused(tmp_path, stores):
    part = [schema for schema in RECONSTRUCTED if schema.name != "reco_interactions"]
    with EventStore.open(stores["truth"]) as truth, EventStore.open(stores["reco"]) as reco:
        parents = {"truth": truth.content_hash}
        with StoreWriter(tmp_path / "part.h5", part, provenance={}, parents=parents) as writer:
            for i, event in enumerate(reco.events):
                writer.append(EventId(*event.tolist()), {schema.name: reco[schema.name][i] for schema in part})
    with pytest.raises(WeftError, match="but not reco_interactions"):
        export_spine({"truth": stores["truth"], "part": tmp_path / "part.h5"}, tmp_path / "out.h5")


def test_a_writer_takes_what_was_declared_and_leaves_nothing_where_it_fails(tmp_path):
    thing = Objects("Thing", {"n": "i8", "place": "3f4", "rows": "[i4]"})
    columns = {"n": [1, 2], "place": np.zeros((2, 3)), "rows": [[1], []]}

    def write():
        with SpineWriter(tmp_path / "x.h5", {"things": thing, "values": Rows("f4")}, {}) as writer:
            writer.append({"things": columns, "values": np.ones(3)})
            writer.append({"things": columns})

    with pytest.raises(WeftError, match="event 1: every event brings the same products; missing or unknown: values"):
        write()
    assert not list(tmp_path.iterdir())
    with pytest.raises(WeftError, match="different lengths"):
        thing.rows(columns | {"n": [1]}, "here")
    with pytest.raises(WeftError, match="not the fields it is declared with: rows"):
        thing.rows({"n": [1], "place": np.zeros((1, 3))}, "here")
