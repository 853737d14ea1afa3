"""What `weft train --explain` says is what is trained, and where it is from."""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from weft import tasks
from weft.config import Layout, load_experiment, run_of
from weft.config.dataset import FileDataset
from weft.config.explain import Line, explain, show

EXPERIMENT = {
    "name": "study",
    "dataset": "events",
    "seeds": [0, 1],
    "stages": {
        "net": {
            "task": "segmentation",
            "needs": {"truth": ["voxels"]},
            "model": {"filters": 8},
            "optimizer": {"name": "SGD", "options": {"momentum": 0.9}},
            "schedule": {"warmup": 7, "floor": 0.1},
            "training": {"batch_size": 4},
        }
    },
    "scales": {"small": {"stages": {"net": {"training": {"iterations": 5, "ema": {"decay": 0.99}}}}}},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    return path


def lines_of(path: Path, *overrides: str, variant: str | None = None) -> tuple[list[Line], str]:
    """The lines of the stage, and what is printed into a pipe."""
    assignments = [f"stages.net.{override}" for override in overrides]
    experiment = tasks.resolve(load_experiment(path, "small", assignments))
    dataset = FileDataset.model_validate({"name": "events", "source": "files", "splits": {"test": {"files": ["a.h5"]}}})
    run = run_of(experiment, dataset, Layout("out"), "net", variant)
    lines = explain(run, tasks.of(run.stage).options, path, assignments)
    printed = io.StringIO()
    show(run, lines, Console(file=printed, width=60, highlight=False))
    return lines, printed.getvalue()


def by_key(lines: list[Line]) -> dict[str, Line]:
    assert len({line.key for line in lines}) == len(lines)
    return {line.key: line for line in lines}


def test_where_each_value_comes_from(path: Path) -> None:
    found = by_key(lines_of(path, "optimizer.lr=1e-2", "model.depth=3")[0])
    assert found["optimizer.lr"][1:] == ("0.01", "override", "0.001", "number > 0", "peak learning rate")
    assert found["model.filters"][1:4] == ("8", "file", "32")
    assert found["model.depth"][1:4] == ("3", "override", "5")
    assert found["training.iterations"][1:4] == ("5", "scale small", "null")
    assert found["training.ema.decay"][1:4] == ("0.99", "scale small", "0.9999")
    assert found["training.batch_size"][1:4] == ("4", "file", "required")
    assert found["optimizer.options"][1:4] == ("{momentum: 0.9}", "file", "{}")
    assert found["needs.truth.predictions"][1:4] == ("[voxels]", "file", "[]")
    assert found["needs.truth.seed"][1:4] == ("null", "default", "null")
    assert found["schedule.warmup"][1:4] == ("7", "file", "0")
    assert found["resources.threads"][2] == "default"
    assert found["optimizer.lr"].changed
    assert not found["model.reps"].changed
    assert not any(key.startswith("points") for key in found)


def test_a_block_that_an_override_replaces_has_nothing_of_the_file_left(path: Path) -> None:
    found = by_key(lines_of(path, "schedule={name: poly}")[0])
    assert found["schedule.name"][1:4] == ("poly", "override", "cosine")
    assert "cosine_hold" in found["schedule.name"].kind
    assert found["schedule.warmup"][1:4] == ("0", "default", "0")
    assert found["schedule.power"][1:4] == ("0.9", "default", "0.9")


def test_swept_values_and_baselines(path: Path) -> None:
    sweep = "sweep={model.filters: [4, 16]}"
    found = by_key(lines_of(path, sweep, variant="seed1-filters=16")[0])
    assert found["model.filters"][1:4] == ("16", "sweep", "32")
    baseline = by_key(lines_of(path, "baseline.leaves=7", variant="baseline")[0])
    assert baseline["baseline.leaves"][1:4] == ("7", "override", "31")
    assert "data.charge" in baseline
    assert not {key.partition(".")[0] for key in baseline} & {"model", "loss", "optimizer", "schedule", "training"}
    assert by_key(lines_of(path, "baseline=null")[0])["baseline"].value == "null"


@pytest.mark.parametrize("overrides", [[], ["schedule={name: one_cycle}"], ["baseline=null", "init={all: w.ckpt}"]])
def test_given_back_as_overrides_the_lines_make_the_same_stage(path: Path, overrides: list[str]) -> None:
    lines, _ = lines_of(path, *overrides)
    assignments = [f"stages.net.{line.key}={line.value}" for line in lines if line.value is not None]
    resolved = tasks.resolve(load_experiment(path, "small", [f"stages.net.{override}" for override in overrides]))
    assert tasks.resolve(load_experiment(path, "small", assignments)) == resolved


def test_every_option_is_one_line_of_a_pipe(path: Path) -> None:
    lines, printed = lines_of(path, "optimizer.lr=1e-2")
    rows = printed.splitlines()
    for line in lines:
        if line.value is not None:
            (row,) = [row for row in rows if f" {line.key}={line.value} " in f"{row} "]
            assert row.startswith("*") == line.changed
            assert line.meaning in row
    assert "{key: [values]}" in printed  # not taken for markup
    assert not any(row != row.rstrip() for row in rows)
    assert "makes out/study-small/net/seed0" in printed
