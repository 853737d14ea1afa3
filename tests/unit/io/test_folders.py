"""Folders that hold nothing to convert say what was expected, and which folders below do."""

import re
from pathlib import Path

import pytest
from image_folders import dataset, picture, save
from mesh_files_made import ply_of

from weft.errors import WeftError
from weft.io.convert import open_source
from weft.io.inspect import describe
from weft.io.ply import write_ply

ENDINGS = (
    "expected files that end with .ome.tiff, .ome.tif, .tiff, .tif (stacks), .png, .jpg, .jpeg, .bmp, .webp (images) "
    "or .ply, .obj (meshes)"
)


def said(folder: Path, kind: str = "auto") -> str:
    with pytest.raises(WeftError) as error:
        open_source(folder, kind)
    return str(error.value)


def test_an_empty_folder_names_the_endings_of_all_kinds(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "below").mkdir()
    assert said(tmp_path) == f"{tmp_path}: no stack, image or mesh in this folder: {ENDINGS}"
    assert said(tmp_path, "meshes") == said(tmp_path, "stacks") == said(tmp_path, "images") == said(tmp_path)
    with pytest.raises(WeftError, match=re.escape(ENDINGS)):
        describe(tmp_path)


def test_the_root_of_images_names_its_splits(tmp_path):
    root = dataset(tmp_path)
    assert said(root).endswith("; such files are in images/test, images/train: name one of these folders")
    assert said(root, "images") == said(root)
    assert said(root / "images").endswith("; such files are in test, train: name one of these folders")


def test_a_folder_of_folders_names_those_with_meshes_and_not_their_textures(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
        write_ply(tmp_path / name / "tile.ply", ply_of(textures=None))
    save(tmp_path / "textures/wall.png", picture())
    assert said(tmp_path).endswith("; such files are in a, b: name one of these folders")


def test_of_many_folders_the_first_are_named(tmp_path):
    for k in range(7):
        save(tmp_path / f"stacks_{k}/a.tif", picture())
    named = ", ".join(f"stacks_{k}" for k in range(5))
    assert said(tmp_path).endswith(f"; such files are in {named} and 2 more: name one of these folders")


def test_images_that_are_tiff_are_found_in_the_folder_images_where_asked_for(tmp_path):
    save(tmp_path / "images/a.tif", picture())
    assert open_source(tmp_path, "images").entries == 1
    assert said(tmp_path).endswith("; such files are in images: name one of these folders")
