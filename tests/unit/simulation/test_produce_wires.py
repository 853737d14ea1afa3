"""Wire planes in the files of simulated events, and back from them."""

import numpy as np
import pytest
import uproot

from weft.io.check import check
from weft.io.convert import convert_file
from weft.io.store import EventStore
from weft.simulation import produce
from weft.simulation.event import simulate_event
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings


@pytest.fixture(scope="module")
def settings(small) -> SimulationSettings:
    return SimulationSettings.parse(small.model_dump() | {"wires": {"detector": "toy"}})


@pytest.fixture(scope="module")
def converted(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wires")
    done = convert_file(simulate_file(settings, 4, 2, 5, folder / "a.root"), folder / "a.h5")
    assert done.skipped == {}
    assert check(done.path) == []
    return done


def test_events_come_back(settings, converted):
    with EventStore.open(converted.path) as store:
        for k in range(5):
            event = simulate_event(settings, 4, 2 + k)
            pixels = event.wires.pixels
            image = np.asarray(store["image2d_wire"][k])
            assert image.shape == (3, 272, 351)
            assert np.array_equal(image[pixels.plane, pixels.row, pixels.col], pixels.value)
            assert np.count_nonzero(image) == len(pixels.value)
            assert np.array_equal(store["wire_deposits"][k], event.wires.deposits)
            assert np.array_equal(store["charge"][k][:, 0], event.voxel_value)
            status = store["chstatus_wire"][k]
            for plane, dead in enumerate(settings.wires.dead_wires):
                assert np.array_equal(status["status"][status["plane"] == plane] != 4, dead)
            assert store["image2d_wire_meta"][k]["cols"].tolist() == [351, 351, 256]
            particles = store["particles"][k]
            truth = store["wire_deposits"][k]
            assert np.array_equal(particles["shape"][truth["particle"]], truth["class"])


def test_trees_are_named_as_larcv_names_them(settings, tmp_path):
    with uproot.open(simulate_file(settings, 4, 2, 1, tmp_path / "a.root")) as file:
        assert {"image2d_wire_tree", "chstatus_wire_tree", "wire_deposits_tree"} <= set(file.keys(cycle=False))
        assert file["image2d_wire_tree"]["_image_v._meta._row_count"].array().tolist() == [[272] * 3]


@pytest.mark.parametrize("processes", [2, 3])
def test_content_does_not_depend_on_processes(settings, converted, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(produce, "_CHUNK", 2)
    again = simulate_file(settings, 4, 2, 5, tmp_path / "b.root", processes=processes)
    assert convert_file(again, tmp_path / "b.h5").content_hash == converted.content_hash


def test_other_seeds_are_other_events(settings, converted, tmp_path):
    other = convert_file(simulate_file(settings, 5, 2, 1, tmp_path / "b.root"), tmp_path / "b.h5")
    with EventStore.open(converted.path) as a, EventStore.open(other.path) as b:
        assert not np.array_equal(np.asarray(a["image2d_wire"][0]), np.asarray(b["image2d_wire"][0]))
