"""Towns from simulation to report: the tiny scale of the experiment on meshes, verb by verb."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import weft

from weft.config import Layout, load_dataset, load_experiment, plan
from weft.io.store import EventStore

STAGES = ("geometry", "textured")


def verb(name: str, folder: Path, *more: str) -> int:
    return weft(name, "meshes", "--scale", "tiny", "--results", str(folder), *more)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    assert weft("simulate", "towns", "--scale", "tiny", "--results", str(folder)) == 0
    for split in ("train", "val", "test"):
        (towns,) = (folder / "data/towns-tiny" / split).glob("*.towns")
        assert weft("convert", str(towns), str(towns.with_suffix(".h5"))) == 0
    for stage in STAGES:
        for variant in ("seed0", "baseline"):
            for step in ("train", "deploy", "evaluate"):
                assert verb(step, folder, "--stage", stage, "--variant", variant) == 0
    assert verb("report", folder) == 0
    return folder


def test_every_face_of_the_files_is_predicted(results: Path) -> None:
    with EventStore.open(results / "data/towns-tiny/test/0000.h5") as truth:
        for stage in STAGES:
            for variant in ("seed0", "baseline"):
                (path,) = (results / "meshes-tiny" / stage / variant).rglob("predictions/*/test/0000.h5")
                with EventStore.open({"truth": truth.files["0"].path, "prediction": path}) as store:
                    for i in range(len(store)):
                        probabilities = store["face_probabilities"][i]
                        assert len(probabilities) == len(truth["faces"][i])
                        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
                    names = list(truth.products["face_labels"].codes["class"].values())
                    assert list(store.products["prediction/face_labels"].codes["class"].values()) == names


def test_scores_and_report(results: Path) -> None:
    experiment, dataset = load_experiment("meshes", "tiny"), load_dataset("towns", "tiny")
    for run in plan(experiment, dataset, Layout(str(results))):
        events = pd.read_parquet(run.score("events"))
        assert len(events) == dataset.split("test").events
        assert (events["n_judged"] > 0).all()
    page = (results / "meshes-tiny/report.html").read_text()
    for stage in STAGES:
        assert f'id="{stage}' in page


def test_a_model_says_what_it_measured(results: Path) -> None:
    from weft.engine.model_file import MEASURED, read_model

    measured = read_model(results / "meshes-tiny/textured/seed0/model.ckpt").provenance[MEASURED]
    assert len(measured["features"]["mean"]) == 19
    assert len(measured["colours"]["deviation"]) == 3
    assert sum(measured["faces"]) > 1000


def test_other_ways_of_predicting_need_no_other_training(results: Path, tmp_path: Path) -> None:
    events = str(results / "data/towns-tiny/test/0000.h5")
    model = str(results / "meshes-tiny/geometry/seed0/model.ckpt")

    def deployed(name: str, data: dict[str, Any]) -> int:
        stage = {
            "task": "mesh_segmentation",
            "checkpoint": model,
            "needs": {"truth": ["vertices", "faces", "face_surface"]},
            "data": data,
            "evaluation": {"splits": ["files"]},
        }
        experiment = {"name": name, "dataset": "mesh_files", "truth": False, "stages": {"faces": stage}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(experiment))
        given = ("--stage", "chain", "--model", model, "--events", events, "--output", tmp_path / f"{name}.h5")
        return weft("deploy", tmp_path / f"{name}.yaml", "--results", tmp_path, *given)

    made = {}
    for name, asked in {
        "plain": {"shifted": 1},
        "mean": {"shifted": 3},
        "smooth": {"smoothing": {"strength": 8}},
    }.items():
        assert deployed(name, {"inference": asked}) == 0
        with EventStore.open(tmp_path / f"{name}.h5") as store:
            made[name] = store["face_labels"][0], store["face_probabilities"][0]
    np.testing.assert_array_equal(made["plain"][1], made["smooth"][1])
    assert not np.array_equal(made["plain"][0], made["smooth"][0])
    assert not np.array_equal(made["plain"][1], made["mean"][1])
    assert deployed("refused", {"clusters": {"faces": 32}}) == 1
