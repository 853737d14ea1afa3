"""What `weft inspect` says of folders of stacks."""

import io

import numpy as np
import pytest
import tifffile
from rich.console import Console
from stack_folders import volumes, write_stack

from weft.errors import WeftError
from weft.io import inspect as inspection
from weft.io.convert import convert_file
from weft.io.inspect import describe, render


def folder_of_three(folder):
    good = volumes(0)
    write_stack(folder, "good", **good)
    broken = good | {"labels": good["labels"] * 3, "cost": good["cost"] - 0.5}
    write_stack(folder, "broken", **broken, spacing=(np.nan, 0.1, 0.1))
    empty = {"image": np.full((3, 6, 7), -0.5, np.float32), "labels": np.zeros((3, 6, 7), np.uint8)}
    write_stack(folder, "empty", **empty, cost=np.zeros((3, 6, 7), np.float32))
    return folder


def test_the_table_of_a_folder_of_stacks(tmp_path):
    rows = {row["image"]: row for row in describe(folder_of_three(tmp_path), classes=3, smallest=(2, 6, 8))["stacks"]}
    good, broken, empty = rows["good"], rows["broken"], rows["empty"]
    assert good["shape"] == (3, 6, 7)
    assert (good["dtype"], good["classes"], good["instances"], good["warnings"]) == ("uint16", [0, 1], 2, ())
    assert good["foreground"] == pytest.approx((volumes(0)["labels"] > 0).mean())
    assert good["problems"] == ("image: 3 × 6 × 7 voxels, patches have 2 × 6 × 8",)
    assert "labels: classes 3 of a network with 3" in broken["problems"]
    assert any(text.startswith("cost: values down to -0.") for text in broken["problems"])
    assert broken["warnings"] == ("voxel size unknown",)
    assert empty["warnings"] == (
        "image: floats from -0.5 to -0.5, a normalised one lies within 0 and 1",
        "image: all values are -0.5",
        "labels: no foreground",
        "cost: 0 everywhere, nothing of this image is judged",
    )
    text = io.StringIO()
    Console(file=text, width=200).print(render(describe(tmp_path)))
    assert "3 × 6 × 7" in text.getvalue()
    assert "error: cost: values down to" in text.getvalue()


def test_the_table_leaves_out_what_says_nothing_and_says_a_problem_once(tmp_path):
    for k in range(7):
        write_stack(tmp_path, f"s{k}", image=volumes(0)["image"])
    text = io.StringIO()
    Console(file=text, width=80).print(render(describe(tmp_path, smallest=(4, 6, 8))))
    lines = text.getvalue().splitlines()
    (head,) = [line for line in lines if "voxels z × y × x" in line]
    assert "intensity" in head
    assert not {"T", "C", "classes", "inside", "objects", "cost"} & set(head.split())
    said = " ".join(" ".join(lines).split())
    assert said.count("error:") == 1
    assert "error: image: 3 × 6 × 7 voxels, patches have 4 × 6 × 8 s0, s1, s2, s3, s4 and 2 more" in said
    assert sum("s6" in line for line in lines) == 1, "in the table, and not once more below"


def test_what_is_0_of_all_is_shown(tmp_path):
    """Labels of nothing but background, and instances of which there is none, say something."""
    none = np.zeros_like(volumes(0)["labels"])
    write_stack(tmp_path, "s0", image=volumes(0)["image"], labels=none, instances=none)
    text = io.StringIO()
    Console(file=text, width=120).print(render(describe(tmp_path)))
    (head,) = [line for line in text.getvalue().splitlines() if "voxels z × y × x" in line]
    assert {"classes", "inside", "objects"} < set(head.split())


def test_time_points_are_numbered_from_0(tmp_path):
    movie = np.arange(3 * 2 * 6 * 7, dtype=np.uint8).reshape(3, 2, 6, 7)
    tifffile.imwrite(tmp_path / "movie.ome.tif", movie, metadata={"axes": "TZYX"})
    text = io.StringIO()
    Console(file=text, width=80).print(render(describe(tmp_path)))
    assert [line.split()[:2] for line in text.getvalue().splitlines() if line.strip().startswith("movie")] == [
        ["movie", "0"], ["movie", "1"], ["movie", "2"],
    ]  # fmt: skip
    assert "warning: voxel size unknown  movie T0, movie T1, movie T2" in " ".join(text.getvalue().split("\n"))


def test_shapes_that_differ_are_in_the_table(tmp_path):
    arrays = volumes()
    write_stack(tmp_path, "a", image=arrays["image"], labels=arrays["labels"][:2], cost=arrays["cost"])
    (row,) = describe(tmp_path)["stacks"]
    assert row["problems"] == ("labels (a_GT.ome.tif) have shape 2Z×6Y×7X, the image 3Z×6Y×7X",)


def test_files_that_cannot_be_read_are_rows_like_others(tmp_path, capsys):
    """Of a hundred stacks three may be damaged: all are named in one go, and none is left out of a conversion."""
    for name in ("fine", "half", "labels"):
        write_stack(tmp_path, name, **volumes())
    (tmp_path / "junk.tif").write_bytes(b"no TIFF")
    for name in ("half.ome.tif", "labels_GT.ome.tif"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    rows = {row["image"]: row["problems"] for row in describe(tmp_path)["stacks"]}
    assert {name: len(problems) for name, problems in rows.items()} == {"fine": 0, "half": 1, "junk": 1, "labels": 1}
    assert rows["junk"][0].startswith("not a TIFF")
    assert "labels_GT.ome.tif" in rows["labels"][0]
    with pytest.raises(WeftError, match="3 problems found"):
        inspection.run([tmp_path], check=True)
    text = capsys.readouterr().out
    assert all(name in text for name in ("half", "junk", "labels"))
    with pytest.raises(WeftError, match=r"(half\.ome|junk)\.tif: "):
        convert_file(tmp_path, tmp_path / "e.h5")
    assert not (tmp_path / "e.h5").exists()


def test_checking_a_folder_of_stacks(tmp_path, capsys):
    with pytest.raises(WeftError, match="1 problem found"):
        inspection.run([folder_of_three(tmp_path)], check=True)
    assert "broken T0: cost: values down to" in capsys.readouterr().out
    (tmp_path / "broken_CM.ome.tif").unlink()
    inspection.run([tmp_path], check=True)
    assert "no problem found" in capsys.readouterr().out


def test_a_manifest_of_a_folder_of_stacks(tmp_path):
    folder = folder_of_three(tmp_path / "s")
    assert inspection.shard_ranges([folder], 2) == [(str(folder), 0, 2), (str(folder), 2, 3)]
    (folder / "junk.tif").write_bytes(b"no TIFF")
    with pytest.raises(WeftError, match=r"junk\.tif: not a TIFF"):
        inspection.shard_ranges([folder], 2)
