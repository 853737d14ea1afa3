"""Training files of LArMatch's second generation: pixels, triplets, truth and labels.

No such file was at hand: names and types of the branches are those of its writer and of a listing of one.
"""

import numpy as np
import pytest
from larmatch_files import event, write_larmatch
from opensamples_files import MICROBOONE, TPC, write_opensamples

from weft.config.detector import load_detector
from weft.errors import WeftError
from weft.io.check import check
from weft.io.convert import convert_file, recognise
from weft.io.inspect import describe
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.store import EventStore


def by_hand(**changes):
    """Two rows: one with two triplets, one with a dead Y wire that is listed twice, as the first files do."""
    planes = [
        [(40, 100, 30.0), (41, 100, 50.0)],
        [(40, 1000, 25.0), (41, 1000, 20.0), (41, 1001, 12.0)],
        [(40, 428, 60.0), (41, 428, 1.0), (41, 429, 1.0), (41, 429, 1.0)],
    ]
    triplets = [(1, 1, 1), (0, 0, 0), (1, 2, 2), (1, 2, 3)]
    labels = {
        "larmatch_truth": np.array([0, 1, 0, 1]),
        "larmatch_label": np.array([0.5, 0.99, 0.0, 0.99]),
        "larmatch_weight": np.full(4, 0.25),
        "ssnet_truth": np.array([0, 3, 0, 6]),
        "ssnet_top_weight": np.array([1.0, 10.0, 1.0, 100.0]),
        "ssnet_class_weight": np.full(4, 0.5),
        "kp_truth": np.arange(24).reshape(4, 6) / 24,
        "kp_weight": np.full((4, 6), 0.1),
    } | changes
    return event(planes, triplets, **{name: values for name, values in labels.items() if values is not None})


def converted(tmp_path, events, **columns):
    source = write_larmatch(tmp_path / "train.root", events, **columns)
    done = convert_file(source, tmp_path / "store.h5", detector=MICROBOONE)
    assert done.kind == "larmatch"
    assert check(tmp_path / "store.h5") == []
    return done, EventStore.open(tmp_path / "store.h5")


def test_by_hand(tmp_path):
    done, store = converted(tmp_path, [by_hand()])
    with store:
        assert store.events[["run", "subrun", "event"]].tolist() == [(7, 0, 0)]
        pixels, triplets = store["pixels"][0], store["triplets"][0]
        assert [tuple(p)[1:] for p in pixels.tolist()] == [
            (0, 40, 100, 30, 0), (0, 41, 100, 50, 0),
            (1, 40, 1000, 25, 0), (1, 41, 1000, 20, 0), (1, 41, 1001, 12, 0),
            (2, 40, 428, 60, 0), (2, 41, 428, 0, 1), (2, 41, 429, 0, 1),
        ]  # fmt: skip
        assert triplets[["pixel_0", "pixel_1", "pixel_2"]].tolist() == [(0, 2, 5), (1, 3, 6), (1, 4, 7)]
        expected = TPC.position(
            np.array([[100, 1000, 428], [100, 1000, 428], [100, 1001, 429]]), np.array([40, 41, 41])
        )
        assert np.allclose(np.stack([triplets[axis] for axis in "xyz"], 1), expected, atol=1e-3)
        truth, labels = store["triplet_truth"][0], store["triplet_labels"][0]
        # Of the two copies of a triplet the good one counts.
        assert truth["good"].tolist() == [1, 0, 1]
        assert truth["particle"].tolist() == [-1, -1, -1]
        assert labels["soft"].tolist() == pytest.approx([0.99, 0.5, 0.99])
        names = store["triplet_labels"].schema.codes["class"]
        assert [names.get(code) for code in labels["class"].tolist()] == ["muon", None, "other"]
        assert labels["weight"].tolist() == [10, 1, 100]
        for k, kind in enumerate(KEY_POINT_KINDS):
            assert labels[f"key_{kind}"].tolist() == pytest.approx([(row * 6 + k) / 24 for row in (1, 0, 3)])
    assert done.notes == {"pixels of dead wires that were there twice": 1, "triplets that were there twice": 1}
    assert set(done.skipped) == {"larmatch_weight_v", "ssnet_class_weight_v", "kp_weight_v"}


def test_files_with_soft_labels_alone(tmp_path):
    _, store = converted(
        tmp_path, [by_hand(larmatch_truth=None, ssnet_truth=None, ssnet_top_weight=None, kp_truth=None)]
    )
    with store:
        assert store["triplet_truth"][0]["good"].tolist() == [1, 0, 1]
        labels = store["triplet_labels"][0]
        assert (labels["class"] == -1).all()
        assert (labels["weight"] == 1).all()
        assert np.isnan(labels["key_nu_vertex"]).all()


def test_labels_that_were_left_empty(tmp_path):
    """The listing of a file in larflow's README has arrays of truth with no numbers in them."""
    empty = {name: np.zeros(0) for name in ("larmatch_truth", "larmatch_label", "ssnet_truth", "kp_truth")}
    done, store = converted(tmp_path, [by_hand(**empty), by_hand()])
    with store:
        assert store["triplet_truth"][0]["good"].tolist() == [-1, -1, -1]
        assert store["triplet_truth"][1]["good"].tolist() == [1, 0, 1]
        assert np.isnan(store["triplet_labels"][0]["soft"]).all()
    assert done.notes["events with no larmatch_truth_v"] == 1


def test_empty_events(tmp_path):
    nothing = event(
        [[], [], []], [], **{name: np.zeros(0) for name in ("larmatch_truth", "larmatch_label", "ssnet_truth")}
    )
    pixels_only = event([[(3, 4, 50.0)], [], []], [])
    _, store = converted(tmp_path, [nothing | {"kp_truth_v": [np.zeros((0, 6))]}])
    with store:
        assert [len(store[name][0]) for name in store.products] == [0, 0, 0, 0]
    _, store = converted(tmp_path, [pixels_only, pixels_only, pixels_only])
    with store:
        assert [len(store["pixels"][k]) for k in range(3)] == [1, 1, 1]


def test_the_search_finds_the_same_triplets(tmp_path):
    """What our own search makes of the pixels comes back unchanged, in whatever order the file has it."""
    from weft.io.wire_products import PIXELS
    from weft.triplets.build import build_triplets
    from weft.triplets.options import TripletOptions

    rng = np.random.default_rng(3)
    cells = np.column_stack([rng.integers(300, 310, 60), rng.integers(900, 905, 60), rng.integers(1100, 1105, 60)])
    cells = np.column_stack([cells, cells[:, 1] + cells[:, 2] - 671])
    lit = {(p, int(row), int(w)) for row, *wires in cells for p, w in enumerate(wires)}
    pixels = np.array([(0, *pixel, 50, 0) for pixel in lit], PIXELS.dtype)
    dead = ((np.zeros(2400, bool), np.zeros(2400, bool), np.zeros(3456, bool)),)
    found = build_triplets(MICROBOONE, pixels, dead, TripletOptions())
    planes, index = [], np.empty(len(found.pixels), int)
    for p in range(3):
        mine = rng.permutation(np.flatnonzero(found.pixels["plane"] == p))
        index[mine] = np.arange(len(mine))
        planes.append([(int(q["row"]), int(q["wire"]), float(q["charge"])) for q in found.pixels[mine]])
    rows = np.stack([index[found.triplets[f"pixel_{p}"]] for p in range(3)], 1)[rng.permutation(len(found.triplets))]
    _, store = converted(tmp_path, [event(planes, rows.tolist())])
    with store:
        assert len(found.triplets) > 100
        assert np.array_equal(store["pixels"][0], found.pixels)
        assert np.array_equal(store["triplets"][0], found.triplets)


def test_files_that_do_not_add_up(tmp_path):
    def change(name, value):
        return by_hand() | {name: value}

    planes = [np.array([[0, 0]])] * 3
    for spoiled, reason in (
        (by_hand(larmatch_truth=np.zeros(3)), "entry 0: larmatch_truth_v has 3 rows, matchtriplet_v has 4"),
        (by_hand(kp_truth=np.zeros((4, 3))), r"kp_truth_v has shape \(4, 3\), expected \(n, 6\)"),
        (by_hand(ssnet_truth=np.array([0, 3, 0, 9])), "ssnet_truth_v has class 9, expected 0 to 6"),
        (change("matchtriplet_v", [np.array([[0, 0, 4]])]), "names pixels 4 to 4 of plane 2, which has 4"),
        (change("matchtriplet_v", [np.array([[0, 1, 0]])]), r"triplet 0 are in rows \[40, 41, 40\], expected one row"),
        (change("matchtriplet_v", []), "matchtriplet_v has 0 arrays, expected one"),
        (change("coord_v", planes[:2]), "coord_v has 2 planes and feat_v 3, expected 3"),
        (change("coord_v", planes), r"plane 0 has pixels \(1, 2\) and charges \(2,\)"),
        (event([[(1008, 0, 50.0)], [], []], []), "plane 0 has pixels up to row 1008, wire 0; microboone has 1008 rows"),
        (event([[(5, 6, 50.0), (5, 6, 11.0)], [], []], []), "plane 0 has the pixel of row 5, wire 6 twice"),
    ):
        source = write_larmatch(tmp_path / "train.root", [spoiled])
        with pytest.raises(WeftError, match=reason) as error:
            convert_file(source, tmp_path / "store.h5", detector=MICROBOONE)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "store.h5").exists()


def test_shapes_that_are_not_of_the_numbers(tmp_path):
    class Odd(np.ndarray):
        shape = (3, 5)
        ndim = 2

    odd = by_hand()
    odd["matchtriplet_v"] = [np.array([0, 0, 0]).view(Odd)]
    source = write_larmatch(tmp_path / "train.root", [odd])
    with pytest.raises(WeftError, match=r"matchtriplet_v: entry 0: 3 numbers for the shape \[3, 5\] of 2 dimensions"):
        convert_file(source, tmp_path / "store.h5", detector=MICROBOONE)


def test_the_command_line_names_the_detector(tmp_path):
    from command_line import weft

    source = write_larmatch(tmp_path / "train.root", [by_hand()])
    weft("convert", source, tmp_path / "store.h5", "--detector", "config/detectors/microboone.yaml")
    with EventStore.open(tmp_path / "store.h5") as store:
        assert len(store["triplets"][0]) == 3
    with pytest.raises(WeftError, match="a detector is for files of triplets without positions, this one is"):
        convert_file(write_opensamples(tmp_path / "o.h5", []), tmp_path / "a.h5", detector=MICROBOONE)


def test_it_needs_a_detector(tmp_path):
    source = write_larmatch(tmp_path / "train.root", [by_hand()])
    assert recognise(source) == "larmatch"
    with pytest.raises(WeftError, match="say of which detector it is: --detector microboone"):
        convert_file(source, tmp_path / "store.h5")
    assert not (tmp_path / "store.h5").exists()
    about = describe(source)  # looking does not need one
    assert about["events"] == 1
    assert set(about["products"]) == {"pixels", "triplets", "triplet_truth", "triplet_labels"}
    with pytest.raises(WeftError, match="of one drift volume, two_sided has 2"):
        convert_file(source, tmp_path / "store.h5", detector=load_detector("config/detectors/two_sided.yaml"))
    with pytest.raises(WeftError, match="have fixed names"):
        convert_file(source, tmp_path / "store.h5", detector=MICROBOONE, products={"clusters": None})
