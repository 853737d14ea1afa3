import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.check import check
from weft.io.convert import convert_file
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.root_planes import Pixels, PlaneMeta, write_images, write_rows, write_status
from weft.io.root_write import RootWriter
from weft.io.store import EventStore

PLANES = [PlaneMeta(4, 3, 10.0, 34.0, 0.0, 3.0), PlaneMeta(4, 5, 10.0, 34.0, 0.0, 5.0)]
STATUS = [np.array([4, 1, 4]), np.array([4, 4, 4, 3, 1])]


def identity(events):
    return {
        "_run": np.ones(events, np.uint64),
        "_subrun": np.zeros(events, np.uint64),
        "_event": np.arange(events, dtype=np.uint64),
    }


def pixels(*rows):
    plane, row, col, value = np.array(rows, float).reshape(-1, 4).T
    return Pixels(plane.astype(int), row.astype(int), col.astype(int), value.astype(np.float32))


EVENTS = [pixels((0, 3, 0, 7.5), (1, 0, 4, 2.0), (1, 2, 1, 3.0)), pixels(), pixels((0, 1, 2, 1.0))]


def test_images_come_back(tmp_path, monkeypatch):
    for block in (1, 1 << 20):
        monkeypatch.setattr("weft.io.root_planes._BLOCK_BYTES", block)
        with RootWriter(tmp_path / "a.root", {"weft_provenance": {}}) as writer:
            write_images(writer, "image2d_wire_tree", identity(3), PLANES, EVENTS)
        done = convert_file(tmp_path / "a.root", tmp_path / f"{block}.h5")
        assert (done.events, done.skipped) == (3, {})
        assert check(done.path) == []
        with EventStore.open(done.path) as store:
            for k, event in enumerate(EVENTS):
                expected = np.zeros((2, 4, 5), np.float32)
                expected[event.plane, event.row, event.col] = event.value
                assert np.array_equal(np.asarray(store["image2d_wire"][k]), expected)
                meta = store["image2d_wire_meta"][k]
                assert meta["plane"].tolist() == [0, 1]
                assert meta["rows"].tolist() == [4, 4]
                assert meta["cols"].tolist() == [3, 5]
                assert meta[["min_x", "max_x", "min_y", "max_y"]].tolist() == [(0, 3, 10, 34), (0, 5, 10, 34)]


def test_status_comes_back(tmp_path):
    with RootWriter(tmp_path / "a.root", {"weft_provenance": {}}) as writer:
        write_status(writer, "chstatus_wire_tree", identity(2), STATUS)
    with EventStore.open(convert_file(tmp_path / "a.root", tmp_path / "a.h5").path) as store:
        for k in range(2):
            status = store["chstatus_wire"][k]
            assert status["plane"].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
            assert status["channel"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
            assert status["status"].tolist() == [4, 1, 4, 4, 4, 4, 3, 1]
        assert store.products["chstatus_wire"].codes["status"][4] == "good"


def test_deposits_come_back(tmp_path):
    rng = np.random.default_rng(1)
    events = []
    for number in (5, 0, 2):
        rows = np.zeros(number, WIRE_DEPOSITS.dtype)
        for name in WIRE_DEPOSITS.dtype.names or ():
            rows[name] = rng.integers(-1, 5, number)
        events.append(rows)
    with RootWriter(tmp_path / "a.root", {"weft_provenance": {}}) as writer:
        write_rows(writer, "wire_deposits_tree", identity(3), "_deposit_v", events)
    with EventStore.open(convert_file(tmp_path / "a.root", tmp_path / "a.h5").path) as store:
        assert store.products["wire_deposits"] == WIRE_DEPOSITS
        for k, rows in enumerate(events):
            assert np.array_equal(store["wire_deposits"][k], rows)


@pytest.mark.parametrize(
    ("tree", "jagged", "text"),
    [
        ("image2d_wire_tree", {"_image_v._img": (12, {"": np.zeros(12, "f4")})}, "sizes add up to 20, the values are"),
        ("image2d_wire_tree", {"_image_v._n": (1, {"": np.array([20])})}, "1 images and 2 metas"),
        ("image2d_wire_tree", {"_image_v._n": (2, {"": np.array([11, 9])})}, "image 0 has 11 pixels, its meta says"),
        ("chstatus_wire_tree", {"_status_m._n": (2, {"": np.array([3, 4])})}, "sizes add up to 7, the values are 8"),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, tree, jagged, text):
    meta = {"._plane": [0, 1], "._row_count": [4, 4], "._col_count": [3, 2], "._p1._x": [0.0, 0.0]}
    meta |= {"._p1._y": [0.0, 0.0], "._p2._x": [3.0, 2.0], "._p2._y": [4.0, 4.0]}
    whole = {
        "image2d_wire_tree": {
            "_image_v._img": (20, {"": np.zeros(20, "f4")}),
            "_image_v._n": (2, {"": np.array([12, 8])}),
            "_image_v._meta": (2, {name: np.array(values) for name, values in meta.items()}),
        },
        "chstatus_wire_tree": {
            "_status_m": (2, {"._plane": np.array([0, 1])}),
            "_status_m._n": (2, {"": np.array([3, 5])}),
            "_status_m._status_v": (8, {"": np.full(8, 4)}),
        },
    }
    columns = {k: (np.array([n]), members) for k, (n, members) in (whole[tree] | jagged).items()}
    with RootWriter(tmp_path / "a.root", {"weft_provenance": {}}) as writer:
        writer.extend(tree, identity(1), columns)
    with pytest.raises(WeftError, match=f"{tree}: entry 0: {text}"):
        convert_file(tmp_path / "a.root", tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def backward(event):
    """The pixels of an image of four rows with the latest first."""
    return event._replace(row=3 - event.row)


def test_images_that_are_backward_in_time(tmp_path):
    for name, events in (("forward", EVENTS), ("backward", [backward(event) for event in EVENTS])):
        with RootWriter(tmp_path / f"{name}.root", {"weft_provenance": {}}) as writer:
            write_images(writer, "image2d_wire_tree", identity(3), PLANES, events)
            write_status(writer, "chstatus_wire_tree", identity(3), STATUS)
    forward = convert_file(tmp_path / "forward.root", tmp_path / "a.h5")
    turned = convert_file(tmp_path / "backward.root", tmp_path / "b.h5", tick_backward=True)
    assert turned.content_hash == forward.content_hash
    assert convert_file(tmp_path / "backward.root", tmp_path / "c.h5").content_hash != forward.content_hash


def write_as_larcv1(path, event, origin):
    """One event with metas of LArCV 1, whose origin is the left top corner, without sizes of ours."""
    sizes = [plane.rows * plane.cols for plane in PLANES]
    image = np.zeros(sum(sizes), np.float32)
    image[np.array([0, sizes[0]])[event.plane] + 4 * event.col + event.row] = event.value
    members = {
        "._plane": np.arange(2, dtype=np.uint16),
        "._row_count": np.array([4, 4], np.uint64),
        "._col_count": np.array([3, 5], np.uint64),
        "._origin._x": np.zeros(2),
        "._origin._y": np.full(2, origin),
        "._width": np.array([3.0, 5.0]),
        "._height": np.full(2, 24.0),
    }
    with RootWriter(path) as writer:
        vectors = {
            "_image_v._img": (np.array([sum(sizes)]), {"": image}),
            "_image_v._n": (np.array([2]), {"": np.array(sizes)}),
            "_image_v._meta": (np.array([2]), members),
        }
        writer.extend("image2d_wire_tree", identity(1), vectors)


def test_the_origin_of_images_that_are_backward_is_their_latest_tick(tmp_path):
    write_as_larcv1(tmp_path / "forward.root", EVENTS[0], 10.0)
    write_as_larcv1(tmp_path / "backward.root", backward(EVENTS[0]), 34.0)
    forward = convert_file(tmp_path / "forward.root", tmp_path / "a.h5")
    turned = convert_file(tmp_path / "backward.root", tmp_path / "b.h5", tick_backward=True)
    assert forward.kind == "larcv"
    with EventStore.open(turned.path) as store:
        meta = store["image2d_wire_meta"][0]
        assert meta[["min_y", "max_y"]].tolist() == [(10, 34), (10, 34)]
        assert np.asarray(store["image2d_wire"][0])[0, 3, 0] == 7.5
    assert turned.content_hash == forward.content_hash


def test_what_cannot_be_backward(tmp_path):
    with RootWriter(tmp_path / "a.root", {"weft_provenance": {}}) as writer:
        write_status(writer, "chstatus_wire_tree", identity(1), STATUS)
    with pytest.raises(WeftError, match=r"a\.root: no images \(image2d\) that could be backward in time; it has chst"):
        convert_file(tmp_path / "a.root", tmp_path / "a.h5", tick_backward=True)
