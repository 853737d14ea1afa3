"""Real detector files, as they are."""

import numpy as np
import pytest
import uproot
from small_events import DATA

from weft.errors import WeftError
from weft.io.check import check
from weft.io.convert import convert_file, recognise
from weft.io.store import EventStore

TUTORIAL = DATA / "larcv_tutorial"
MICROBOONE = DATA / "ublarcvapp_reco3d" / "out_larcv_test.root"

needs_tutorial = pytest.mark.skipif(not TUTORIAL.is_dir(), reason="the LArCV tutorial files are not here")
needs_microboone = pytest.mark.skipif(not MICROBOONE.is_file(), reason="the MicroBooNE file is not here")


@needs_tutorial
@pytest.mark.parametrize(("name", "pdg", "mass"), [("electron", 11, 0.511), ("proton", 2212, 938.272)])
def test_the_tutorial_of_2018(tmp_path, name, pdg, mass):
    source = TUTORIAL / f"{name}.root"
    assert recognise(source) == "larcv"
    done = convert_file(source, tmp_path / "a.h5")
    assert done.events == 10
    assert done.skipped == {}
    assert "interaction_id" in done.notes["particle_mctruth lacks"]
    assert check(tmp_path / "a.h5") == []
    with EventStore.open(tmp_path / "a.h5") as store, uproot.open(source) as file:
        assert store.products["particles"].codes["process"] == {0: "primary"}
        branch = file["image2d_data_tree"]["image2d_data_branch/_image_v/_image_v._img"].array(library="np")
        for i in range(10):
            particle = store["particles"][i]
            assert particle["pdg"].tolist() == [pdg]
            assert particle["trackid"].tolist() == [-1], "2³²−1 in the file"
            assert np.isclose(particle["energy_init"], np.hypot(particle["p"], mass), rtol=1e-3), "MeV, not GeV"
            image = np.asarray(store["image2d_data"][i])
            assert image.shape == (3, 256, 256)
            for plane in range(3):
                stored = np.asarray(branch[i][plane])
                assert image[plane].sum() == pytest.approx(stored.sum())
                assert image[plane, 17, 101] == stored[101 * 256 + 17], "column-major"
            meta = store["image2d_data_meta"][i]
            assert meta["plane"].tolist() == [0, 1, 2]
            assert np.allclose(meta["max_x"] - meta["min_x"], 128)


@needs_microboone
def test_an_event_of_microboone(tmp_path):
    done = convert_file(MICROBOONE, tmp_path / "a.h5")
    assert done.skipped == {"clustermask_mrcnn_masks": "trees of type clustermask are not supported"}
    assert check(tmp_path / "a.h5") == []
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store.events[["run", "subrun", "event"]].tolist() == [(6324, 94, 4707)]
        wire = np.asarray(store["image2d_wire"][0])
        assert wire.shape == (3, 1008, 3456)
        assert (wire > 10).sum((1, 2)).tolist() == [12803, 18475, 12637], "figures of the data's README"
        assert np.asarray(store["image2d_wire"][0][2, 100:110, 50]).tolist() == wire[2, 100:110, 50].tolist()
        meta = store["image2d_wire_meta"][0]
        assert meta["min_y"].tolist() == [2400.0] * 3
        assert meta["max_y"].tolist() == [8448.0] * 3
        status = store["chstatus_wire"][0]
        bad = [int(((status["plane"] == p) & (status["status"] != 4)).sum()) for p in range(3)]
        assert np.bincount(status["plane"]).tolist() == [2400, 2400, 3456]
        assert bad == [373 + 57, 94 + 2, 308 + 4]
        pixels = store["sparseimg_sparseuresnetout"][0]
        scores = np.stack([pixels[f"feature{k}"] for k in range(5)], 1)
        assert np.allclose(scores.sum(1), 1, atol=1e-4), "softmax"
        assert pixels["row"].max() < 1008
        assert pixels["col"].max() < 3456
        assert np.unique(pixels["image"]).tolist() == [0, 1, 2]


@needs_microboone
def test_asking_for_a_real_tree_of_an_unsupported_class(tmp_path):
    with pytest.raises(WeftError, match="made from a cluster3d tree, clustermask_mrcnn_masks is of type clustermask"):
        convert_file(MICROBOONE, tmp_path / "a.h5", products={"clusters": "clustermask_mrcnn_masks"})
    assert not (tmp_path / "a.h5").exists()


@needs_microboone
def test_a_real_file_that_is_truncated(tmp_path):
    cut = tmp_path / "cut.root"
    data = MICROBOONE.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(WeftError, match=r"cut\.root: truncated"):
        convert_file(cut, tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()
