"""`weft convert`, `weft deploy` and `weft export` of meshes: a folder of tiles in, PLY out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import weft
from mesh_files_made import LABELS, OBJ, write_obj, write_tile

from weft import tasks
from weft.engine.model_file import MEASURED, ModelFile, save_model
from weft.io.ply import read_ply
from weft.io.store import EventStore

CLASSES = ["terrain", "high vegetation", "building"]
MODEL = {"width": 8, "heads": 2, "blocks": 1, "texture": {"width": 4}}
READS = ["vertices", "faces", "face_surface", "face_pixels", "face_labels"]


@pytest.fixture
def experiment(tmp_path: Path) -> tuple[str, str, str]:
    """A stage whose network has never learned, and its model where deploy looks; the words of the call."""
    data = {"classes": CLASSES, "clusters": {"faces": 4, "per_sample": 2, "method": "split"}, "pixels": 4}
    stage = {"task": "mesh_segmentation", "model": MODEL, "data": data, "needs": {"truth": READS}}
    stage |= {"training": {"iterations": 1, "batch_size": 1}}
    dataset = {"name": "tiles", "source": "files", "kind": "meshes", "splits": {"test": {"files": [str(tmp_path)]}}}
    dataset["meshes"] = {"label_map": {1: 0, 2: 1, 3: 2}, "classes": CLASSES, "max_pixels": 6}
    (tmp_path / "tiles.yaml").write_text(yaml.safe_dump(dataset))
    document = {"name": "few", "dataset": str(tmp_path / "tiles.yaml"), "stages": {"faces": stage}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(document))
    task = tasks.build("mesh_segmentation", {"model": MODEL, "data": data})
    torch.manual_seed(1)
    network = task.network()
    measured = {name: {"mean": [0.5] * n, "deviation": [1.0] * n} for name, n in (("features", 19), ("colours", 3))}
    provenance = {MEASURED: measured}
    file = ModelFile(network.state_dict(), task.name, task.options.model_dump(mode="json"), provenance)
    save_model(tmp_path / "results/few/faces/seed0/model.ckpt", file)
    return str(tmp_path / "few.yaml"), "--results", str(tmp_path / "results")


def test_options_of_a_conversion_and_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tile = write_tile(tmp_path / "in")
    store = tmp_path / "a.h5"
    assert weft("convert", tile, store, "label_map={1: 0, 3: 1}", "classes=[ground, house]", "max_pixels=5") == 0
    assert "6 of 8 faces have more pixels than the 5 kept" in capsys.readouterr().out
    with EventStore.open(store) as made:
        assert made.products["face_labels"].codes["class"] == {0: "ground", 1: "house"}
    assert weft("inspect", tmp_path / "in", "--check") == 0
    assert "no problem found" in capsys.readouterr().out
    assert weft("inspect", tmp_path / "in", "--check", "--classes", "2") == 1
    assert "labels: class 2 of a network with 2" in capsys.readouterr().out
    assert weft("convert", tile, tmp_path / "b.h5", "grund=plane") == 1
    assert "did you mean 'ground'" in capsys.readouterr().err
    assert weft("convert", store, tmp_path / "b.h5", "ground=plane") == 1
    assert not (tmp_path / "b.h5").exists()


def test_inspect_lists_every_mesh_beside_a_damaged_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        write_tile(tmp_path / "in", name=name)
    broken = tmp_path / "in/b.ply"
    broken.write_bytes(broken.read_bytes()[:-30])
    assert weft("inspect", tmp_path / "in") == 0
    said = capsys.readouterr().out
    rows = [line.split()[0] for line in said.splitlines() if line.split()[:1] in (["a"], ["b"], ["c"])]
    assert rows == ["a", "b", "c"]
    assert "error: face: the file ends in row 7 of 8" in said
    assert weft("inspect", tmp_path / "in", "--check") == 1
    assert f"{tmp_path / 'in'}: b: face: the file ends in row 7 of 8" in capsys.readouterr().out


def test_a_folder_of_tiles_is_predicted_and_written(experiment, tmp_path: Path, capsys) -> None:
    for name in "ab":
        write_tile(tmp_path / "in", name=name)
    output = tmp_path / "out/predicted.h5"
    assert weft("deploy", *experiment, "--events", tmp_path / "in", "--output", output, "--ply") == 0
    said = capsys.readouterr().out
    assert f"{output.with_suffix('.events.h5')}: 2 meshes" in said
    assert f"{output.with_suffix('.meshes')}: 2 files" in said
    with EventStore.open({"truth": output.with_suffix(".events.h5"), "prediction": output}) as store:
        assert store["face_pixels"][0].counts.max() == 6, "converted as the dataset of the experiment says"
        for row, name in enumerate("ab"):
            face = read_ply(output.with_suffix(".meshes") / f"{name}_predicted.ply").elements["face"].columns
            best = np.asarray(store["prediction/face_labels"][row])[:, 0]
            assert face["label"].tolist() == (best + 1).tolist()
            assert face["label_original"].tolist() == LABELS.tolist()
            highest = np.asarray(store["face_probabilities"][row]).max(axis=1)
            np.testing.assert_allclose(face["label_probabilities"], highest, rtol=1e-6)
    call = ("export", output.with_suffix(".events.h5"), output, "--to", "ply", "-o", tmp_path / "again")
    assert weft(*call) == 0
    for path in output.with_suffix(".meshes").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert weft(*call, "--ascii", "--probabilities") == 0
    text = (tmp_path / "again/a_predicted.ply").read_text()
    assert text.startswith("ply\nformat ascii 1.0\n")
    assert "property float probability_high_vegetation" in text
    (tmp_path / "in").rename(tmp_path / "moved")
    capsys.readouterr()
    assert weft(*call) == 1
    assert "the mesh is not there any more" in capsys.readouterr().err
    assert weft(*call, "--meshes", tmp_path / "moved") == 0
    alone = ("--events", tmp_path / "moved/a.ply", "--output", tmp_path / "alone.h5")
    assert weft("deploy", *experiment, *alone) == 0
    assert f"{tmp_path / 'alone.events.h5'}: 1 mesh\n" in capsys.readouterr().out
    assert weft("export", output, "--to", "ply", "-o", tmp_path / "one") == 1
    assert weft("export", output, "--to", "csv", "--ascii", "-o", tmp_path / "one") == 1
    assert "--ascii, --probabilities and --meshes are for --to ply" in capsys.readouterr().err


def test_a_stage_that_reads_textures_predicts_meshes_without_any(experiment, tmp_path: Path) -> None:
    plain = "\n".join(line for line in OBJ.splitlines() if line.split()[0] not in ("mtllib", "usemtl"))
    bare = write_obj(tmp_path / "bare", plain, materials=None)
    for mesh, faces in ((write_tile(tmp_path / "in", textures=None), 8), (bare, 5)):
        output = tmp_path / f"{mesh.suffix[1:]}/predicted.h5"
        assert weft("deploy", *experiment, "--events", mesh, "--output", output, "--ply") == 0
        with EventStore.open(output) as store:
            labels, probabilities = store["face_labels"][0], store["face_probabilities"][0]
            assert len(labels) == faces
            assert set(labels[:, 0].tolist()) <= {0, 1, 2}
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_what_is_said_of_a_missing_texture_works(experiment, tmp_path: Path, capsys) -> None:
    tile = write_tile(tmp_path / "in")
    (tmp_path / "photos").mkdir()
    (tmp_path / "in/tile_1.png").rename(tmp_path / "photos/tile_1.png")
    (tmp_path / "in/tile_0.png").rename(tmp_path / "photos/tile_0.png")
    output = tmp_path / "predicted.h5"
    assert weft("deploy", *experiment, "--events", tile, "--output", output) == 1
    said = capsys.readouterr().err
    assert "weft convert --product textures=FOLDER says where textures lie" in " ".join(said.split())
    assert "--product textures=none leaves them out" in " ".join(said.split())
    assert weft("convert", tile, tmp_path / "bare.h5", "--product", "textures=none") == 0
    with EventStore.open(tmp_path / "bare.h5") as store:
        assert "face_pixels" not in store
    assert weft("convert", tile, tmp_path / "full.h5", "--product", "textures=../photos") == 0
    assert weft("deploy", *experiment, "--events", tmp_path / "full.h5", "--output", output) == 0


def test_ply_is_for_meshes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weft("deploy", "segmentation", "--scale", "tiny", "--results", tmp_path, "--ply") == 1
    assert "--ply is for predictions of meshes" in capsys.readouterr().err


def test_reading_meshes_imports_no_torch() -> None:
    code = "import sys, weft.io.meshes, weft.io.mesh_export; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
