"""SPINE's HDF5 into event stores: what was exported comes back. tests/peers has files that SPINE wrote itself."""

import h5py
import numpy as np
import pytest
from small_events import same
from spine_events import write_stores

from weft.errors import WeftError
from weft.io.convert import convert_file, recognise
from weft.io.store import EventStore
from weft.reco.spine_export import export_spine


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return write_stores(tmp_path_factory.mktemp("spine"))


@pytest.fixture
def exported(tmp_path, stores):
    export_spine(stores, tmp_path / "spine.h5")
    return tmp_path / "spine.h5"


#: What SPINE's objects have no place for.
LOST = {
    "reco_fragments": set(),
    "reco_particles": {"primary_fragment"},
    "reco_interactions": {"vertex_rule"},
}


def test_a_reconstruction_comes_back(tmp_path, stores, exported):
    assert recognise(exported) == "spine"
    done = convert_file(exported, tmp_path / "back.h5")
    assert (done.kind, done.events) == ("spine", 3)
    with EventStore.open(stores) as ours, EventStore.open(tmp_path / "back.h5") as back:
        assert back.events.tolist()[0][:3] == ours.events.tolist()[0][:3]
        for i in range(len(ours)):
            for name in ("voxels", "charge"):
                assert same(back[name][i], ours[name][i])
            for name in ("min_x", "size_z"):
                assert back["meta"][i][name] == np.float32(ours["meta"][i][name])
            for name in ours.files["reco"].schemas:
                mine, theirs = ours[name][i], back[name][i]
                if name not in LOST:
                    assert same(mine, theirs), name
                    continue
                for column in set(mine.dtype.names) - LOST[name]:
                    np.testing.assert_array_equal(mine[column], theirs[column], f"{name}.{column}")
                assert all((theirs[column] == -1).all() for column in LOST[name])


def test_true_particles_are_the_truth_of_the_event(tmp_path, stores, exported):
    convert_file(exported, tmp_path / "back.h5")
    with h5py.File(exported) as file, EventStore.open(tmp_path / "back.h5") as back:
        true = file["truth_particles"][file["events"][0]["truth_particles"]]
        particles, clusters = back["particles"][0], back["clusters"][0]
        assert particles["pdg"].tolist() == true["pdg_code"].tolist()
        assert particles["group_id"].tolist() == list(range(len(true)))
        codes = back["particles"].schema.codes["process"]
        assert [codes[code] for code in particles["process"].tolist()] == [t.decode() for t in true["creation_process"]]
        np.testing.assert_array_equal(particles["px"].astype("f4"), true["momentum"][:, 0])
        charge = back["charge"][0][:, 0]
        for k, rows in enumerate(clusters):
            assert rows["voxel"].tolist() == true["index"][k].tolist()
            assert rows["energy"].tolist() == charge[rows["voxel"]].tolist()
        owned = np.unique(clusters.values["voxel"])
        assert set(back["semantics"][0][owned, 0]) == set(particles["shape"][clusters.counts > 0])


def test_points_in_another_order_are_the_same_voxels(tmp_path, exported):
    """SPINE sorts points by x first; objects that refer to them must follow."""
    with h5py.File(exported, "r+") as file:
        reference = file["events"][0]["points"]
        n = len(file["points"][reference].reshape(-1, 3))
        for name in ("points", "depositions"):
            file[name][:n] = file[name][:n][::-1]
        for name in ("reco_fragments", "reco_particles", "reco_interactions", "truth_particles"):
            first = len(file[name][file["events"][0][name]])
            rows = file[name][:first]
            for field in {"index", "index_adapt"} & set(rows.dtype.names):
                for k in range(first):
                    rows[field][k] = (n - 1 - rows[field][k])[::-1].astype("i4")
            file[name][:first] = rows
    convert_file(exported, tmp_path / "turned.h5")
    with h5py.File(exported) as file, EventStore.open(tmp_path / "turned.h5") as back:
        points = file["points"][:n]
        for k, rows in enumerate(back["reco_particle_voxels"][0]):
            given = points[file["reco_particles"][k]["index"]]
            meta = back["meta"][0][0]
            mine = np.stack([meta[f"min_{a}"] + (back["voxels"][0][rows][:, j] + 0.5) * meta[f"size_{a}"]
                             for j, a in enumerate("xyz")], 1)  # fmt: skip
            np.testing.assert_allclose(np.sort(mine, 0), np.sort(given, 0), rtol=1e-5)


def spoil(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["info"].attrs.__setitem__("complete", False), "marked as incomplete"),
        (lambda f: f["info"].attrs.__setitem__("format_version", 3), "SPINE's layout 3, expected 1 or 2"),
        (lambda f: f["points"].__setitem__(0, [1e6, 0, 0]), "event 0: points outside of the box"),
        (lambda f: f.__delitem__("depositions"), "depositions of event 0 cannot be read"),
        (lambda f: rename_units(f), "reco_particles are in px"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(tmp_path, exported, change, message):
    spoil(exported, change)
    with pytest.raises(WeftError, match=message) as error:
        convert_file(exported, tmp_path / "back.h5")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "back.h5").exists()


def rename_units(file):
    rows = file["reco_particles"][:]
    rows["units"] = "px"
    file["reco_particles"][:] = rows
