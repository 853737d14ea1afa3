"""Curation at the command line: looked at, decided, taken."""

from pathlib import Path

import numpy as np
import pytest
from command_line import weft

from weft.io.stack_files import find_stacks
from weft.io.tiff import TiffStack
from weft.io.tiff_write import write_ome_tiff

SHAPE = (2, 6, 7)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images with a probability each: sure, unsure, empty; and a second segmentation that is full."""
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for name, high in (("a", 0.9), ("b", 0.6), ("c", 0.1)):
        write_ome_tiff(folder / f"{name}.tif", rng.integers(0, 4000, SHAPE, np.uint16))
        values = np.full(SHAPE, 0.05, np.float32)
        values[:, 2:4] = high
        write_ome_tiff(folder / f"{name}_seg.tif", values)
        write_ome_tiff(folder / f"{name}_full.tif", np.ones(SHAPE, np.uint8))
    return folder


def labels(folder: Path) -> list[np.ndarray]:
    found = []
    for stack in find_stacks(folder):
        with TiffStack(stack.known["labels"]) as file:
            found.append(file.volume(0)[0])
    return found


def test_looked_at_decided_and_selected(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    review, out = tmp_path / "review", tmp_path / "out"
    places = ("--segmentation", "_seg", "--second", "_full")
    assert weft("curate", "review", images, review, *places, "--min-confidence", 0.8) == 0
    assert "3 images, 1 with a score above 0, 0 without a score" in capsys.readouterr().out
    assert len(list((review / "sheets").glob("*.png"))) == 3
    assert weft("curate", "select", review / "candidates.csv", out) == 1
    assert "which are for merge, not select" in capsys.readouterr().err
    for path in images.glob("*_full.tif"):
        path.unlink()
    assert weft("curate", "review", images, review, "--segmentation", "_seg", "--min-confidence", 0.8) == 0
    assert weft("curate", "select", review / "candidates.csv", out) == 0
    assert f"{out}: 1 made, 2 not kept" in capsys.readouterr().out
    # Somebody who has looked decides otherwise.
    (tmp_path / "mine.csv").write_text("image,score\na,0\nb,1\n")
    decided = ("--decisions", tmp_path / "mine.csv")
    assert weft("curate", "select", review / "candidates.csv", out, *decided, "--min-probability", 0.7) == 0
    assert "1 made, 2 not kept, 1 removed" in capsys.readouterr().out
    with TiffStack(out / "img_0002_CM.ome.tif") as file:
        assert np.array_equal(file.volume(0)[0, 0, :, 0], [1, 1, 0, 0, 1, 1])
    assert weft("curate", "select", review / "candidates.csv", out, "--segmentation", "_seg") == 1
    assert "a table names segmentations and masks itself" in capsys.readouterr().err
    write_ome_tiff(images / "a_seg.tif", np.full(SHAPE, 40000, np.uint16))
    assert weft("curate", "takeall", images, tmp_path / "one", "--segmentation", "_seg") == 1
    assert "one_class" in capsys.readouterr().err
    assert weft("curate", "takeall", images, tmp_path / "one", "--segmentation", "_seg", "--one-class") == 0
    assert labels(tmp_path / "one")[0].all()
    assert weft("curate", "review", images, review, "--segmentation", "_seg", "--min-foreground", 2) == 1
    assert "min_foreground" in capsys.readouterr().err


def test_takeall_and_merge(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = ("--second", "_full")
    mask = np.zeros(SHAPE[1:], np.uint8)
    mask[:, :3] = 1
    for name in "abc":
        write_ome_tiff(images / f"{name}_in.tif", mask, "YX")
    (tmp_path / "all.csv").write_text("image,score\na,1\nb,1\nc,0\n")
    out = tmp_path / "merged"
    places = ("--segmentation", "_seg", *second, "--merging", "_in", "--threshold", 0.7)
    assert weft("curate", "merge", images, out, *places, "--decisions", tmp_path / "all.csv") == 0
    made = labels(out)
    assert len(made) == 2
    assert all((one[..., :3] == 1).all() for one in made)
    assert np.array_equal(made[0][0, :, 4], [0, 0, 1, 1, 0, 0])
    assert not made[1][..., 3:].any()
    for name in "abc":
        (images / f"{name}_full.tif").unlink()
    capsys.readouterr()
    # In takeall, as in the others, a mask says what is left out.
    assert weft("curate", "takeall", images, tmp_path / "all", "--segmentation", "_seg", "--excluding", "_in") == 0
    assert "3 made" in capsys.readouterr().out
    with TiffStack(tmp_path / "all/img_0001_CM.ome.tif") as file:
        assert np.array_equal(file.volume(0)[0, 1], 1 - mask)
    assert weft("curate", "takeall", images, tmp_path / "all", "--segmentation", "_seg", "--excluding", "_in") == 0
    assert "3 up to date" in capsys.readouterr().out
