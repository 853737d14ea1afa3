"""`weft deploy` of images: a folder, one file, a time lapse; OME-TIFF out; stacks larger than memory."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import weft

from weft import tasks
from weft.engine.model_file import ModelFile, save_model
from weft.io.store import EventStore
from weft.io.tiff import TiffStack
from weft.io.tiff_write import write_ome_tiff

MODEL = {"name": "unet_xy_zoom_0pad", "zoom_ratio": 4, "base_channels": 1, "classes": [2], "affine": True}
DATA = {
    "classes": ["background", "nucleus"],
    "patch": [4, 64, 64],
    "inference": {"objects": {"min_voxels": 2}, "memory": 0.5, "overlap": 0.25},
}
SPACING = (0.5, 0.2, 0.2)


@pytest.fixture
def experiment(tmp_path: Path) -> tuple[str, str, str]:
    """A stage whose network has never learned, and its model where deploy looks; the words of the call."""
    stage = {"task": "volume_segmentation", "model": MODEL, "loss": {"loss_weight": [1]}, "data": DATA}
    stage |= {"training": {"iterations": 1, "batch_size": 1}, "needs": {"truth": ["image", "spacing", "labels"]}}
    document = {"name": "few", "dataset": "stacks", "stages": {"unet": stage}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(document))
    options = {key: stage[key] for key in ("model", "loss", "data")}
    task = tasks.build("volume_segmentation", options)
    torch.manual_seed(1)
    state = task.network().state_dict()
    file = ModelFile(state, task.name, task.options.model_dump(mode="json"), {})
    for name in ("few", "few-tiny", "few-demo"):
        save_model(tmp_path / f"results/{name}/unet/seed0/model.ckpt", file)
    return str(tmp_path / "few.yaml"), "--results", str(tmp_path / "results")


def image(path: Path, shape: tuple[int, ...] = (5, 40, 70), seed: int = 0, **more) -> Path:
    values = np.random.default_rng(seed).integers(0, 999, shape, np.uint16)
    return write_ome_tiff(path, values, "TCZYX"[-len(shape) :], **{"spacing": SPACING, **more})


def test_a_folder_of_images(experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(tmp_path / "images/a.ome.tif")
    image(tmp_path / "images/b.ome.tif", (3, 66, 31), 1)
    output = tmp_path / "out/predicted.h5"
    call = ("deploy", *experiment, "--events", tmp_path / "images", "--output", output)
    assert weft(*call, "--tiff") == 0
    said = capsys.readouterr().out
    assert f"{output.with_suffix('.events.h5')}: 2 stacks" in said
    assert f"{output.with_suffix('.stacks')}: 7 files" in said
    folder = output.with_suffix(".stacks")
    with EventStore.open({"truth": output.with_suffix(".events.h5"), "prediction": output}) as store:
        assert len(store) == 2
        for row, name in enumerate("ab"):
            with TiffStack(folder / f"{name}_probabilities.ome.tif") as tiff:
                assert tiff.channels == ("background", "nucleus")
                assert tiff.spacing == SPACING
                np.testing.assert_array_equal(tiff.volume()[:], np.asarray(store["probabilities"][row]))
                np.testing.assert_allclose(tiff.volume()[:].sum(0), 1, atol=1e-5)
                assert tiff.record["model"]["path"].endswith("model.ckpt")
                assert tiff.record["config"]["data"]["classes"] == ["background", "nucleus"]
            with TiffStack(folder / f"{name}_instances.ome.tif") as tiff:
                assert tiff.volume()[:].max() == len(store["objects"][row])
        with (folder / "objects.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(store["objects"][0]) + len(store["objects"][1])
    # The same once more from the stores alone.
    assert weft("export", output.with_suffix(".events.h5"), output, "--to", "tiff", "-o", tmp_path / "again") == 0
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert weft("export", output, "--to", "tiff", "-o", tmp_path / "one") == 1
    assert "--to tiff: 1 stores; expected that of the stacks" in capsys.readouterr().err


def test_a_time_lapse_and_its_voxel_size(experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    movie = image(tmp_path / "movie.ome.tif", (3, 1, 4, 40, 40), spacing=(np.nan,) * 3)
    output = tmp_path / "p.h5"
    call = ("deploy", *experiment, "--events", movie, "--output", output, "--tiff", "--spacing")
    assert weft(*call, "0.5,0.1") == 1
    assert "--spacing 0.5,0.1: expected three lengths" in capsys.readouterr().err
    assert weft(*call, "0.5,0.1,0.2") == 0
    with TiffStack(tmp_path / "p.stacks/movie_labels.ome.tif") as tiff:
        assert (tiff.axes, tiff.shape, tiff.spacing) == ("TZYX", (3, 1, 4, 40, 40), (0.5, 0.1, 0.2))
    with (tmp_path / "p.stacks/objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    voxel = 0.5 * 0.1 * 0.2
    assert rows
    assert all(float(row["volume_um3"]) == pytest.approx(int(row["voxels"]) * voxel) for row in rows)
    assert {row["time"] for row in rows} <= {"0", "1", "2"}


def test_maps_of_uncertainty(tmp_path: Path) -> None:
    """Passes with dropout, which the deploy asks for and the training did not."""
    image(tmp_path / "images/a.ome.tif")
    stage = {"task": "volume_segmentation", "model": MODEL | {"dropout": 0.3}, "loss": {"loss_weight": [1]}}
    stage |= {"training": {"iterations": 1, "batch_size": 1}, "needs": {"truth": ["image", "spacing", "labels"]}}
    data = {"classes": ["background", "nucleus"], "patch": [4, 64, 64]}
    task = tasks.build("volume_segmentation", {"model": stage["model"], "loss": stage["loss"], "data": data})
    torch.manual_seed(1)
    model = ModelFile(task.network().state_dict(), task.name, task.options.model_dump(mode="json"), {})
    for name in ("few", "few-tiny", "few-demo"):
        save_model(tmp_path / f"results/{name}/unet/seed0/model.ckpt", model)
    stage |= {"data": data | {"inference": {"uncertainty": {"passes": 3}}}}
    document = {"name": "few", "dataset": "stacks", "stages": {"unet": stage}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(document))
    call = ("deploy", tmp_path / "few.yaml", "--results", tmp_path / "results", "--events", tmp_path / "images")
    assert weft(*call, "--output", tmp_path / "p.h5", "--tiff") == 0
    with TiffStack(tmp_path / "p.stacks/a_uncertainty.ome.tif") as tiff:
        assert tiff.channels == ("entropy", "variance", "mutual_information", "one_minus_max")
        assert tiff.spacing == SPACING
        maps = tiff.volume()[:]
    assert maps.shape == (4, 5, 40, 70)
    assert (maps >= 0).all()
    assert (maps[1] > 0).any(), "passes differ"
    assert maps[0].max() <= np.log(2) + 1e-6
    with TiffStack(tmp_path / "p.stacks/a_probabilities.ome.tif") as tiff:
        np.testing.assert_allclose(maps[3], 1 - tiff.volume()[:].max(0), atol=1e-6)


def test_a_model_and_images_are_enough(experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An experiment without a truth: its options are those of the model, which may lie anywhere."""
    image(tmp_path / "images/a.ome.tif")
    model = next(tmp_path.rglob("few-*/unet/seed0/model.ckpt"))
    trained = {"task": "volume_segmentation", "config": {"model": MODEL, "data": DATA}}
    model.with_name("model.json").write_text(json.dumps(trained))
    stage = {"task": "volume_segmentation", "checkpoint": "nowhere.ckpt", "baseline": None}
    stage |= {"needs": {"truth": ["image", "spacing"]}, "data": {"inference": {"objects": None}}}
    document = {"name": "mine", "dataset": "stack_files", "truth": False}
    document["stages"] = {"unet": stage | {"evaluation": {"splits": ["files"]}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    call = ("deploy", tmp_path / "mine.yaml", "--stage", "chain", "--model", model, "--tiff")
    assert weft(*call, "--events", tmp_path / "images", "--output", tmp_path / "p.h5") == 0
    assert {path.name for path in (tmp_path / "p.stacks").iterdir()} == {
        "a_labels.ome.tif",
        "a_probabilities.ome.tif",
    }


@pytest.mark.parametrize(
    ("events", "options", "message"),
    [
        ("p.h5", ["--spacing", "1,1,1"], "--spacing is the voxel size of images given as --events"),
        ("images", [], "images: no stack, image or mesh in this folder: expected files that end with .ome.tiff"),
        ("a.ome.tif", [], "a.ome.tif: not a TIFF, or damaged"),
    ],
)
def test_what_cannot_be_read_is_said(experiment, events, options, message, tmp_path: Path, capsys) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "a.ome.tif").write_bytes(b"II*\0rubbish")
    call = ("deploy", *experiment, "--events", tmp_path / events, "--output", tmp_path / "o.h5")
    assert weft(*call, *options) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.h5"))


def test_a_model_that_is_not_there_is_said_before_images_are_read(experiment, tmp_path: Path, capsys) -> None:
    image(tmp_path / "images/a.ome.tif")
    for model in tmp_path.rglob("model.ckpt"):
        model.unlink()
    assert weft("deploy", *experiment, "--events", tmp_path / "images", "--output", tmp_path / "o.h5") == 1
    assert "no such file; train the stage first" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.h5"))


BOUND = """
import resource, sys
import lightning, scipy.ndimage, skimage, tifffile
from weft import cli

def allocated():  # MiB of memory of this process that is no file
    text = open("/proc/self/status").read()
    return int(text.split("VmData:")[1].split()[0]) / 1024

def deploy(events, output):
    sys.argv = ["weft", "deploy", *sys.argv[1:4], "--events", events, "--output", output, "--tiff"]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
small, large, limit = sys.argv[4:]
call = sys.argv[:4]
deploy(small, small + ".h5")
most = int((allocated() + float(limit)) * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
sys.argv = call
deploy(large, large + ".h5")
"""


def test_stacks_larger_than_memory(experiment, tmp_path: Path) -> None:
    """What is read and predicted is half as large again as the memory that is left: it lies on the disk.

    No voxel is of an object: the table of objects is made of four million of their voxels at a time.
    """
    few = Path(experiment[0])
    document = yaml.safe_load(few.read_text())
    document["stages"]["unet"]["data"]["inference"]["threshold"] = 0.999
    few.write_text(yaml.safe_dump(document))
    small = image(tmp_path / "small.ome.tif")
    shape = (480, 224, 224)
    large = image(tmp_path / "large.ome.tif", shape, compress=False)
    limit = np.prod(shape) * (2 + 4 * 2 + 2 + 4) / 2**20 / 1.5  # image, probabilities, labels, instances
    words = [*experiment, small, large, limit]
    done = subprocess.run([sys.executable, "-c", BOUND, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with TiffStack(tmp_path / "large.ome.tif.stacks/large_probabilities.ome.tif") as tiff:
        assert tiff.shape == (1, 2, *shape)
        np.testing.assert_allclose(tiff.volume()[:, 100:102].sum(0), 1, atol=1e-5)
