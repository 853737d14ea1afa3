"""What is measured and drawn of segmentations before somebody decides about them."""

import numpy as np
import pytest
from matplotlib.image import imread
from stack_folders import volumes, write_stack

from weft.config.curated import Acceptance
from weft.errors import WeftError
from weft.io.png import write_png
from weft.io.tiff_write import write_ome_tiff
from weft.volumes.curation import candidates
from weft.volumes.curation.review import review
from weft.volumes.curation.sheet import contact_sheet, middle_slice, three_planes
from weft.volumes.curation.table import read_table

SHAPE = (3, 6, 7)


def test_png_is_what_others_read(tmp_path):
    for shape in ((5, 9), (4, 3, 3)):
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        read = imread(write_png(tmp_path / "a.png", image))
        assert np.array_equal(np.rint(read * 255).astype(np.uint8), image)


def test_slices_around_the_foreground():
    assert middle_slice(np.zeros(9)) == 4
    # Otsu parts the two halves of a profile: here after slice 2, the first of equals.
    profile = np.zeros(20, int)
    profile[[2, 12]] = 5
    assert middle_slice(profile) == 2
    assert three_planes(np.ones(21, int)) == (5, 9, 13)
    assert three_planes(np.array([9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])) == (0, 4, 8), "moved into the stack"
    assert three_planes(np.array([1, 1])) == (0, 0, 0)
    assert three_planes(np.array([0, 1, 1, 0])) == (0, 1, 2)


def test_a_sheet_is_two_rows_of_four(tmp_path):
    image = np.random.default_rng(0).random((9, 10, 12)).astype(np.float32)
    image[0, 0, 0] = np.nan
    labels = np.zeros((9, 10, 12), np.int16)
    labels[3:6, 2:4, 5:7], labels[0, 0, 0] = 1, 2
    excluded = np.zeros(labels.shape, bool)
    excluded[:, 9] = True
    sheet = contact_sheet(image, [labels], lambda z: excluded[z])
    assert sheet.shape == (2 * 10 + 4, 4 * 12 + 3 * 4, 3)
    tile = sheet[14:24, 16:28]  # below, the second column: the middle slice
    assert (tile[2:4, 5:7] == tile[2, 5]).all()
    assert tile[2, 5].any()
    assert not tile[0, 5].any()
    assert tile[9, 0, 0] > 0, "what is excluded is red"
    assert tile[9, 0, 1] < tile[9, 0, 0]
    assert sheet[14:24, 48:60][0, 0].any(), "the last column is the highest class along z"
    large = contact_sheet(np.zeros((1, 600, 300)), [np.zeros((1, 600, 300), int)] * 2)
    assert large.shape == (3 * 200 + 8, 4 * 100 + 12, 3), "thinned by 3, a row for each of two segmentations"


@pytest.fixture
def folder(tmp_path):
    """Two images with probabilities: the first sure, the second empty."""
    values = np.full(SHAPE, 0.25, np.float32)
    values[0] = 0.75
    for name, scale in (("a", 1.0), ("b", 0.5)):
        write_stack(tmp_path, name, image=volumes()["image"])
        write_ome_tiff(tmp_path / f"{name}_p.tif", values * np.float32(scale))
        write_ome_tiff(tmp_path / f"{name}_q.tif", (values > 0.5).astype(np.uint8)[::-1])
    return tmp_path


def test_measures_scores_and_sheets(folder):
    rows = candidates.of(folder, {"segmentation": "_p", "segmentation_2": "_q"})
    made = review(rows, folder / "review")
    assert [row.keep for row in made] == [None, None]
    read = read_table(folder / "review/candidates.csv")
    assert [(row.image, row.raw, row.sheet) for row in read] == [(row.image, row.raw, row.sheet) for row in made]
    assert read[0].measures == pytest.approx({"foreground": 1 / 3, "confidence": 0.75, "agreement": 0.0}, rel=1e-3)
    assert read[1].measures == pytest.approx({"foreground": 0, "confidence": np.nan, "agreement": 0}, nan_ok=True)
    assert (folder / "review" / read[0].sheet).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("accept", "kept"),
    [
        ({"min_confidence": 0.7}, [1, 0]),
        ({"min_confidence": 0.8}, [0, 0]),
        ({"min_foreground": 0.1}, [1, 0]),
        ({"max_foreground": 0.1}, [0, 1]),
        ({"min_foreground": 0.0, "max_foreground": 0.5}, [1, 1]),
        ({"min_agreement": 0.1}, [0, 0]),
        ({"min_agreement": 0.0}, [1, 1]),
    ],
)
def test_acceptance(folder, accept, kept):
    rows = candidates.of(folder, {"segmentation": "_p", "segmentation_2": "_q"})
    assert [row.score for row in review(rows, folder / "review", Acceptance(**accept))] == kept


def test_a_criterion_about_what_is_not_known(folder):
    (folder / "b_p.tif").unlink()
    with pytest.raises(WeftError, match=r"b\.ome\.tif: has no segmentation: expected .*b_p"):
        candidates.of(folder, {"segmentation": "_p", "excluding_mask": "_q"})
    rows = candidates.of(folder, {"segmentation": "_q", "excluding_mask": "_p"})
    assert [row.excluding_mask is None for row in rows] == [False, True]
    with pytest.raises(WeftError, match="a: min_confidence: its segmentation has no probabilities"):
        review(rows, folder / "review", Acceptance(min_confidence=0.5))
    with pytest.raises(WeftError, match="a: min_agreement: it has one segmentation"):
        review(rows, folder / "review", Acceptance(min_agreement=0.5))
    with pytest.raises(WeftError, match="no such file or folder"):
        candidates.of(folder / "none", {"segmentation": "_q"})
    with pytest.raises(WeftError, match="where are its segmentations"):
        candidates.of(folder, {})
