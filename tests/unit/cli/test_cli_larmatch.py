"""`weft deploy --root` of space points: one tree with the columns of both tables, staged and as a chain."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import uproot
import yaml
from command_line import weft

from weft.config.given import Given, remember
from weft.io.store import EventStore

DATASET = {
    "name": "planes",
    "source": "simulation",
    "simulation": {"box": {"voxels": 96}, "wires": {"detector": "toy"}},
    "splits": {"train": {"events": 2, "seed": 1}, "val": {"events": 1, "seed": 2}, "test": {"events": 2, "seed": 3}},
}
TINY = {"stem_width": 2, "widths": [2, 2], "blocks": 1, "features": 2, "heads": {"larmatch": [2], "key_points": [2]}}
EXPERIMENT: dict = {
    "name": "points",
    "chain": ["space_points"],
    "stages": {
        "triplets": {"task": "triplets", "needs": {"truth": ["image2d_wire", "image2d_wire_meta"]},
                     "model": {"detector": "toy"}},
        "larmatch": {"task": "larmatch", "needs": {"triplets": {"predictions": ["pixels", "triplets"]}},
                     "model": TINY, "data": {"min_score": 0, "sampling": {"triplets": 100}}, "baseline": None,
                     "training": {"iterations": 1, "batch_size": 1, "workers": 0}},
        "space_points": {"task": "space_points", "baseline": None,
                         "needs": {"triplets": {"predictions": ["pixels", "triplets"]},
                                   "larmatch": {"predictions": ["triplet_scores"]}},
                         # What an untrained network says is kept.
                         "model": {"min_score": 0, "heads": ["key_points"],
                                   "key_points": {"min_larmatch": 0, "min_score": 0}}},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planes")
    (folder / "planes.yaml").write_text(yaml.safe_dump(DATASET))
    (folder / "points.yaml").write_text(yaml.safe_dump(EXPERIMENT | {"dataset": str(folder / "planes.yaml")}))
    assert weft("simulate", str(folder / "planes.yaml"), "--results", str(folder / "results")) == 0
    for root in sorted((folder / "results/data/planes").rglob("*.root")):
        assert weft("convert", str(root), str(root.with_suffix(".h5"))) == 0
    for stage in EXPERIMENT["stages"]:
        assert run(folder, "train", stage) == 0
        for split in ("train", "val", "test") if stage == "triplets" else ("test",) if stage == "larmatch" else ():
            assert run(folder, "deploy", stage, "--split", split) == 0
    return folder


def run(folder: Path, verb: str, stage: str, *more: str) -> int:
    return weft(verb, str(folder / "points.yaml"), "--results", str(folder / "results"), "--stage", stage, *more)


def test_the_tree_of_a_stage_holds_its_tables(folder: Path) -> None:
    assert run(folder, "deploy", "space_points", "--root") == 0
    (path,) = (folder / "results/points/space_points").rglob("test/0000.root")
    with uproot.open(path) as file, EventStore.open(path.with_suffix(".h5")) as store:
        assert file.keys(cycle=False, filter_classname="TTree") == ["larmatch"]
        arrays = file["larmatch"].arrays()
        assert json.loads(file["weft_codes"])["key_points.kind"]["1"] == "track_start"
        assert json.loads(file["weft_units"])["space_points.charge_0"] == "ADC"
        assert set(json.loads(file["weft_provenance"])["inputs"]) == {"truth", "triplets", "larmatch", "prediction"}
        names = {f"{p}_{column}" for p in store.products for column in store[p].schema.dtype.names or ()}
        counters = {f"n{product}" for product in store.products}
        assert set(arrays.fields) == {"run", "subrun", "event", "uid"} | counters | names
        assert len(arrays) == len(store) == 2
        assert sum(arrays["nspace_points"]) > 100
        assert sum(arrays["nkey_points"]) > 0
        for i in range(len(store)):
            assert int(arrays["uid"][i]) == int(store.events["uid"][i])
            for product in store.products:
                rows = store[product][i]
                for column in rows.dtype.names:
                    np.testing.assert_array_equal(arrays[f"{product}_{column}"][i], rows[column])


def test_the_tree_of_a_chain_lies_beside_those_of_its_other_products(folder: Path, tmp_path: Path) -> None:
    events = str(folder / "results/data/planes/test/0000.h5")
    own = ("--events", events, "--output", str(tmp_path / "own.h5"))
    assert run(folder, "deploy", "chain", *own, "--root") == 0
    with uproot.open(tmp_path / "own.root") as file, EventStore.open(tmp_path / "own.h5") as store:
        trees = {name.rpartition(";")[0] or name for name in file.keys(filter_classname="TTree")}
        assert trees == {"larmatch"} | {
            f"{name}_weft_tree" for name in ("pixels", "dead_wires", "triplets", "triplet_rows", "triplet_scores")
        }
        x = file["larmatch"]["space_points_x"].array()
        index = file["triplet_scores_weft_tree"]["_v._index"].array()
        for i in range(len(store)):
            np.testing.assert_array_equal(x[i], store["space_points"][i]["x"])
            np.testing.assert_array_equal(index[i], store["triplet_scores"].index(i))


def test_the_model_says_which_search_it_learned_from(folder: Path) -> None:
    record = json.loads((folder / "results/points/larmatch/seed0/model.json").read_text())
    assert set(record["fed_by"]) == {"pixels", "triplets"}
    made = record["fed_by"]["triplets"]
    assert made["task"] == "triplets"
    assert made["method"]["model.margin"] is None
    assert "model.detector" not in made["method"]


def test_a_stage_fed_by_another_search_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settled and deployed anew with another margin: neither the chain nor the stage goes on with the old network."""
    shutil.copytree(folder / "results", tmp_path / "results")
    document = copy.deepcopy(EXPERIMENT) | {"dataset": str(folder / "planes.yaml")}
    document["stages"]["triplets"]["model"]["margin"] = 3
    (tmp_path / "points.yaml").write_text(yaml.safe_dump(document))
    assert run(tmp_path, "train", "triplets") == 0
    assert run(tmp_path, "deploy", "triplets", "--split", "test") == 0
    said = "model.ckpt: learned from 'pixels' made with model.margin = null, stage 'triplets' makes them with 3.0"
    for stage in ("chain", "larmatch"):
        capsys.readouterr()
        assert run(tmp_path, "deploy", stage) == 1
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("detector", ["toy", "two_sided"])
def test_a_checkpoint_fed_by_another_search_is_refused_when_the_experiment_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], detector: str
) -> None:
    """Another detector is the data's affair, another search is not, unless the stage says so."""
    model = folder / "results/points/larmatch/seed0/model.ckpt"
    (tmp_path / "a.root").touch()
    splits = {"files": {"files": [str(tmp_path / "a.root")]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "source": "files", "splits": splits}))
    evaluation = {"evaluation": {"splits": ["files"]}}
    search: dict = {"task": "triplets", "model": {"detector": detector}, **evaluation}
    net: dict = {
        "task": "larmatch",
        "checkpoint": str(model),
        "needs": {"triplets": ["pixels", "triplets"]},
        **evaluation,
    }
    document = {"name": "real", "dataset": str(tmp_path / "mine.yaml"), "truth": False}

    def status(differs: list[str], **model: object) -> str:
        stages = {"triplets": search | {"model": search["model"] | model}, "net": net | {"differs": differs}}
        (tmp_path / "real.yaml").write_text(yaml.safe_dump(document | {"stages": stages}))
        weft("status", str(tmp_path / "real.yaml"), "--results", str(tmp_path / "results"))
        return capsys.readouterr().err

    assert status([]) == ""
    assert (
        f"stage 'net': checkpoint: {model}: learned from 'pixels' made with model.max_per_row = null, stage 'triplets' "
        "makes them with 5: set that, train again, or accept it with differs: [triplets.model.max_per_row]"
    ) in status([], max_per_row=5)
    assert status(["triplets.model.max_per_row"], max_per_row=5) == ""
    assert ("differs: no option 'triplets.model.max_row' (did you mean 'triplets.model.max_per_row'?)") in status(
        ["triplets.model.max_row"], max_per_row=5
    )
    stages = {"triplets": search | {"differs": ["a.b"]}}
    (tmp_path / "real.yaml").write_text(yaml.safe_dump(document | {"stages": stages}))
    assert weft("status", str(tmp_path / "real.yaml")) == 1
    assert "stage 'triplets': differs: only of a stage with a checkpoint" in capsys.readouterr().err


def test_a_stage_whose_products_are_no_tables_is_refused_before_its_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from weft.io.products import Column, Schema
    from weft.tasks.space_points.task import SpacePoints

    volume = Schema("volume", "dense", np.dtype("f4"), (Column("v"),))
    monkeypatch.setattr(SpacePoints, "makes", (volume,))
    assert run(folder, "deploy", "space_points", "--root") == 1
    error = capsys.readouterr().err
    assert "--root: stage 'space_points': the tree 'larmatch' holds tables" in error
    assert "volume is dense" in error


@pytest.fixture
def given(folder: Path, tmp_path: Path) -> Path:
    """The stages with a model that is given, for files without a truth; nothing is there but the dataset."""
    stages = copy.deepcopy(EXPERIMENT["stages"])
    for stage in stages.values():
        stage |= {"evaluation": {"splits": ["files"]}}
    stages["larmatch"] |= {"checkpoint": str(tmp_path / "none/model.ckpt")}
    del stages["larmatch"]["training"], stages["larmatch"]["model"], stages["larmatch"]["data"]
    splits = {"files": {"files": [str(tmp_path / "none/*.root")]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "source": "files", "splits": splits}))
    document = {"name": "points", "dataset": str(tmp_path / "mine.yaml"), "truth": False, "chain": ["space_points"]}
    (tmp_path / "points.yaml").write_text(yaml.safe_dump(document | {"stages": stages}))
    return tmp_path


def test_a_chain_with_a_model_that_is_given_needs_no_training(
    folder: Path, given: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = folder / "results/data/planes/test/0000.h5"
    model = folder / "results/points/larmatch/seed0/model.ckpt"
    own = ("--events", str(events), "--output", str(given / "own.h5"))
    assert run(given, "deploy", "chain", *own) == 1
    assert "none/model.ckpt: no such file; train that model, or name another one" in capsys.readouterr().err
    assert run(given, "deploy", "chain", *own, "--model", str(model)) == 0
    assert not (given / "results").exists()
    assert run(folder, "deploy", "chain", "--events", str(events), "--output", str(given / "trained.h5")) == 0
    with EventStore.open(given / "own.h5") as ours, EventStore.open(given / "trained.h5") as trained:
        assert ours.content_hash == trained.content_hash
        assert set(ours.files["0"].provenance["models"]) == {"larmatch"}

    # An option of the call.
    median = "stages.larmatch.data.min_score=0.6", "stages.space_points.model.min_score=0.6"
    key_points = "stages.space_points.model.key_points.min_larmatch=0.6"
    assert run(given, "deploy", "chain", *own, "--model", str(model), *median, key_points) == 0
    with EventStore.open(given / "own.h5") as ours, EventStore.open(given / "trained.h5") as trained:
        for i in range(len(ours)):
            scores = trained["triplet_scores"][i]["larmatch"]
            np.testing.assert_array_equal(ours["triplet_scores"][i]["larmatch"], scores[scores >= np.float32(0.6)])
    assert run(given, "deploy", "chain", "--model", str(model)) == 1
    assert "--model and overrides need --events and --output" in capsys.readouterr().err
    assert run(folder, "deploy", "chain", *own, *median) == 1
    assert "--stage chain takes no overrides" in capsys.readouterr().err
    assert run(given, "deploy", "larmatch", "--model", str(model)) == 1
    assert "--model is for --stage chain; of one stage say checkpoint=PATH" in capsys.readouterr().err


def test_status_finds_what_a_deploy_was_given(folder: Path, given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def status(*more: str) -> tuple[int, str]:
        code = weft("status", str(given / "points.yaml"), "--results", str(given / "results"), *more)
        said = capsys.readouterr()
        return code, said.out + said.err

    model = str(folder / "results/points/larmatch/seed0/model.ckpt")
    for name in ("a.root", "b.root"):
        (given / name).touch()
    code, said = status()
    assert code == 1
    assert "none/model.ckpt: no such file; train that model, or name another one" in said
    code, said = status("--model", model)
    assert code == 1
    assert "split 'files': no file matches" in said
    code, said = status("--model", model, "--files", str(given / "*.root"))
    assert (code, said.splitlines()[0]) == (0, "0 of 2 files done, 2 missing")
    # As a workflow leaves it.
    remember(given / "results/points/given.json", Given(model, (str(given / "a.root"),)))
    assert status()[1].splitlines() == ["0 of 1 files done, 1 missing", f"missing: {given}/a.root (seed0)"]
    code, said = status("--files", str(given / "*.root"))
    assert said.splitlines()[0] == "0 of 2 files done, 2 missing"
