"""``classes.txt``: which ids are classes, of images and of meshes."""

import re

import numpy as np
import pytest
from image_folders import CLASSES, dataset, ids, save
from mesh_files_made import write_tile

from weft.errors import WeftError
from weft.io.class_files import read_classes
from weft.io.convert import convert_file
from weft.io.image_export import _ids
from weft.io.store import EventStore


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 road\nroof\n", "line 2: 'roof', expected <id> <name>"),
        ("0 road\n0 roof\n", "line 2"),
        ("0 road\n1 road\n", "each id and each name once"),
        ("-1 road\n", "an id of 0 or more"),
        ("255 ignore\n", "names no class"),
    ],
)
def test_classes_that_say_nothing(tmp_path, text, said):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(WeftError, match=re.escape(said)):
        read_classes(tmp_path / "classes.txt")


def test_classes_of_the_seed(tmp_path):
    (tmp_path / "classes.txt").write_text("classes.txt\n# ids\n0 background\n1 road\n\n2 tall building\n")
    assert read_classes(tmp_path / "classes.txt") == {0: "background", 1: "road", 2: "tall building"}
    (tmp_path / "classes.txt").write_bytes(
        b"\xef\xbb\xbf0 background\r\n1\troad\r\n2  tall building\r\n"
    )  # of an editor
    assert read_classes(tmp_path / "classes.txt") == {0: "background", 1: "road", 2: "tall building"}
    (tmp_path / "classes.txt").write_text(CLASSES + "254 ignore\n")
    assert list(read_classes(tmp_path / "classes.txt").values()).count("ignore") == 2


@pytest.mark.parametrize("name", ["Ignore", "UNCLASSIFIED", "unlabelled", "Unlabeled"])
def test_what_is_no_class_is_called_alike_in_images_and_meshes(tmp_path, name):
    root = dataset(tmp_path / "images")
    (root / "classes.txt").write_text(CLASSES.replace("ignore", name))
    save(root / "masks/test/street_0.png", np.where(ids() == 10, 255, 0).astype(np.uint8))
    convert_file(root / "images/test", tmp_path / "images.h5")
    with EventStore.open(tmp_path / "images.h5") as store:
        assert store.products["mask"].codes["class"] == {0: "road", 1: "building", 2: "car"}
        assert np.unique(store["mask"][0]).tolist() == [-1, 0]
    write_tile(tmp_path / "meshes", labels=[1, 1, 3, 3, 3, 3, 1, 0])
    (tmp_path / "meshes/classes.txt").write_text(f"0 {name}\n1 ground\n3 house\n")
    convert_file(tmp_path / "meshes", tmp_path / "meshes.h5")
    with EventStore.open(tmp_path / "meshes.h5") as store:
        assert store.products["face_labels"].codes["class"] == {0: "ground", 1: "house"}
        assert store["face_labels"][0][:, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, -1]


def test_stores_of_before_in_which_unclassified_was_a_class_are_still_exported():
    ids, ignored = _ids(["Unclassified", "road"], {0: "Unclassified", 1: "road"})
    assert (ids.tolist(), ignored) == ([0, 1], 255), "what is ignored has not the id of a class"
    assert _ids(["road"], {0: "Unclassified", 1: "road"})[1] == 0


def test_ids_of_meshes_may_be_below_zero(tmp_path):
    write_tile(tmp_path, labels=[1, 1, 3, 3, 3, -2, 1, -1])
    (tmp_path / "classes.txt").write_text("-1 unclassified\n1 terrain\n3 building\n-2 never flown over\n")
    assert read_classes(tmp_path / "classes.txt", negative=True)[-1] == "unclassified"
    convert_file(tmp_path, tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store.products["face_labels"].codes["class"] == {0: "terrain", 1: "building"}
        assert store["face_labels"][0][:, 0].tolist() == [0, 0, 1, 1, 1, -1, 0, -1]
    for text, said in (("--1 x\n", "a whole number as its id"), ("-1 terrain\n", "names no class")):
        (tmp_path / "classes.txt").write_text(text)
        with pytest.raises(WeftError, match=said):
            convert_file(tmp_path, tmp_path / "b.h5")
