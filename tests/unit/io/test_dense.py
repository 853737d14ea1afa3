"""Dense products that are written slab by slab."""

from itertools import tee

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io import content, dense, writer
from weft.io.conform import conform_all
from weft.io.dense import DenseBlocks, pieces
from weft.io.products import Column, EventId, Schema
from weft.io.store import EventStore, StoreWriter, content_hash

IMAGE = Schema("image", "dense", np.dtype("f4"), (Column("intensity"),))
LABELS = Schema("labels", "dense", np.dtype("i2"), (Column("class"),))


def slabs(array, depth, axis, started=False):
    cuts = range(0, array.shape[axis], depth)
    parts = (np.take(array, range(z, min(z + depth, array.shape[axis])), axis) for z in cuts)
    return zip(cuts, parts, strict=True) if started else parts


def write(path, *events, schemas=(IMAGE,)):
    with StoreWriter(path, schemas, provenance={}) as store:
        for i, products in enumerate(events):
            store.append(EventId(1, 1, i, i + 1), products)
    return store.content_hash


@pytest.mark.parametrize("shape", [(1, 37, 20, 30), (3, 37, 20, 30), (2, 1, 5, 4), (40, 9, 11), (7,), (2, 0, 4, 4)])
@pytest.mark.parametrize("depth", [1, 5, 16, 100])
@pytest.mark.parametrize("started", [False, True])
def test_slabs_give_the_content_hash_and_the_values_of_the_whole_array(tmp_path, monkeypatch, shape, depth, started):
    monkeypatch.setattr(writer, "_LAYER_BYTES", 30000)  # several layers of chunks
    monkeypatch.setattr(content, "PIECE_BYTES", 5000)  # read back in many pieces
    whole = np.random.default_rng(1).random(shape, np.float32)
    expected = write(tmp_path / "whole.h5", {"image": whole})
    axis = max(len(shape) - 3, 0)
    blocks = DenseBlocks(shape, whole.dtype, slabs(whole, depth, axis, started))
    assert write(tmp_path / "slabs.h5", {"image": blocks}) == expected
    assert content_hash(tmp_path / "slabs.h5") == content_hash(tmp_path / "whole.h5") == expected
    with EventStore.open(tmp_path / "slabs.h5") as store:
        assert np.array_equal(np.asarray(store["image"][0]), whole)
        assert store["image"][0].shape == shape


def test_several_arrays_of_an_event_that_share_their_source_hold_one_slab_between_them(tmp_path):
    ahead = []
    volume = np.random.default_rng(2).random((2, 30, 8, 8)).astype(np.float32)

    def source():
        for z in range(0, 30, 4):
            ahead.append(z)
            yield volume[:, z : z + 4]

    first, second = tee(source())
    seen = []

    def labels():
        for slab in second:
            seen.append(len(ahead))
            yield slab.argmax(0).astype(np.int16)

    products = {
        "image": DenseBlocks(volume.shape, volume.dtype, first),
        "labels": DenseBlocks(volume.shape[1:], np.dtype("i2"), labels()),
    }
    write(tmp_path / "a.h5", products, schemas=(IMAGE, LABELS))
    assert seen == list(range(1, 9)), "labels of a slab are taken before the next slab is made"
    with EventStore.open(tmp_path / "a.h5") as store:
        assert np.array_equal(np.asarray(store["labels"][0]), volume.argmax(0))


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([np.zeros((1, 4, 5, 5))], r"slabs end after 4 of 9 planes"),
        ([np.zeros((1, 4, 5, 5)), np.zeros((1, 6, 5, 5))], r"starts at 4 does not continue the 4 of 9 planes"),
        ([np.zeros((1, 4, 5, 4))], r"shape \(1, 4, 5, 4\) that starts at 0"),
        ([(2, np.zeros((1, 4, 5, 5)))], r"starts at 2 does not continue the 0 of 9"),
        ([np.zeros((1, 9, 5, 5), complex)], "type complex128"),
    ],
)
def test_slabs_that_do_not_make_the_whole_are_refused_and_nothing_is_left(tmp_path, blocks, reason):
    with pytest.raises(WeftError, match=reason) as caught:
        write(tmp_path / "a.h5", {"image": DenseBlocks((1, 9, 5, 5), np.dtype("f4"), iter(blocks))})
    assert "event 1/1/0 (number 0): image" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_slabs_are_cast_where_no_value_changes(tmp_path):
    labels = np.arange(60).reshape(3, 4, 5)
    write(tmp_path / "a.h5", {"labels": DenseBlocks((3, 4, 5), labels.dtype, iter(labels[:, None]))}, schemas=(LABELS,))
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store["labels"][0].dtype == np.int16
        assert np.array_equal(np.asarray(store["labels"][0]), labels)


def test_blocks_become_an_array_where_one_is_asked_for():
    whole = np.arange(2 * 7 * 3 * 3).reshape(2, 7, 3, 3)
    assert np.array_equal(np.asarray(DenseBlocks(whole.shape, whole.dtype, slabs(whole, 3, 1))), whole)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4, 5), (1, 1, 7), (4, 0)])
@pytest.mark.parametrize("limit", [1, 8, 50, 100000])
def test_pieces_follow_the_order_of_bytes_and_keep_to_the_limit(shape, limit):
    array = np.arange(np.prod(shape)).reshape(shape)
    parts = [array[piece] for piece in pieces(shape, 1, limit)]
    assert all(part.size <= max(limit, 1) for part in parts)
    assert np.array_equal(np.concatenate([part.ravel() for part in parts]) if parts else np.empty(0), array.ravel())


def test_memory_does_not_grow_with_the_length_of_a_volume(tmp_path):
    import tracemalloc

    def peak(planes):
        plane = np.zeros((2, 4, 200, 200), np.float32)
        blocks = DenseBlocks((2, planes, 200, 200), plane.dtype, (plane for _ in range(planes // 4)))
        tracemalloc.start()
        write(tmp_path / f"{planes}.h5", {"image": blocks})
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(16)
    assert peak(400) < dense.PIECE_BYTES + (20 << 20) < 400 * 2 * 200 * 200 * 4


def test_what_stays_in_memory_is_put_together():
    labels = np.arange(60).reshape(3, 4, 5)
    blocks = DenseBlocks((3, 4, 5), labels.dtype, iter(labels[:, None]))
    made = conform_all([LABELS], {"labels": blocks}, "event 0", whole=True)["labels"]
    assert isinstance(made, np.ndarray)
    assert made.dtype == np.int16
    assert np.array_equal(made, labels)
