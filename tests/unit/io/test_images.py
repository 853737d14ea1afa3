"""Folders of images: which files belong together, what is read of them, and what is refused by name."""

import numpy as np
import pytest
from image_folders import dataset, ids, picture, save
from PIL import Image

from weft.errors import WeftError
from weft.io.convert import convert_file, open_source, recognise
from weft.io.image_files import files_of, find_images, is_images, other_files
from weft.io.image_reading import read_mask, read_picture
from weft.io.inspect import describe
from weft.io.store import EventStore


def test_masks_lie_in_the_folder_masks_of_the_same_split(tmp_path):
    root = dataset(tmp_path)
    found = find_images(root / "images/test")
    assert [image.name for image in found] == ["street_0", "street_1"]
    assert found[1].mask == root / "masks/test/street_1.png"
    assert set(files_of(root / "images/test")) == {
        *(root / "images/test").iterdir(), *(root / "masks/test").iterdir(), root / "classes.txt"
    }  # fmt: skip
    assert recognise(root / "images/test") == "images"


def test_masks_beside_images_and_elsewhere(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.jpg", picture())
        save(tmp_path / f"{name}_mask.png", ids())
    save(tmp_path / "labels/a_ids.png", ids())
    # Somewhere above there may be a folder of that name that has nothing to do with them.
    save(tmp_path / "images/mine/c.jpg", picture())
    save(tmp_path / "images/mine/c_mask.png", ids())
    assert [image.mask.name for image in find_images(tmp_path / "images/mine")] == ["c_mask.png"]
    assert [image.mask.name for image in find_images(tmp_path)] == ["a_mask.png", "b_mask.png"]
    files = sorted(tmp_path.glob("*.*"))
    assert [file.name for file in other_files(files, {})] == ["a_mask.png", "b_mask.png"]
    (one,) = find_images(tmp_path / "a.jpg", {"mask": "labels/{name}_ids.png"})
    assert one.mask == tmp_path / "labels/a_ids.png"
    assert all(image.mask is None for image in find_images(tmp_path, {"mask": None}))
    with pytest.raises(WeftError, match="'labels': images have masks only"):
        find_images(tmp_path, {"labels": "_GT"})


def test_what_is_no_folder_of_images(tmp_path):
    save(tmp_path / "meshes/texture.jpg", picture())
    (tmp_path / "meshes/tile.ply").write_text("ply\n")
    assert not is_images(tmp_path / "meshes")
    save(tmp_path / "stacks/preview.png", picture())
    save(tmp_path / "stacks/a.tif", picture())
    assert not is_images(tmp_path / "stacks")
    save(tmp_path / "pages/a.tif", picture())
    assert recognise(tmp_path / "pages") == "stacks"
    assert open_source(tmp_path / "pages", "images").entries == 1, "TIFF are images where they are asked for"


def test_conversion(tmp_path):
    root = dataset(tmp_path)
    done = convert_file(root / "images/train", tmp_path / "a.h5")
    assert (done.kind, done.events) == ("images", 2)
    with EventStore.open(tmp_path / "a.h5") as store:
        assert np.array_equal(store["picture"][0][:], picture(0).transpose(2, 0, 1))
        number = {0: 0, 10: 1, 30: 2, 255: -1}
        assert np.array_equal(store["mask"][1][:], np.vectorize(number.get)(ids(1)))
        assert store["mask"].schema.codes["class"] == {0: "road", 1: "building", 2: "car"}
        assert store["origin"].schema.codes["image"][int(store["origin"][1]["image"][0])] == "street_1"
        train = set(store.events["uid"].tolist())
    convert_file(root / "images/test", tmp_path / "b.h5")
    with EventStore.open(tmp_path / "b.h5") as store:
        assert not train & set(store.events["uid"].tolist())


def test_an_image_without_a_mask_is_not_judged(tmp_path):
    root = dataset(tmp_path)
    (root / "masks/train/street_0.png").unlink()
    done = convert_file(root / "images/train", tmp_path / "a.h5")
    assert done.notes["without mask"] == ["street_0"]
    with EventStore.open(tmp_path / "a.h5") as store:
        assert (store["mask"][0][:] == -1).all()
        assert (store["mask"][1][:] >= 0).any()


def test_masks_that_are_called_otherwise_are_named(tmp_path):
    root = dataset(tmp_path)
    for path in list((root / "masks/train").iterdir()):
        path.rename(path.with_name(f"{path.stem}_ids.png"))
    with pytest.raises(WeftError, match=r"no image has a mask, but there are 2 in .*masks/train, such as street_0_ids"):
        convert_file(root / "images/train", tmp_path / "a.h5")
    done = convert_file(root / "images/train", tmp_path / "a.h5", products={"mask": "../../masks/train/{name}_ids.png"})
    assert not done.notes
    save(root / "masks/train/street_0.png", ids())
    done = convert_file(root / "images/train", tmp_path / "b.h5")
    assert done.notes["masks without an image"] == ["street_0_ids.png", "street_1_ids.png"]
    assert done.notes["without mask"] == ["street_1"]
    assert convert_file(root / "images/train", tmp_path / "c.h5", products={"mask": None}).notes == {}
    (root / "masks/train/street_0.png").unlink()
    done = convert_file(root / "images/train", tmp_path / "d.h5", products={"mask": "../../masks/train/{name}.png"})
    assert "masks without an image" not in done.notes  # a place that is said may hold those of others


def test_a_mask_that_does_not_fit_is_named(tmp_path):
    root = dataset(tmp_path)
    where = root / "masks/train/street_1.png"
    save(where, ids(1, (20, 29)))
    with pytest.raises(WeftError, match=r"street_1\.png: a mask of 20 × 29 pixels.*street_1\.png has 20 × 30"):
        convert_file(root / "images/train", tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()
    wrong = ids(1)
    wrong[0, :3] = (7, 9, 7)
    save(where, wrong)
    with pytest.raises(WeftError, match=r"street_1\.png: ids 7, 9 in 3 pixels are no classes; .*10 building"):
        convert_file(root / "images/train", tmp_path / "a.h5")
    save(where, picture())
    with pytest.raises(WeftError, match=r"street_1\.png: a mask of mode RGB"):
        convert_file(root / "images/train", tmp_path / "a.h5")
    where.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(WeftError, match=r"street_1\.png: cannot be read as an image"):
        convert_file(root / "images/train", tmp_path / "a.h5")


def test_the_table_of_inspect_has_all_that_is_wrong(tmp_path):
    root = dataset(tmp_path)
    save(root / "masks/train/street_1.png", ids(1, (5, 30)))
    (root / "masks/train/street_0.png").unlink()
    first, second = open_source(root / "images/train").survey(smallest=(32, 16))
    assert first.warnings == ("no mask",)
    assert "20 × 30 pixels, patches have 32 × 16" in first.problems
    assert any("5 × 30" in text for text in second.problems)
    assert second.ignored == pytest.approx((ids(1, (5, 30)) == 255).mean())


def test_inspect_lists_all_images_where_some_are_damaged(tmp_path):
    root = dataset(tmp_path, count=4)
    folder = root / "images/train"
    folder.joinpath("street_1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    save(root / "masks/train/street_2.png", picture())
    cut = folder / "street_3.png"
    cut.write_bytes(cut.read_bytes()[:-200])
    good, nothing, coloured, short = describe(folder)["images"]
    assert good["problems"] == ()
    assert (nothing["image"], nothing["size"], len(nothing["problems"])) == ("street_1", None, 1)
    assert nothing["problems"][0].startswith("cannot be read as an image")
    assert coloured["size"] == (20, 30)
    assert coloured["problems"][0].startswith("mask: a mask of mode RGB: expected the id")
    assert (short["image"], short["size"]) == ("street_3", None)
    assert "truncated" in short["problems"][0]
    with pytest.raises(WeftError, match=r"train/street_1\.png: cannot be read as an image"):
        convert_file(folder, tmp_path / "a.h5", start=3)
    for path in folder.iterdir():
        path.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert all(row["problems"] for row in describe(folder)["images"])


def test_types_of_pictures(tmp_path):
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    assert np.array_equal(read_picture(save(tmp_path / "deep.png", deep))[0], deep[None])
    floats = (deep / 600).astype(np.float32)
    assert np.array_equal(read_picture(save(tmp_path / "f.tif", floats))[0], floats[None])
    alpha = np.dstack([picture(), np.full((20, 30), 7, np.uint8)])
    array, remarks = read_picture(save(tmp_path / "alpha.png", alpha))
    assert np.array_equal(array, picture().transpose(2, 0, 1))
    assert remarks == ["transparency left out"]
    Image.fromarray(picture()).quantize(8).save(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png")[0].shape == (3, 20, 30)
    assert read_mask(tmp_path / "p.png").max() < 8, "of a palette the numbers are the ids"
    save(tmp_path / "mixed/a.png", picture())
    save(tmp_path / "mixed/b.png", deep)
    with pytest.raises(WeftError, match=r"different types \(a\.png: uint8, b\.png: uint16\)"):
        open_source(tmp_path / "mixed")


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side
    path = save(tmp_path / "a.png", picture(), exif=exif)
    array, remarks = read_picture(path)
    assert np.array_equal(array, np.rot90(picture(), -1).transpose(2, 0, 1))
    assert remarks
    assert open_source(tmp_path).about["images"]["a"]["size"] == [30, 20]
    save(tmp_path / "a_mask.png", ids(0, (30, 20)))
    convert_file(tmp_path, tmp_path / "a.h5")
    save(tmp_path / "a_mask.png", ids(0, (20, 30)))
    with pytest.raises(WeftError, match=r"has 30 × 20 once it is turned as its camera says; turn the mask likewise"):
        convert_file(tmp_path, tmp_path / "a.h5")
