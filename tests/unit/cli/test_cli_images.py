"""`weft` on folders of pictures: simulate, inspect, deploy with PNG out, refinement of a given model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import weft
from image_folders import dataset, picture, save

from weft import tasks
from weft.engine.model_file import ModelFile, save_model
from weft.images.crf import refined
from weft.images.crf_options import CrfOptions
from weft.io.class_files import read_classes
from weft.io.convert import convert_file
from weft.io.image_export import export_masks
from weft.io.image_reading import read_mask
from weft.io.store import EventStore

MODEL = {"backbone": "light", "decoder_channels": [8, 8, 8, 8, 8]}
CLASSES = ["road", "building", "car"]


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage whose network has never learned, its model where deploy looks, and an experiment that refines it."""
    folder = tmp_path_factory.mktemp("experiments")
    stage = {"task": "image_segmentation", "model": MODEL, "data": {"classes": CLASSES}}
    stage |= {"training": {"iterations": 1, "batch_size": 1}, "needs": {"truth": ["picture", "mask"]}}
    (folder / "few.yaml").write_text(yaml.safe_dump({"name": "few", "dataset": "streets", "stages": {"unet": stage}}))
    task = tasks.build("image_segmentation", {key: stage[key] for key in ("model", "data")})
    torch.manual_seed(1)
    file = ModelFile(task.network().state_dict(), task.name, task.options.model_dump(mode="json"), {})
    for name in ("few", "few-tiny", "few-demo"):
        model = folder / f"results/{name}/unet/seed0/model.ckpt"
        save_model(model, file)
        model.with_name("model.json").write_text(json.dumps({"task": task.name, "config": file.options}))
    return folder


def test_a_folder_of_photographs(experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k, name in enumerate(("a", "b")):
        save(tmp_path / f"photographs/{name}.jpg", picture(k, (40 + k, 50)))
    output = tmp_path / "out/predicted.h5"
    where = (str(experiments / "few.yaml"), "--results", str(experiments / "results"))
    assert weft("deploy", *where, "--events", tmp_path / "photographs", "--output", output, "--png") == 0
    said = capsys.readouterr().out
    assert f"{output.with_suffix('.events.h5')}: 2 images" in said
    folder = output.with_suffix(".masks")
    assert f"{folder}: 2 masks" in said
    with EventStore.open({"truth": output.with_suffix(".events.h5"), "prediction": output}) as store:
        for row, name in enumerate("ab"):
            assert np.array_equal(read_mask(folder / f"{name}.png"), store["mask"][row][:])
    assert read_classes(folder / "classes.txt") == {0: "road", 1: "building", 2: "car", 255: "ignore"}


def test_tiff_and_png_are_for_what_they_hold(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = (str(experiments / "few.yaml"), "--results", str(experiments / "results"))
    assert weft("deploy", *where, "--tiff") == 1
    assert "--tiff is for predictions of stacks; unet makes none" in capsys.readouterr().err
    assert weft("deploy", "volumes", "--scale", "tiny", "--png") == 1
    assert "--png is for masks of images; unet makes none" in capsys.readouterr().err


def predictions(events: Path, target: Path, masks: list[np.ndarray]) -> Path:
    """A store of masks that were predicted of events."""
    from weft.io.image_products import mask
    from weft.io.products import EventId
    from weft.io.writer import StoreWriter

    with EventStore.open({"truth": events}) as store:
        parents = {"truth": store.files["truth"].content_hash}
        with StoreWriter(target, [mask(CLASSES)], parents=parents) as writer:
            for row, values in enumerate(masks):
                writer.append(EventId.of(store.events[row]), {"mask": values})
    return target


def test_masks_have_the_ids_of_their_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ids 0, 10 and 30, as the classes.txt of the images says; the folder reads again as masks."""
    root = dataset(tmp_path)
    convert_file(root / "images/train", tmp_path / "a.h5")
    found = [np.random.default_rng(k).integers(-1, 3, (20, 30)).astype(np.int16) for k in range(2)]
    made = predictions(tmp_path / "a.h5", tmp_path / "p.h5", found)
    assert weft("export", tmp_path / "a.h5", made, "--to", "png", "-o", tmp_path / "out") == 0
    assert "out/street_1.png" in capsys.readouterr().out
    ids = read_mask(tmp_path / "out/street_1.png")
    assert np.array_equal(ids, np.array([0, 10, 30, 255])[found[1]])
    for path in (tmp_path / "out").glob("*.png"):
        path.rename(root / "masks/train" / path.name)
    convert_file(root / "images/train", tmp_path / "again.h5")
    with EventStore.open(tmp_path / "again.h5") as store:
        assert np.array_equal(store["mask"][1][:], found[1])
    assert weft("export", tmp_path / "a.h5", tmp_path / "again.h5", "--to", "png", "-o", tmp_path / "no") == 1


def test_two_images_of_one_name_are_not_written_over_each_other(tmp_path: Path) -> None:
    from weft.errors import WeftError
    from weft.io.image_products import ORIGIN
    from weft.io.image_products import picture as product
    from weft.io.products import EventId
    from weft.io.writer import StoreWriter

    with StoreWriter(tmp_path / "a.h5", [product("u1"), ORIGIN]) as writer:
        for k in range(2):
            origin = np.array([(writer.encode("origin", "image", ["same"])[0],)], ORIGIN.dtype)
            writer.append(EventId(0, 0, k, k), {"picture": np.zeros((1, 4, 4), np.uint8), "origin": origin})
    made = predictions(tmp_path / "a.h5", tmp_path / "p.h5", [np.zeros((4, 4), np.int16)] * 2)
    with pytest.raises(WeftError, match="two images are called same"):
        export_masks(tmp_path / "a.h5", made, tmp_path / "out")


def test_a_model_is_refined_by_an_experiment_without_truth(experiments: Path, tmp_path: Path) -> None:
    stage = {
        "task": "image_segmentation",
        "checkpoint": str(experiments / "results/few/unet/seed0/model.ckpt"),
        "needs": {"truth": ["picture"]},
        "baseline": None,
        "data": {"inference": {"crf": {"radius": 1, "iterations": 1}, "closing": 1, "opening": 1}},
    }
    document = {"name": "predict", "dataset": "image_files", "truth": False, "stages": {"unet": stage}}
    (tmp_path / "predict.yaml").write_text(yaml.safe_dump(document))
    save(tmp_path / "photographs/a.png", picture(0, (32, 32)))
    call = ("deploy", tmp_path / "predict.yaml", "--results", tmp_path / "results", "--stage", "chain")
    call += ("--events", tmp_path / "photographs", "--output", tmp_path / "p.h5", "--png")
    assert weft(*call) == 0
    plain = ("deploy", experiments / "few.yaml", "--results", experiments / "results", "--events")
    assert weft(*plain, tmp_path / "photographs", "--output", tmp_path / "q.h5", "--png") == 0
    assert read_mask(tmp_path / "p.masks/a.png").shape == (32, 32)
    with EventStore.open(tmp_path / "p.h5") as after, EventStore.open(tmp_path / "q.h5") as before:
        full = picture(0, (32, 32)).transpose(2, 0, 1) / np.float32(255)
        expected = refined(before["mask_probabilities"][0][:], full, CrfOptions(radius=1, iterations=1))
        made, plainly = after["mask_probabilities"][0][:], before["mask_probabilities"][0][:]
        tolerance = 1e-5
        assert made == pytest.approx(expected, abs=tolerance)
        assert np.abs(made - plainly).max() > 100 * tolerance, "it is not what it was before"


def test_inspect_names_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = dataset(tmp_path)
    save(root / "masks/train/street_1.png", np.zeros((5, 5), np.uint8))
    assert weft("inspect", root / "images/train") == 0
    assert "street_0" in capsys.readouterr().out
    assert weft("inspect", root / "images/train", "--check") == 1
    assert "street_1: a mask of 5 × 5 pixels" in capsys.readouterr().out


def test_streets_are_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weft("simulate", "streets", "--scale", "tiny", "--split", "val", "--results", tmp_path) == 0
    folder = tmp_path / "data/streets-tiny/val/0000.streets"
    assert str(folder) in capsys.readouterr().out
    assert [path.name for path in (folder / "images").iterdir()] == ["street_002_00000.png"]
