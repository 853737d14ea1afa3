import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command_line import weft
from triplet_detectors import SIXTY

from weft.detector.wires import Detector, GapRule
from weft.errors import WeftError
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.products import Column, EventId, Schema, structured
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.triplets.build import build_triplets
from weft.triplets.images import dead_masks, dead_of, pixels_of
from weft.triplets.label_options import TruthOptions
from weft.triplets.options import TripletOptions
from weft.triplets.produce import write_triplets

ROOT = Path(__file__).resolve().parents[3]
DETECTOR = Detector("sixty", (SIXTY,), GapRule(10, 2))

IMAGES = Schema("image2d_wire", "dense", np.dtype("f4"), (Column("pixel"),))
_dtype, _columns = structured(
    *((name, "i4", "", "") for name in ("plane", "rows", "cols")),
    *((name, "f8", "", "") for name in ("min_x", "max_x", "min_y", "max_y")),
)
META = Schema("image2d_wire_meta", "table", _dtype, _columns)
_dtype, _columns = structured(("plane", "i2", "", ""), ("channel", "i4", "", ""), ("status", "i2", "", ""))
STATUS = Schema("chstatus_wire", "table", _dtype, _columns)


def event(seed):
    rng = np.random.default_rng(seed)
    images = np.where(rng.random((3, 10, 30)) < 0.3, rng.uniform(5, 90, (3, 10, 30)), 0).astype(np.float32)
    images[2, :, 20:] = 0
    deposits = np.zeros(40, WIRE_DEPOSITS.dtype)
    deposits["row"], deposits["electrons"] = rng.integers(0, 10, 40), 5000
    deposits["wire_0"], deposits["wire_1"] = rng.integers(5, 25, (2, 40))
    deposits["wire_2"] = deposits["wire_0"] + deposits["wire_1"] - 20
    return {
        "image2d_wire": images,
        "image2d_wire_meta": np.array([(p, 10, n, 0, n, 0, 60) for p, n in enumerate((30, 30, 20))], META.dtype),
        "chstatus_wire": np.array([(0, 4, 1), (2, 7, 0), (1, 3, 4)], STATUS.dtype),
        "wire_deposits": deposits,
    }


def write(path, events, without=()):
    schemas = [s for s in (IMAGES, META, STATUS, WIRE_DEPOSITS) if s.name not in without]
    with StoreWriter(path, schemas) as writer:
        for k, products in enumerate(events):
            writer.append(EventId(1, 2, k, k), {s.name: products[s.name] for s in schemas})
    return path


def test_a_file_opens_beside_its_source(tmp_path):
    events = [event(0), event(1), {**event(2), "image2d_wire": np.zeros((3, 10, 30), np.float32)}]
    source = write(tmp_path / "a.h5", events)
    done = write_triplets(source, tmp_path / "b.h5", DETECTOR, TripletOptions())
    with EventStore.open([source, tmp_path / "b.h5"]) as store:
        assert len(store) == done.events == 3
        assert sum(len(store["triplets"][i]) for i in range(3)) == done.triplets
        for i, products in enumerate(events):
            dead = dead_of(DETECTOR, products["image2d_wire"], products["chstatus_wire"])
            found = build_triplets(DETECTOR, pixels_of(DETECTOR, products["image2d_wire"], 10), dead, TripletOptions())
            assert np.array_equal(store["pixels"][i], found.pixels)
            assert np.array_equal(store["triplets"][i], found.triplets)
            assert np.array_equal(store["triplet_rows"][i], found.rows)
            again = dead_masks(DETECTOR, store["dead_wires"][i])
            assert all(np.array_equal(a, b) for a, b in zip(dead[0], again[0], strict=True))
            assert len(store["triplet_truth"][i]) == len(found.triplets)
        assert len(store["triplets"][2]) == 0
        good = sum((store["triplet_truth"][i]["good"] == 1).sum() for i in range(3))
        assert 0 < good == done.good
    assert done.good + done.ghosts == done.triplets
    assert done.dropped == 0
    assert str(done) == f"3 events, {done.triplets} triplets, {done.good} good, {done.ghosts} ghosts"


def test_a_cap_is_said(tmp_path):
    source = write(tmp_path / "a.h5", [event(0), event(1)])
    whole = write_triplets(source, tmp_path / "b.h5", DETECTOR, TripletOptions())
    done = write_triplets(source, tmp_path / "c.h5", DETECTOR, TripletOptions(max_per_row=10))
    assert done.dropped == whole.triplets - done.triplets > 0
    with EventStore.open(tmp_path / "c.h5") as store:
        rows = np.concatenate([store["triplet_rows"][i] for i in range(2)])
    assert rows["kept"].max() == 10
    assert done.capped == (rows["found"] > 10).sum() > 0
    assert f"{done.dropped} more left out by the cap in {done.capped} rows" in str(done)


def test_without_truth_and_status(tmp_path):
    source = write(tmp_path / "a.h5", [event(0)], without=("wire_deposits", "chstatus_wire"))
    done = write_triplets(source, tmp_path / "b.h5", dataclasses.replace(DETECTOR, gaps=GapRule()), TripletOptions())
    assert str(done).endswith("no truth")
    with EventStore.open(tmp_path / "b.h5") as store:
        assert "triplet_truth" not in store
        assert len(store["dead_wires"][0]) == 0


def test_images_of_another_detector(tmp_path):
    later = event(0)
    later["image2d_wire_meta"]["min_y"] += 6
    coarse = event(0)
    coarse["image2d_wire_meta"]["max_x"] *= 2
    flat = {**event(0), "image2d_wire": np.zeros((2, 10, 30), np.float32)}
    for wrong, message in (
        (later, r"event 1/2/0: image 0 has 10 rows of ticks 6 to 60; the detector sixty has 10 of 0 to 60"),
        (coarse, "the columns of image 0 span 0 to 60, expected one per wire"),
        (flat, r"event 1/2/0: images of shape \(2, 10, 30\)"),
    ):
        source = write(tmp_path / "a.h5", [wrong])
        with pytest.raises(WeftError, match=message):
            write_triplets(source, tmp_path / "b.h5", DETECTOR, TripletOptions())
        assert not (tmp_path / "b.h5").exists()
    bare = write(tmp_path / "c.h5", [event(0)], without=("image2d_wire",))
    with pytest.raises(WeftError, match=r"c\.h5: no product image2d_wire; convert a file with images"):
        write_triplets(bare, tmp_path / "b.h5", DETECTOR, TripletOptions())


def test_on_the_command_line(tmp_path, capsys):
    detector = ROOT / "config/detectors/toy.yaml"
    images = np.zeros((3, 272, 351), np.float32)
    images[0, 5, 175], images[1, 5, 175], images[2, 5, [127, 128, 140]] = 20, 20, 20  # 175 + 175 − 222.5
    meta = np.array([(p, 272, n, 0, n, 0, 1632) for p, n in enumerate((351, 351, 256))], META.dtype)
    source = write(
        tmp_path / "a.h5", [{"image2d_wire": images, "image2d_wire_meta": meta}], ("chstatus_wire", "wire_deposits")
    )
    assert weft("triplets", source, tmp_path / "b.h5", "--detector", detector) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'b.h5'}: 1 events, 2 triplets, no truth\n"
    assert weft("triplets", source, tmp_path / "b.h5", "--detector", detector, "threshold=21") == 0
    assert "1 events, 0 triplets" in capsys.readouterr().out
    assert weft("triplets", source, tmp_path / "b.h5", "--detector", detector, "treshold=21") == 1
    assert "unknown key 'treshold' (did you mean 'threshold'?)" in capsys.readouterr().err


def test_what_makes_a_triplet_good_is_asked(tmp_path):
    source = write(tmp_path / "a.h5", [event(0)])
    counts = []
    for k, electrons in enumerate((5000, 5001)):
        labels = TruthOptions(min_electrons=electrons)
        done = write_triplets(source, tmp_path / f"{k}.h5", DETECTOR, TripletOptions(), labels=labels)
        counts.append((done.good, done.triplets - done.good - done.ghosts))
    (good, unknown), (fewer, more) = counts
    assert good > 0 == unknown
    assert more == good - fewer > 0  # cells with two deposits are still good
