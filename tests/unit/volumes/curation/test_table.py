"""Tables of curation: names, scores and paths as people write them, and what is wrong with them in one line."""

import math
from pathlib import Path

import pytest

from weft.errors import WeftError
from weft.volumes.curation.places import Place
from weft.volumes.curation.table import Row, decided, files_of, read_table, write_table


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_what_is_written_is_read(tmp_path):
    rows = [
        Row("a", 1, Place(tmp_path / "x/a.tif", 1), Place(tmp_path / "s.h5", 0), score=1.0),
        Row("b", None, Place(tmp_path / "b.h5", 3), Place(tmp_path / "b_seg.tif"), measures={"confidence": 0.25}),
        Row("c", 0, Place(tmp_path / "c.tif"), Place(tmp_path / "d.tif"), Place(tmp_path / "e.tif"), 0.0,
            Place(tmp_path.parent / "out.geojson"), Place(tmp_path / "in.tif"), {}, "sheets/c.png", "dim"),
    ]  # fmt: skip
    write_table(tmp_path / "t.csv", rows)
    assert read_table(tmp_path / "t.csv") == rows
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("a,1,x/a.tif#1,s.h5#0,,1,")
    # A folder that is moved with its table takes the paths along.
    (tmp_path / "moved").mkdir()
    moved = read_table((tmp_path / "t.csv").rename(tmp_path / "moved/t.csv"))
    assert moved[0].raw == Place(tmp_path / "moved/x/a.tif", 1)
    assert files_of(tmp_path / "moved/t.csv") == [
        tmp_path / "moved/t.csv", tmp_path / "out.geojson", tmp_path / "moved/in.tif",
    ]  # fmt: skip


def test_columns_of_the_allen_curator(tmp_path):
    rows = read_table(
        table(tmp_path, "raw,seg,score,mask\na.tif,a_seg.tif,1,\nb.tif,b_seg.tif,0,b_mask.tif\nc.tif,c_seg.tif,-1,\n")
    )
    assert [row.image for row in rows] == ["a", "b", "c"]
    assert [row.keep for row in rows] == [True, False, None]
    assert rows[1].excluding_mask == Place(tmp_path / "b_mask.tif")
    merged = read_table(
        table(tmp_path, "raw,seg1,seg2,score,merging_mask,excluding_mask\na.tif,b.tif,c.tif,1,d.tif,\n")
    )
    assert merged[0].segmentation_2 == Place(tmp_path / "c.tif")
    assert merged[0].merging_mask == Place(tmp_path / "d.tif")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,scor\na,1\n", r"unknown column 'scor'.*score"),
        ("image,score\na,good\n", r"line 2: score is 'good', expected a number"),
        ("image,score\na,1\na,0\n", r"a is listed twice"),
        ("image,time\na,1\na,1\n", r"a is listed twice at time 1"),
        ("image,score\n,1\n", r"line 2: neither image nor raw"),
    ],
)
def test_mistakes(tmp_path, text, said):
    with pytest.raises(WeftError, match=said):
        read_table(table(tmp_path, text))
    with pytest.raises(WeftError, match="no such file"):
        read_table(tmp_path / "none.csv")


def test_decisions_are_laid_over_candidates(tmp_path):
    candidates = [Row("a", 0, score=0.0), Row("a", 1), Row("b", score=1.0), Row("c")]
    path = table(tmp_path, "image,time,score,excluding_mask,note\na,,1,m.tif,\na,1,0,,late\nb,,,,\n")
    rows = decided(candidates, read_table(path), path)
    assert [row.keep for row in rows] == [True, False, True, None]
    assert [row.excluding_mask for row in rows] == [Place(tmp_path / "m.tif"), None, None, None]
    assert rows[1].note == "late"
    with pytest.raises(WeftError, match=r"no image is called 'd'"):
        decided(candidates, [Row("d", score=1.0)], path)
    with pytest.raises(WeftError, match=r"'a' has no time point 7"):
        decided(candidates, [Row("a", 7, score=1.0)], path)
    assert math.isclose(rows[2].score or 0, 1)
