"""Folders of TIFF stacks become event stores."""

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile
from stack_folders import SPACING, volumes, write_stack

from weft.errors import WeftError
from weft.io.atomic import atomic_folder
from weft.io.check import check
from weft.io.convert import convert_file, open_source, recognise
from weft.io.stack_files import find_stacks
from weft.io.store import EventStore
from weft.io.tiff_write import write_ome_tiff
from weft.io.volume_products import spacing_of

REAL = Path(__file__).parents[4] / "shared/data/stardist3d"


def names_of(store):
    codes = store.products["origin"].codes["image"]
    return [(codes[int(store["origin"][i]["image"][0])], int(store["origin"][i]["time"][0])) for i in range(len(store))]


def test_a_folder_of_triples(tmp_path):
    stacks = {name: volumes(seed, (3 + seed, 6, 7)) for seed, name in enumerate(("img_001", "img_002"))}
    for name, arrays in stacks.items():
        write_stack(tmp_path / "a", name, **arrays)
    assert recognise(tmp_path / "a") == "stacks"
    done = convert_file(tmp_path / "a", tmp_path / "a.h5")
    assert (done.events, done.notes) == (2, {})
    assert check(tmp_path / "a.h5") == []
    with EventStore.open(tmp_path / "a.h5") as store:
        assert names_of(store) == [("img_001", 0), ("img_002", 0)]
        for i, arrays in enumerate(stacks.values()):
            assert spacing_of(store["spacing"][i]) == SPACING
            assert store["image"][i].dtype == np.uint16
            np.testing.assert_array_equal(store["image"][i][:], arrays["image"][None])
            for name in ("labels", "cost", "instances"):
                np.testing.assert_array_equal(store[name][i][:], arrays[name])
        about = store.files["0"].provenance["source"]
        assert about["images"]["img_002"]["shape"] == {"T": 1, "C": 1, "Z": 4, "Y": 6, "X": 7}
        assert len(store.files["0"].provenance["inputs"]) == 8


def test_a_plain_folder_without_labels_has_no_products_of_them(tmp_path):
    write_stack(tmp_path / "a", "x", image=volumes()["image"])
    convert_file(tmp_path / "a", tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        assert set(store.products) == {"image", "spacing", "origin"}


def test_what_only_some_images_have_is_filled_and_said(tmp_path):
    one, two = volumes(1), volumes(2)
    write_stack(tmp_path / "a", "one", **one)
    write_stack(tmp_path / "a", "two", image=two["image"])
    done = convert_file(tmp_path / "a", tmp_path / "a.h5")
    assert done.notes == {f"without {name}": ["two"] for name in ("labels", "cost", "instances")}
    with EventStore.open(tmp_path / "a.h5") as store:
        for name, value in (("labels", -1), ("cost", 1), ("instances", -1)):
            assert (store[name][1][:] == value).all()
            np.testing.assert_array_equal(store[name][0][:], one[name])


def test_a_single_file_is_the_same_event_as_in_its_folder(tmp_path):
    for seed, name in enumerate("abc"):
        write_stack(tmp_path / "s", name, **volumes(seed))
    convert_file(tmp_path / "s", tmp_path / "all.h5")
    convert_file(tmp_path / "s" / "b.ome.tif", tmp_path / "one.h5")
    with EventStore.open(tmp_path / "all.h5") as everything, EventStore.open(tmp_path / "one.h5") as one:
        assert one.events["uid"][0] == everything.events["uid"][1]
        np.testing.assert_array_equal(one["labels"][0][:], everything["labels"][1][:])
        uid = everything.events["uid"][1]
    write_stack(tmp_path / "s", "aa", **volumes(5))
    convert_file(tmp_path / "s", tmp_path / "more.h5")
    with EventStore.open(tmp_path / "more.h5") as more:
        assert more.events["uid"][2] == uid, "an image that is added does not move the others"
    shutil.copytree(tmp_path / "s", tmp_path / "elsewhere" / "t")
    convert_file(tmp_path / "elsewhere" / "t", tmp_path / "t.h5")
    with EventStore.open(tmp_path / "t.h5") as other:
        assert uid not in other.events["uid"], "images of another folder are other events"


def test_ranges_join_to_the_whole(tmp_path):
    for seed, name in enumerate("abc"):
        write_stack(tmp_path / "s", name, **volumes(seed))
    whole = convert_file(tmp_path / "s", tmp_path / "all.h5")
    parts = [convert_file(tmp_path / "s", tmp_path / f"{a}.h5", start=a, stop=b) for a, b in ((0, 2), (2, 3))]
    assert [part.events for part in parts] == [2, 1]
    with EventStore.open(tmp_path / "2.h5") as last, EventStore.open(whole.path) as store:
        np.testing.assert_array_equal(last["image"][0][:], store["image"][2][:])
        assert last.events["uid"][0] == store.events["uid"][2]
        assert names_of(last) == [("c", 0)]


def test_each_time_point_is_an_event(tmp_path):
    image = np.random.default_rng(1).integers(0, 255, (3, 2, 4, 5, 6), np.uint8)
    labels = (image[:, :1] > 100).astype(np.uint8)
    write_stack(tmp_path / "s", "film", image=image, labels=labels)
    done = convert_file(tmp_path / "s", tmp_path / "a.h5")
    assert done.events == 3
    with EventStore.open(tmp_path / "a.h5") as store:
        assert names_of(store) == [("film", 0), ("film", 1), ("film", 2)]
        for time in range(3):
            np.testing.assert_array_equal(store["image"][time][:], image[time])
            np.testing.assert_array_equal(store["labels"][time][:], labels[time, 0])


@pytest.mark.parametrize(
    ("stored", "kept"),
    [("u1", "u1"), ("u2", "u2"), ("f4", "f4"), ("i2", "f4"), ("f8", "f4"), ("i4", "f4"), ("i1", "f4")],
)
def test_intensities_keep_their_type_and_precision(tmp_path, stored, kept):
    values = np.arange(60).reshape(3, 4, 5).astype(stored)
    write_stack(tmp_path / "s", "a", image=values)
    convert_file(tmp_path / "s", tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store["image"][0].dtype == np.dtype(kept)
        np.testing.assert_array_equal(store["image"][0][0], values)


def test_a_folder_of_several_types_has_the_one_that_holds_all(tmp_path):
    values = np.arange(60).reshape(3, 4, 5)
    for name, dtypes, expected in (("a", "u1 u2", "u2"), ("b", "u2 f4", "f4")):
        for k, dtype in enumerate(dtypes.split()):
            write_stack(tmp_path / name, f"{k}", image=(values * 4).astype(dtype))
        convert_file(tmp_path / name, tmp_path / f"{name}.h5")
        with EventStore.open(tmp_path / f"{name}.h5") as store:
            for k in range(2):
                assert store["image"][k].dtype == np.dtype(expected)
                np.testing.assert_array_equal(store["image"][k][0], values * 4)


def test_masks_of_0_and_255_are_class_1_and_class_255_is_itself(tmp_path):
    arrays = volumes()
    write_stack(tmp_path / "s", "a", image=arrays["image"], labels=arrays["labels"] * 255)
    write_stack(tmp_path / "s", "b", image=arrays["image"], labels=np.where(arrays["cost"] > 0.5, 255, 1).astype("u1"))
    done = convert_file(tmp_path / "s", tmp_path / "a.h5")
    assert done.notes == {"masks": "labels of 0 and 255 are read as 0 and 1"}
    with EventStore.open(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store["labels"][0][:], arrays["labels"])
        assert set(np.unique(store["labels"][1][:])) == {1, 255}


def test_labels_come_from_instances_where_there_are_none(tmp_path):
    arrays = volumes()
    arrays["instances"][0, 0] = -1
    write_stack(tmp_path / "s", "a", image=arrays["image"], instances=arrays["instances"])
    done = convert_file(tmp_path / "s", tmp_path / "a.h5")
    assert "no files of labels" in done.notes["labels"]
    with EventStore.open(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store["labels"][0][:], np.sign(arrays["instances"]))
    convert_file(tmp_path / "s", tmp_path / "b.h5", products={"labels": None})
    with EventStore.open(tmp_path / "b.h5") as store:
        assert "labels" not in store.products


def test_other_layouts_of_files(tmp_path):
    arrays = volumes()
    for name in ("a", "b"):
        write_stack(tmp_path / "images", name, image=arrays["image"])
        write_ome_tiff(tmp_path / "masks" / f"{name}.tif", arrays["labels"])
        write_ome_tiff(tmp_path / "images" / f"{name}_w.tif", arrays["cost"])
    chosen = {"labels": "../masks/{name}.tif", "cost": "_w", "instances": None}
    found = find_stacks(tmp_path / "images", chosen)
    assert [(stack.name, {k: p.name for k, p in stack.known.items()}) for stack in found] == [
        (name, {"labels": f"{name}.tif", "cost": f"{name}_w.tif"}) for name in ("a", "b")
    ]
    assert found[0].known["labels"] == tmp_path / "masks" / "a.tif"
    convert_file(tmp_path / "images", tmp_path / "a.h5", products=chosen)
    with EventStore.open(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store["labels"][1][:], arrays["labels"])
        np.testing.assert_array_equal(store["cost"][1][:], arrays["cost"])
    with pytest.raises(WeftError, match="a stack has no 'truth', only labels, cost, instances"):
        find_stacks(tmp_path / "images", {"truth": "_GT"})


def test_voxel_size_that_is_given(tmp_path):
    image = volumes()["image"]
    write_stack(tmp_path / "s", "a", image=image, spacing=(np.nan, 0.1, 0.1))
    convert_file(tmp_path / "s", tmp_path / "a.h5", spacing=(0.5, 0.1, 0.1))
    with EventStore.open(tmp_path / "a.h5") as store:
        assert spacing_of(store["spacing"][0]) == (0.5, 0.1, 0.1)
    with pytest.raises(WeftError, match=r"a.ome.tif: voxel size .* but \(0.5, 0.2, 0.1\) was given"):
        convert_file(tmp_path / "s", tmp_path / "a.h5", spacing=(0.5, 0.2, 0.1))


def test_volumes_are_read_in_slabs_and_give_the_same_content(tmp_path, monkeypatch):
    write_stack(tmp_path / "s", "a", **volumes(3, (9, 6, 7)))
    whole = convert_file(tmp_path / "s", tmp_path / "a.h5").content_hash
    monkeypatch.setattr("weft.io.stack_checks._SLAB_BYTES", 4 * 2 * 6 * 7)
    assert convert_file(tmp_path / "s", tmp_path / "b.h5").content_hash == whole


def test_events_of_ours_have_their_numbers(tmp_path):
    for k in (4, 2):
        write_stack(tmp_path / "s", f"img_{k}", image=volumes(k)["image"], record={"event": [1, 7, k]})
    convert_file(tmp_path / "s", tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store.events[["run", "subrun", "event"]].tolist() == [(1, 7, 2), (1, 7, 4)]
        uid = store.events["uid"][0]
    shutil.copytree(tmp_path / "s", tmp_path / "t")
    convert_file(tmp_path / "t", tmp_path / "b.h5")
    with EventStore.open(tmp_path / "b.h5") as store:
        assert store.events["uid"][0] == uid, "wherever they lie"


def bad(**changes):
    arrays = volumes()
    for name, change in changes.items():
        arrays[name] = change(arrays[name].copy())
    return arrays


def put(value, dtype="f4"):
    def change(array):
        array = array.astype(dtype)
        array[1, 2, 3] = value
        return array

    return change


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (bad(image=put(np.nan)), "a.ome.tif: slices from 0: 1 values are not finite"),
        (bad(image=put(2**25 + 1, "i4")), "whole in float32 only to"),
        (bad(labels=put(0.5)), "a_GT.ome.tif: labels: 1 values are no whole numbers"),
        (bad(labels=put(40000, "i4")), "a_GT.ome.tif: labels: numbers from 0 to 40000"),
        (bad(cost=put(-1)), "a_CM.ome.tif: cost: values down to -1"),
        (bad(cost=put(np.inf)), "a_CM.ome.tif: cost: 1 values are not finite"),
        (bad(instances=put(0.5)), "a_instances.ome.tif: instances: 1 values are no whole"),
        (bad(labels=lambda a: a[:, :5]), r"labels \(a_GT.ome.tif\) have shape 3Z×5Y×7X, the image 3Z×6Y×7X"),
        (bad(labels=lambda a: np.stack([a, a])), r"labels \(a_GT.ome.tif\) have shape 2C×3Z×6Y×7X"),
        (bad(cost=lambda a: np.stack([a[None], a[None]])), r"cost \(a_CM.ome.tif\) have shape 2T×3Z"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(tmp_path, arrays, message):
    write_stack(tmp_path / "s", "a", **arrays)
    with pytest.raises(WeftError, match=message):
        convert_file(tmp_path / "s", tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def test_folders_that_are_none(tmp_path):
    image = volumes()["image"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden.tif").write_bytes(b"")
    write_ome_tiff(tmp_path / "orphan" / "a_GT.ome.tif", image)
    write_stack(tmp_path / "channels", "a", image=image)
    write_stack(tmp_path / "channels", "b", image=np.stack([image, image]))
    write_stack(tmp_path / "twins", "a", image=image)
    write_ome_tiff(tmp_path / "twins" / "a.tif", image)
    write_stack(tmp_path / "pair", "a", image=image, labels=image)
    for name, message in (
        ("empty", r"no stack, image or mesh in this folder: expected files that end with .ome.tiff, .ome.tif"),
        ("orphan", r"a_GT.ome.tif: by its name the labels of an image .*a.ome.tif"),
        ("channels", r"different numbers of channels \(a.ome.tif: 1, b.ome.tif: 2\)"),
        ("twins", "two images are called a"),
        ("pair/a_GT.ome.tif", "name the image, or the folder"),
        ("nowhere", "no such file"),
    ):
        with pytest.raises(WeftError, match=message):
            convert_file(tmp_path / name, tmp_path / "a.h5")


def test_options_that_are_for_other_files(tmp_path):
    write_stack(tmp_path / "s", "a", image=volumes()["image"])
    with pytest.raises(WeftError, match="backward in time, this file is stacks"):
        convert_file(tmp_path / "s", tmp_path / "a.h5", tick_backward=True)
    with pytest.raises(WeftError, match="asked to read as larcv, but the file is stacks"):
        convert_file(tmp_path / "s", tmp_path / "a.h5", kind="larcv")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real sample is not there")
def test_the_stardist_sample(tmp_path):
    source = REAL / "img3d.tif"
    done = convert_file(source, tmp_path / "a.h5", products={"instances": "mask3d.tif"}, spacing=(2, 0.5, 0.5))
    assert done.events == 1
    with EventStore.open(tmp_path / "a.h5") as store:
        image, instances, labels = (store[name][0][:] for name in ("image", "instances", "labels"))
    assert (image.shape, image.dtype, int(image.min()), int(image.max())) == ((1, 31, 61, 57), "u2", 104, 375)
    np.testing.assert_array_equal(image[0], tifffile.imread(source))
    assert len(np.unique(instances)) == 52
    assert labels.mean() == pytest.approx(0.385, abs=0.001)
    # Both files lie in one folder without the endings of ours: one is told to be the mask.
    assert len(find_stacks(REAL)) == 2
    assert [stack.name for stack in find_stacks(REAL, {"instances": "mask3d.tif"})] == ["img3d"]
    assert open_source(REAL).entries == 2


def test_a_folder_that_was_left_half_written_is_removed_by_the_next(tmp_path):
    gone = tmp_path / f".s.{socket.gethostname()}.999999999.partial"
    gone.mkdir()
    (gone / "a.tif").touch()
    with atomic_folder(tmp_path / "s") as folder:
        assert not gone.exists()
        (folder / "b.tif").touch()
        assert not (tmp_path / "s").exists()
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["b.tif"]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
