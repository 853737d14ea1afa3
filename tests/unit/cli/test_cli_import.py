"""A study that another tool began, gone on with here: configuration, data, weights, predictions, training."""

from pathlib import Path

import pytest
import torch
import yaml
from command_line import weft

from weft import tasks
from weft.config import load_experiment
from weft.io.store import EventStore

DATASET = {
    "name": "few",
    "source": "simulation",
    "simulation": {"box": {"voxels": 64}},
    "splits": {"train": {"events": 4, "seed": 1}, "val": {"events": 2, "seed": 2}},
}
CONFIG = """
base: {{iterations: 2, seed: 0}}
train: {{save_step: 2, optimizer: {{name: Adam, lr: 0.001}}}}
validation: {{file_keys: {val}}}
io:
  loader:
    batch_size: 2
    dataset:
      name: larcv
      file_keys: {train}
      schema:
        data: {{parser: sparse3d, sparse_event: sparse3d_pcluster}}
        seg_label: {{parser: sparse3d, sparse_event: sparse3d_pcluster_semantics}}
model:
  name: uresnet
  network_input: {{data: data}}
  loss_input: {{seg_label: seg_label}}
  modules:
    uresnet: {{num_classes: 5, filters: 2, depth: 2, reps: 1}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT files, a configuration of SPINE that names them, and a checkpoint of its network."""
    folder = tmp_path_factory.mktemp("import")
    (folder / "few.yaml").write_text(yaml.safe_dump(DATASET))
    assert weft("simulate", folder / "few.yaml", "--results", folder / "results") == 0
    raw = {path.parent.name: path for path in (folder / "results").rglob("*.root")}
    (folder / "uresnet.cfg").write_text(CONFIG.format(train=raw["train"], val=raw["val"]))
    assert weft("import-config", folder / "uresnet.cfg", "-o", folder / "uresnet.yaml") == 0
    stage = load_experiment(folder / "uresnet.yaml").stages["uresnet"]
    task = tasks.of(stage)
    torch.manual_seed(5)
    own = task.network().state_dict()
    theirs = {name: own[ours] for ours, name in task.foreign_layout().names.items()}
    torch.save({"state_dict": theirs, "global_step": 7}, folder / "snapshot-7.ckpt")
    for split in raw:
        assert weft("convert", raw[split], folder / f"results/data/uresnet/{split}/0000.h5") == 0
    return folder


def test_imported_weights_predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = ("--results", folder / "results")
    assert weft("import-weights", folder / "snapshot-7.ckpt", "--experiment", folder / "uresnet.yaml", *results) == 0
    said = capsys.readouterr().out
    assert "parameters of SPINE" in said
    assert "taken from the experiment: model.leak 0.01, model.norm_eps 1e-05, data.charge linear" in said
    events, predicted = folder / "results/data/uresnet/val/0000.h5", folder / "predicted.h5"
    assert weft("deploy", folder / "uresnet.yaml", *results, "--events", events, "--output", predicted) == 0
    with EventStore.open(predicted) as store, EventStore.open(events) as truth:
        assert len(store["semantic_scores"][0]) == len(truth["voxels"][0])
    again = ("import-weights", folder / "snapshot-7.ckpt", "--experiment", folder / "uresnet.yaml", *results)
    assert weft(*again) == 1
    assert "exists; remove it or write elsewhere with --to" in capsys.readouterr().err


def test_a_training_starts_from_imported_weights(folder: Path) -> None:
    start = folder / "start.ckpt"
    options = ("--experiment", folder / "uresnet.yaml", "--to", start)
    assert weft("import-weights", folder / "snapshot-7.ckpt", *options) == 0
    # With a rate this small what is trained is what was loaded.
    changes = (f"init={start}", "optimizer.lr=1e-12", "training.workers=0")
    assert weft("train", folder / "uresnet.yaml", "--results", folder / "results", *changes) == 0
    (trained,) = [path for path in (folder / "results/uresnet").rglob("model.ckpt") if "+" in path.parent.name]
    weights = [torch.load(path, weights_only=True)["state"]["trunk.stem.weight"] for path in (start, trained)]
    assert torch.allclose(*weights, atol=1e-9)


def test_what_exists_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weft("import-config", folder / "uresnet.cfg", "-o", folder / "uresnet.yaml") == 1
    assert f"{folder / 'uresnet.yaml'}: exists" in capsys.readouterr().err
    new = ("-o", folder / "other.yaml", "--dataset-output", folder / "uresnet.dataset.yaml")
    assert weft("import-config", folder / "uresnet.cfg", *new) == 1
    assert not (folder / "other.yaml").exists()


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(
        "{size_in: [48, 148, 150], size_out: [1, 1, 1], loader: {}, model: {name: unet_xy}}"
    )
    assert weft("import-config", tmp_path / "a.yaml", "-o", tmp_path / "b.yaml") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "nearest that works: size_in [48, 148, 148], size_out [20, 60, 60]" in error
    assert not (tmp_path / "b.yaml").exists()


SIZES = "size_in: [48, 148, 148], size_out: [20, 60, 60], model: {name: unet_xy}"


def test_a_trainer_file_and_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"{{{SIZES}, epochs: 1, loader: {{batch_size: 1, datafolder: /data/train}}}}"
    (tmp_path / "a.yaml").write_text(text.replace(", datafolder: /data/train", ""))
    assert weft("import-config", tmp_path / "a.yaml", "-o", tmp_path / "b.yaml") == 1
    assert "a.yaml: names no files to learn from: put them in" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text(text)
    assert weft("import-config", tmp_path / "a.yaml", "-o", tmp_path / "b.yaml") == 0
    dataset = yaml.safe_load((tmp_path / "b.dataset.yaml").read_text())
    assert (dataset["kind"], dataset["splits"]["train"]["files"]) == ("stacks", ["/data/train"])
    assert weft("train", tmp_path / "b.yaml", "--explain") == 0, "an experiment of this release"


def test_a_prediction_file_whose_model_is_to_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.ckpt"
    text = f"{{{SIZES}, model_path: {model}, Normalization: 3, OutputCh: [0, 1], mode: {{InputDir: /data}}}}"
    (tmp_path / "a.yaml").write_text(text)
    assert weft("import-config", tmp_path / "a.yaml", "-o", tmp_path / "b.yaml") == 1
    assert "there is no recipe 3" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text(text.replace("Normalization: 3", "Normalization: 10"))
    assert weft("import-config", tmp_path / "a.yaml", "-o", tmp_path / "b.yaml") == 0
    assert f"{model}: no such file yet; {tmp_path / 'b.yaml'} deploys the model" in capsys.readouterr().out


def test_a_form_that_there_is_not_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ("-o", folder / "form.yaml")
    assert weft("import-config", folder / "uresnet.cfg", *output, "--form", "stagd") == 1
    assert "no form 'stagd' (did you mean 'staged'?); there are: auto, staged, joint" in capsys.readouterr().err
    assert weft("import-config", folder / "uresnet.cfg", *output, "--form", "joint") == 1
    assert "the file has one stage; nothing to train together" in capsys.readouterr().err
    assert weft("import-weights", folder / "snapshot-7.ckpt", "--experiment", "full_chain", "--module", "x") == 1
    assert "--module is of one stage: give --stage too" in capsys.readouterr().err


def test_a_file_without_files_takes_a_dataset_of_ours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = folder / "none.cfg"
    none.write_text(CONFIG.format(train="null", val="null").replace("validation: {file_keys: null}", ""))
    assert weft("import-config", none, "-o", folder / "none.yaml") == 1
    assert (
        "names no files to learn from: put them in, or name a dataset of ours by --dataset" in capsys.readouterr().err
    )
    assert weft("import-config", none, "-o", folder / "none.yaml", "--dataset", folder / "few.yaml") == 0
    assert load_experiment(folder / "none.yaml").dataset == str(folder / "few.yaml")
    assert not (folder / "none.dataset.yaml").exists()
