"""Every verb once, on a dataset of a few events, through the program's own front door."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command_line import weft

from weft.io.store import EventStore

DATASET = {
    "name": "few",
    "source": "simulation",
    "simulation": {"box": {"voxels": 64}},
    "splits": {
        "train": {"events": 4, "shards": 2, "seed": 1},
        "val": {"events": 2, "seed": 2},
        "test": {"events": 2, "seed": 3},
    },
}
EXPERIMENT = {
    "name": "short",
    "stages": {
        "uresnet": {
            "task": "segmentation",
            "model": {"filters": 2, "depth": 2, "reps": 1},
            "training": {"iterations": 2, "batch_size": 2, "workers": 0, "validate_every": 2, "log_every": 1},
        }
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration and events of a small experiment."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "few.yaml").write_text(yaml.safe_dump(DATASET))
    (folder / "short.yaml").write_text(yaml.safe_dump(EXPERIMENT | {"dataset": str(folder / "few.yaml")}))
    assert weft("simulate", str(folder / "few.yaml"), "--results", str(folder / "results")) == 0
    for root in sorted((folder / "results/data/few").rglob("*.root")):
        assert weft("convert", str(root), str(root.with_suffix(".h5"))) == 0
    assert len(list(folder.rglob("*.h5"))) == 4
    return folder


def run(verb: str, folder: Path, *more: str) -> int:
    return weft(verb, str(folder / "short.yaml"), "--results", str(folder / "results"), *more)


def test_train_deploy_evaluate_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = folder / "results/short/uresnet/seed0"
    assert run("train", folder) == 0
    assert {path.name for path in stage.iterdir()} == {"model.ckpt", "model.json", "log.csv", "work"}
    assert run("deploy", folder, "--root") == 0
    predictions = stage / "predictions/truth/test/0000"
    with EventStore.open(predictions.with_suffix(".h5")) as store:
        assert set(store.products) == {"semantics", "semantic_scores"}
    assert predictions.with_suffix(".root").is_file()
    capsys.readouterr()
    assert run("evaluate", folder) == 0
    assert "short uresnet seed0 test: " in capsys.readouterr().out
    truth = folder / "results/data/few/test/0000.h5"
    page = folder / "event.html"
    assert weft("show", str(truth), "--prediction", str(predictions.with_suffix(".h5")), "-o", str(page)) == 0
    assert "<html" in page.read_text()
    own = folder / "own.h5"
    assert run("deploy", folder, "--events", str(truth), "--output", str(own)) == 0
    with EventStore.open(own) as ours, EventStore.open(predictions.with_suffix(".h5")) as theirs:
        assert ours.content_hash == theirs.content_hash


def test_torchrun_trains_one_model_with_two_processes(folder: Path) -> None:
    results = folder / "torchrun"
    results.mkdir()
    (results / "data").symlink_to(folder / "results/data")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "weft"]
    command = [*launch, "train", str(folder / "short.yaml"), "--results", str(results)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("val step 2") == 1
    stage = results / "short/uresnet/seed0"
    assert {path.name for path in stage.iterdir()} == {"model.ckpt", "model.json", "log.csv", "work"}
    assert json.loads((stage / "model.json").read_text())["ranks"] == 2


def test_overrides_keep_out_of_the_workflows_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", folder, "optimizer.lr=1e-4", "training.iterations=1") == 0
    model = Path(capsys.readouterr().out.split()[-1])
    assert model.is_file()
    assert model.parent.name.startswith("seed0+")
    assert run("deploy", folder, "training.iterations=1", "optimizer.lr=1e-4") == 0  # in any order
    assert list((model.parent / "predictions").rglob("*.h5"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "{short}", "optimizer.lrr=1"], "unknown key 'stages.uresnet.optimizer.lrr' (did you mean 'lr'?)"),
        (["train", "{short}", "--variant", "seed7"], "no variant 'seed7'; it has: seed0, baseline"),
        (["train", "{short}", "--stage", "ursnet"], "no stage 'ursnet'; it has: uresnet"),
        (["train", "{short}", "--resume", "x.ckpt"], "x.ckpt: no such file; expected a checkpoint, 'auto' or 'none'"),
        (["train", "{short}", "--allow-changes"], "--allow-changes is for --resume PATH"),
        (["deploy", "{short}", "--split", "tset"], "has no split 'tset'; it has: "),
        (["deploy", "{short}", "--events", "x.h5"], "--events and --output belong together"),
        (["deploy", "{short}", "--variant", "baseline"], "baseline/model.ckpt"),
        (["convert", "nothing.root", "out.h5"], "nothing.root: no such file"),
        (["inspect", "nothing.h5"], "nothing.h5: no such file"),
        (["simulate", "{few}", "--split", "tset"], "has no split 'tset'; it has: "),
        (
            ["export", "x.h5", "--to", "xml", "-o", "x"],
            "--to xml: expected spine, root, csv, parquet, tiff, png or ply",
        ),
        (["export", "a=x.h5", "a=y.h5", "--to", "csv", "-o", "out"], "two stores are called a: x.h5 and y.h5"),
        (["export", "nothing.h5", "--to", "spine", "-o", "out.h5"], "nothing.h5"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    short, few = folder / "short.yaml", folder / "few.yaml"
    filled = [argument.format(short=short, few=few) for argument in arguments]
    if "{short}" in arguments or "{few}" in arguments:
        filled += ["--results", str(folder / "results")]
    capsys.readouterr()
    assert weft(*filled) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_stores_are_exported(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = next((folder / "results").rglob("data/*/test/*.h5"))
    for form, name in (("csv", "csv"), ("parquet", "parquet"), ("root", "x.root"), ("spine", "x.h5")):
        assert weft("export", f"truth={store}", "--to", form, "-o", tmp_path / name) == 0
        assert str(tmp_path / name) in capsys.readouterr().out
        assert (tmp_path / name).exists()
    assert {path.suffix for path in (tmp_path / "csv").iterdir()} == {".csv", ".json"}


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert weft("--version") == 0
    verbs = ["simulate", "convert", "train", "deploy", "evaluate", "report", "inspect", "show", "doctor", "export"]
    for verb in verbs:
        assert weft(verb, "--help") == 0
        assert "Example" in capsys.readouterr().out


def test_doctor_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert weft("doctor") == 0
    text = capsys.readouterr().out
    assert "torch" in text
    assert "sparse convolution engines: " in text
