import json

import numpy as np
import pytest
import uproot

from weft.io.convert import convert_file
from weft.io.store import EventStore
from weft.simulation import produce
from weft.simulation.event import simulate_event
from weft.simulation.produce import simulate_file
from weft.simulation.workers import SimulationError

TREES = (
    "sparse3d_pcluster_tree",
    "sparse3d_pcluster_semantics_tree",
    "cluster3d_pcluster_tree",
    "particle_pcluster_tree",
)


def content(path):
    with uproot.open(path) as file:
        return {(t, b): file[t][b].array().tolist() for t in TREES for b in file[t].keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def produced(small, tmp_path_factory):
    done = []
    path = simulate_file(small, 3, 5, 8, tmp_path_factory.mktemp("root") / "a.root", progress=lambda *n: done.append(n))
    assert done == [(8, 8)]
    return path


def test_the_file_is_the_events(small, produced):
    read = content(produced)
    for k in range(8):
        e = simulate_event(small, 3, 5 + k)
        assert read["sparse3d_pcluster_tree", "_event"][k] == 5 + k
        assert read["sparse3d_pcluster_tree", "_subrun"][k] == 3
        assert read["sparse3d_pcluster_tree", "_voxel_v._id"][k] == e.voxel_id.tolist()
        assert read["sparse3d_pcluster_semantics_tree", "_voxel_v._id"][k] == e.voxel_id.tolist()
        assert read["sparse3d_pcluster_tree", "_voxel_v._value"][k] == e.voxel_value.tolist()
        assert read["sparse3d_pcluster_semantics_tree", "_voxel_v._value"][k] == e.semantics.tolist()
        assert read["cluster3d_pcluster_tree", "_voxel_v._n"][k] == e.cluster_size.tolist()
        assert read["cluster3d_pcluster_tree", "_voxel_v._id"][k] == e.cluster_id.tolist()
        assert read["particle_pcluster_tree", "_part_v._num_voxels"][k] == e.cluster_size.tolist()
        assert read["particle_pcluster_tree", "_part_v._vtx._x"][k] == e.particles["_vtx._x"].tolist()


def test_texts(produced):
    with uproot.open(produced) as file:
        codes = json.loads(file["weft_codes"])
        provenance = json.loads(file["weft_provenance"])
    assert codes["_part_v._process"]["9"] == "Decay"
    assert provenance["seeds"] == {"seed": 3}
    assert provenance["config"]["box"]["voxels"] == 96


@pytest.mark.parametrize("processes", [2, 3])
def test_content_does_not_depend_on_processes(small, produced, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(produce, "_CHUNK", 3)
    done = []
    again = simulate_file(small, 3, 5, 8, tmp_path / "b.root", processes=processes, progress=lambda *n: done.append(n))
    assert content(again) == content(produced)
    assert done == [(3, 8), (6, 8), (8, 8)]


def test_content_hash_of_the_converted_file_does_not_depend_on_processes(small, produced, tmp_path, monkeypatch):
    monkeypatch.setattr(produce, "_CHUNK", 4)
    again = simulate_file(small, 3, 5, 8, tmp_path / "b.root", processes=2)
    one = convert_file(produced, tmp_path / "a.h5")
    two = convert_file(again, tmp_path / "b.h5")
    assert one.content_hash == two.content_hash
    with EventStore.open(one.path) as store:
        e = simulate_event(small, 3, 5)
        assert np.array_equal(store["charge"][0][:, 0], e.voxel_value)
        assert np.array_equal(store["particles"][0]["pdg"], e.particles["_pdg"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((1, 0, 0), "count 0"), ((1, -1, 5), "first -1"), ((-1, 0, 5), "seed -1"), ((1, 0, 5, 0), "processes 0")],
)
def test_impossible_numbers(small, tmp_path, arguments, text):
    seed, first, count, *processes = arguments
    with pytest.raises(SimulationError, match=text):
        simulate_file(small, seed, first, count, tmp_path / "a.root", *processes)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_file(small, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(produce, "write_events", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        simulate_file(small, 1, 0, 2, tmp_path / "a.root")
    assert list(tmp_path.iterdir()) == []
