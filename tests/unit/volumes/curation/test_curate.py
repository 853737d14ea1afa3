"""Triples from segmentations: values by hand, what is made again, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stack_folders import SPACING, volumes, write_stack

from weft.config.curated import CurationOptions
from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.products import EventId
from weft.io.stack_files import find_stacks
from weft.io.store import EventStore
from weft.io.tiff import TiffStack
from weft.io.tiff_write import write_ome_tiff
from weft.io.volume_products import LABELS, probabilities
from weft.io.writer import StoreWriter
from weft.volumes.curation import candidates
from weft.volumes.curation.curate import curate
from weft.volumes.curation.places import Place
from weft.volumes.curation.review import review
from weft.volumes.curation.table import Row, read_table

SHAPE = (3, 6, 7)


def read(path):
    with TiffStack(path) as file:
        return file.volume(0)[:]


def triple(folder, number=1):
    stem = f"{folder}/img_{number:04d}"
    return [read(f"{stem}{ending}.ome.tif") for ending in ("", "_GT", "_CM")]


@pytest.fixture
def pair(tmp_path):
    """An image with two segmentations, the first as 0 and 255, the second as probabilities; the row of it."""
    rng = np.random.default_rng(3)
    image = volumes()["image"]
    first, second = (rng.random(SHAPE) < 0.5).astype(np.uint8), rng.random(SHAPE, np.float32)
    write_stack(tmp_path, "a", image=image)
    write_ome_tiff(tmp_path / "a_one.tif", first * 255)
    write_ome_tiff(tmp_path / "a_two.tif", second)
    row = Row("a", None, Place(tmp_path / "a.ome.tif"), Place(tmp_path / "a_one.tif"), score=1.0)
    return row, image, first, second


def test_takeall_of_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 5000, (2, *SHAPE), np.uint16) for name in ("b", "a")}
    for name, image in images.items():
        write_ome_tiff(tmp_path / f"{name}.tif", image, "CZYX", spacing=SPACING, channels=("red", "green"))
        write_ome_tiff(tmp_path / f"{name}_struct_segmentation.tiff", (image[0] > 2500).astype(np.uint8) * 255)
    mask = np.zeros(SHAPE[1:], np.uint8)
    mask[:2] = 1
    write_ome_tiff(tmp_path / "b_mask.tiff", mask, "YX")
    rows = candidates.of(tmp_path, {"segmentation": "_struct_segmentation", "excluding_mask": "_mask"})
    done = curate(rows, "takeall", tmp_path / "out")
    assert done.made == ["a", "b"]
    for number, name in enumerate(("a", "b"), 1):
        image, labels, cost = triple(tmp_path / "out", number)
        assert np.array_equal(image, images[name])
        assert image.dtype == np.uint16
        assert labels.dtype == np.uint8
        assert np.array_equal(labels[0], images[name][0] > 2500)
        assert cost.dtype == np.float32
        assert np.array_equal(cost[0], np.broadcast_to((name == "a") | (mask == 0), SHAPE))
    with TiffStack(tmp_path / "out/img_0002.ome.tif") as file:
        assert file.spacing == pytest.approx(SPACING)
        assert file.channels == ("red", "green")
        assert file.record["curated"]["excluding_mask"] == "../b_mask.tiff"
        assert "event" not in file.record
    # What comes out is a folder of stacks as any other.
    assert [set(stack.known) for stack in find_stacks(tmp_path / "out")] == [{"labels", "cost"}] * 2
    assert convert_file(tmp_path / "out", tmp_path / "out.h5").events == 2


def test_merge_takes_the_second_inside_the_mask(tmp_path, pair):
    row, _, first, second = pair
    inside = np.zeros(SHAPE, np.uint8)
    inside[1:, :, 3:] = 1
    write_ome_tiff(tmp_path / "in.tif", inside)
    whole = replace(row, segmentation_2=Place(tmp_path / "a_two.tif"), merging_mask=Place(tmp_path / "in.tif"))
    curate([whole], "merge", tmp_path / "out", CurationOptions(threshold=0.3))
    _, labels, cost = triple(tmp_path / "out")
    # In the words of the specification: (first outside) or (second inside).
    assert np.array_equal(labels[0] > 0, (first > 0) & (inside == 0) | (second > 0.3) & (inside > 0))
    assert (cost == 1).all()
    with pytest.raises(WeftError, match="a: is kept, but has no merging_mask"):
        curate([replace(whole, merging_mask=None)], "merge", tmp_path / "other")
    with pytest.raises(WeftError, match="merge needs segmentation_2"):
        curate([replace(whole, segmentation_2=None)], "merge", tmp_path / "other")
    with pytest.raises(WeftError, match="for merge, not select"):
        curate([whole], "select", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_voxels_that_are_not_sure_cost_nothing(tmp_path, pair):
    row, _, _, second = pair
    unsure = replace(row, segmentation=Place(tmp_path / "a_two.tif"))
    curate([unsure], "select", tmp_path / "out", CurationOptions(min_probability=0.7))
    _, labels, cost = triple(tmp_path / "out")
    assert np.array_equal(labels[0], second > 0.5)
    assert np.array_equal(cost[0], np.maximum(second, 1 - second) >= np.float32(0.7))
    assert 0 < cost.mean() < 1
    with pytest.raises(WeftError, match="a: min_probability: its segmentation has no probabilities"):
        curate([row], "select", tmp_path / "other", CurationOptions(min_probability=0.7))


def test_classes_of_predictions_and_voxels_without_a_label(tmp_path):
    arrays = volumes()
    labels = arrays["instances"].astype(np.int16)
    labels[0] = -1
    write_stack(tmp_path / "data", "a", image=arrays["image"])
    convert_file(tmp_path / "data", tmp_path / "data.h5")
    values = np.random.default_rng(0).dirichlet(np.ones(3), SHAPE).astype(np.float32).transpose(3, 0, 1, 2)
    schemas = [LABELS, probabilities(("background", "one", "two"))]
    with EventStore.open(tmp_path / "data.h5") as images:
        parents = {"truth": images.content_hash}
        with StoreWriter(tmp_path / "made.h5", schemas, {}, parents) as writer:
            writer.append(EventId(*images.events[0].tolist()), {"labels": labels, "probabilities": values})
    rows = candidates.of_stores([tmp_path / "data.h5"], [tmp_path / "made.h5"])
    assert [row.image for row in rows] == ["a"]
    scored = [replace(row, score=1.0) for row in rows]
    curate(scored, "select", tmp_path / "out", CurationOptions(min_probability=0.4))
    _, made, cost = triple(tmp_path / "out")
    assert np.array_equal(made[0], labels)
    own = np.take_along_axis(values, np.maximum(labels, 0)[None].astype(int), 0)[0]
    assert np.array_equal(cost[0], (labels >= 0) & (own >= np.float32(0.4)))


def test_a_truth_keeps_its_costs_its_objects_and_who_its_events_are(tmp_path):
    from weft.simulation.stacks.produce import simulate_folder
    from weft.simulation.stacks.settings import StackSettings

    settings = StackSettings.parse({"shape": (6, 24, 24), "size": 0.2, "cost": {"excluded": (1, 2)}})
    simulate_folder(settings, 1, 0, 2, tmp_path / "sim")
    convert_file(tmp_path / "sim", tmp_path / "sim.h5")
    done = curate(candidates.of_stores([tmp_path / "sim.h5"]), "takeall", tmp_path / "out")
    assert len(done.made) == 2
    convert_file(tmp_path / "out", tmp_path / "out.h5")
    with EventStore.open(tmp_path / "sim.h5") as before, EventStore.open(tmp_path / "out.h5") as after:
        assert np.array_equal(before.events, after.events)
        for i in range(2):
            for name in ("image", "labels", "cost", "instances"):
                assert np.array_equal(before[name][i][:], after[name][i][:])
        assert before["cost"][0][:].min() == 0


def test_a_second_call_makes_only_what_has_changed(tmp_path, pair):
    row, *_ = pair
    for name in ("b", "c"):
        write_stack(tmp_path, name, image=volumes()["image"])
    others = [replace(row, image=n, raw=Place(tmp_path / f"{n}.ome.tif")) for n in ("b", "c")]
    out = tmp_path / "out"
    assert curate([row, others[0]], "select", out).made == ["a", "b"]
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    done = curate([row, *others], "select", out)
    assert (done.unchanged, done.made) == (["a", "b"], ["c"])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # A mask that was drawn since; a stack that is not kept any longer; and one that nobody has decided about.
    mask = np.zeros(SHAPE, np.uint8)
    mask[0] = 1
    write_ome_tiff(tmp_path / "mask.tif", mask)
    masked = replace(row, excluding_mask=Place(tmp_path / "mask.tif"))
    done = curate([masked, replace(others[0], score=0.0), replace(others[1], score=None)], "select", out)
    assert (done.made, done.rejected, done.undecided, done.removed) == (["a"], ["b"], ["c"], ["b", "c"])
    assert str(done) == "1 made, 1 not kept, 1 without a score, 2 removed"
    assert {path.name for path in out.glob("*.tif")} == {f"img_0001{e}.ome.tif" for e in ("", "_GT", "_CM")}
    assert np.array_equal(triple(out)[2][0], mask == 0)
    # Numbers go on after the highest, also of files that others put there.
    write_stack(out, "img_0007", image=volumes()["image"])
    curate(others, "select", out)
    assert {path.name for path in out.glob("img_*_GT*")} == {f"img_{n:04d}_GT.ome.tif" for n in (1, 8, 9)}


def test_a_call_that_was_stopped_is_finished_by_the_next(tmp_path, pair, monkeypatch):
    row, *_ = pair
    out = tmp_path / "out"

    def fail(path, *_, **__):
        raise WeftError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("weft.volumes.curation.curate._write_image", fail)
        with pytest.raises(WeftError, match="disk"):
            curate([row], "select", out)
    assert not (out / "img_0001.ome.tif").exists()
    assert curate([row], "select", out).made == ["a"]
    assert {path.name for path in out.glob("*.tif")} == {f"img_0001{e}.ome.tif" for e in ("", "_GT", "_CM")}
    (out / "curated.csv").write_text("number,image\nx,a\n")
    with pytest.raises(WeftError, match=r"curated\.csv: expected the columns"):
        curate([row], "select", out)


def test_what_is_refused(tmp_path, pair):
    row, *_ = pair
    with pytest.raises(WeftError, match="no image is kept of 1: 1 not kept"):
        curate([replace(row, score=0.0)], "select", tmp_path / "out")
    with pytest.raises(WeftError, match="lies in the folder that is to be written"):
        curate([row], "select", tmp_path)
    with pytest.raises(WeftError, match="select needs raw and segmentation"):
        curate([replace(row, segmentation=None)], "select", tmp_path / "out")
    write_ome_tiff(tmp_path / "small.tif", np.zeros((3, 6, 6), np.uint8))
    with pytest.raises(WeftError, match=r"a: its segmentation has 3 × 6 × 6 voxels .*, the image 3 × 6 × 7"):
        curate([replace(row, segmentation=Place(tmp_path / "small.tif"))], "select", tmp_path / "out")
    write_ome_tiff(tmp_path / "wild.tif", np.full(SHAPE, 1.5, np.float32))
    with pytest.raises(WeftError, match="neither classes nor probabilities"):
        curate([replace(row, segmentation=Place(tmp_path / "wild.tif"))], "select", tmp_path / "out")
    with pytest.raises(WeftError, match=r"a\.ome\.tif: no time point 3"):
        curate([replace(row, raw=Place(tmp_path / "a.ome.tif", 3))], "select", tmp_path / "out")


REAL = Path(__file__).parents[5] / "shared/data/stardist3d"


def test_numbered_objects_are_one_class(tmp_path, pair):
    row, *_ = pair
    numbers = volumes()["instances"] * 20000
    write_ome_tiff(tmp_path / "numbers.tif", numbers)
    objects = replace(row, segmentation=Place(tmp_path / "numbers.tif"))
    with pytest.raises(WeftError, match=r"numbers\.tif: numbers from 0 to 40000, .* one_class"):
        curate([objects], "select", tmp_path / "out")
    curate([objects], "select", tmp_path / "out", CurationOptions(one_class=True))
    assert np.array_equal(triple(tmp_path / "out")[1][0], numbers > 0)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the example image of StarDist")
def test_real_nuclei(tmp_path):
    row = Row("nuclei", None, Place(REAL / "img3d.tif"), Place(REAL / "mask3d.tif"))
    options = CurationOptions(one_class=True)
    review([row], tmp_path / "review", options=options)
    table = read_table(tmp_path / "review/candidates.csv")
    assert 0.05 < table[0].measures["foreground"] < 0.9
    curate(table, "takeall", tmp_path / "out", options)
    image, labels, cost = triple(tmp_path / "out")
    assert np.array_equal(image, read(REAL / "img3d.tif"))
    assert np.array_equal(labels, read(REAL / "mask3d.tif") > 0)
    assert (cost == 1).all()


def test_a_single_plane_and_time_points(tmp_path):
    lapse = np.random.default_rng(0).integers(0, 255, (2, 1, 1, 5, 4), np.uint8)
    write_ome_tiff(tmp_path / "a.tif", lapse, "TCZYX")
    write_ome_tiff(tmp_path / "a_seg.tif", (lapse > 100).astype(np.uint8), "TCZYX")
    rows = candidates.of(tmp_path, {"segmentation": "_seg"})
    assert [row.name for row in rows] == ["a T0", "a T1"]
    curate(rows, "takeall", tmp_path / "out")
    image, labels, _ = triple(tmp_path / "out", 2)
    assert np.array_equal(image[0], lapse[1, 0])
    assert np.array_equal(labels[0], lapse[1, 0] > 100)
