"""Chains of other tools, gone on with here: their configurations trained for two steps, their checkpoints split."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from command_line import weft

from weft import tasks
from weft.config import load_experiment
from weft.engine.model_file import read_model
from weft.io.store import EventStore

SEEDS = Path(__file__).parents[4] / "shared/seeds/configs"
CONFIGS = Path(__file__).parents[1] / "config"
needs_seeds = pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed configurations are not here")
DATASET = {
    "name": "few",
    "source": "simulation",
    "simulation": {"box": {"voxels": 64}},
    "splits": {"train": {"events": 4, "seed": 1}, "val": {"events": 2, "seed": 2}},
}
TRAINING = {"iterations": 2, "batch_size": 2, "validate_every": 2, "log_every": 1, "workers": 0}
SMALL: dict[str, dict[str, Any]] = {
    "segmentation": {"filters": 2, "depth": 2, "reps": 1},
    "points": {"filters": 2, "reps": 1},
    "spice": {"filters": 2, "depth": 2, "reps": 1, "input_kernel": 3, "spatial_size": 64},
    "graph_spice": {"filters": 2, "depth": 2, "reps": 1, "input_kernel": 3, "spatial_size": 64},
    "grappa": {"width": 4, "rounds": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events to train on, and to validate."""
    folder = tmp_path_factory.mktemp("chains")
    (folder / "few.yaml").write_text(yaml.safe_dump(DATASET))
    assert weft("simulate", folder / "few.yaml", "--results", folder / "results") == 0
    for path in (folder / "results").rglob("*.root"):
        split = path.parent.name
        assert weft("convert", path, folder / f"results/data/few/{split}/0000.h5") == 0
    return folder


def imported(source: Path, folder: Path, name: str, form: str = "auto") -> Path:
    """The experiment of a configuration, at a tiny size, on the few events, every stage fed the truth in training."""
    target = folder / f"{name}.yaml"
    assert weft("import-config", source, "-o", folder / f"{name}.full.yaml", "--form", form) == 0
    document = yaml.safe_load((folder / f"{name}.full.yaml").read_text())
    document |= {"name": name, "dataset": str(folder / "few.yaml")}
    for stage in document["stages"].values():
        stage.pop("init", None)
        stage.pop("resources", None)
        if stage["task"] in SMALL:
            stage["model"] |= SMALL[stage["task"]]
        if "training" in stage:
            stage["training"] = TRAINING
            stage["baseline"] = None
            if set(stage.get("needs", {})) - {"truth"}:
                stage["train_on"] = "truth"
                if stage["data"].pop("proposals", False):  # there are none of the truth
                    stage["needs"]["uresnet"].remove("point_proposals")
        for module in stage.get("model", {}).get("modules", {}).values():
            module["model"] |= SMALL.get(module["task"], {})
    target.write_text(yaml.safe_dump(document, sort_keys=False))
    return target


def trained(experiment: Path, folder: Path) -> dict[str, pd.DataFrame]:
    """The logs of all stages that learn, each trained for its two steps."""
    described = tasks.resolve(load_experiment(experiment))
    logs = {}
    for name in described.order():
        options = (experiment, "--stage", name, "--results", folder / "results")
        assert weft("train", *options) == 0
        if described.stages[name].learned:
            logs[name] = pd.read_csv(next((folder / "results" / described.id / name).rglob("log.csv")))
    return logs


@needs_seeds
def test_the_seed_of_spine_trains(folder: Path) -> None:
    (log,) = trained(imported(SEEDS / "uresnet.cfg", folder, "seed0"), folder).values()
    assert log["step"].max() == 2
    assert log["loss"].notna().any()


@needs_seeds
@pytest.mark.parametrize("form", ["joint", "staged"])
def test_the_seed_of_2020_trains_together_and_stage_by_stage(form: str, folder: Path) -> None:
    logs = trained(imported(SEEDS / "full_chain.cfg", folder, f"seed1{form}", form), folder)
    assert list(logs) == (["full_chain"] if form == "joint" else ["uresnet", "spice", "shower", "interaction"])
    assert all(log["step"].max() == 2 for log in logs.values())


def test_the_full_chain_of_spine_trains_stage_by_stage_and_takes_over_its_checkpoint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = imported(CONFIGS / "spine_full_chain.yaml", folder, "spine")
    logs = trained(experiment, folder)
    assert list(logs) == ["uresnet", "graph_spice", "shower", "track", "interaction"]
    assert all(log["step"].max() == 2 for log in logs.values())
    checkpoint = folder / "snapshot-9.ckpt"
    states = write_checkpoint(experiment, checkpoint)
    other = ("--results", folder / "other")
    capsys.readouterr()
    assert weft("import-weights", checkpoint, "--experiment", experiment, *other) == 0
    said = capsys.readouterr().out
    assert "module grappa_inter" in said
    assert "not used: module grappa_spare, 1 tensors" in said
    for name, state in states.items():
        model = read_model(folder / f"other/spine/{name}/seed0/model.ckpt")
        assert all(torch.equal(model.state[key], state[key]) for key in state)
    # All stages are ready, those that learn nothing too.
    events, output = folder / "results/data/few/val/0000.h5", folder / "out.h5"
    assert weft("deploy", experiment, *other, "--stage", "chain", "--events", events, "--output", output) == 0
    with EventStore.open(output) as store:
        assert {"semantics", "fragments", "candidates", "reco_interactions"} <= set(store.products)
    again = ("import-weights", checkpoint, "--experiment", experiment, *other)
    assert weft(*again) == 1
    assert "exists; remove it or write elsewhere with --to" in capsys.readouterr().err


MODULES = {
    "uresnet": "uresnet_ppn",
    "graph_spice": "graph_spice",
    "shower": "grappa_shower",
    "track": "grappa_track",
    "interaction": "grappa_inter",
}


def write_checkpoint(experiment: Path, path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """A checkpoint as SPINE's chain leaves it; returns the networks in it, by stage."""
    found, whole = {}, {"grappa_spare.gnn.last.weight": torch.zeros(2)}
    for k, (name, module) in enumerate(MODULES.items()):
        task = tasks.of(load_experiment(experiment).stages[name])
        torch.manual_seed(k)
        found[name] = task.network().state_dict()
        names = task.foreign_layout().names  # type: ignore[union-attr]
        assert set(names) == set(found[name])
        whole |= {f"{module}.{theirs}": found[name][ours] for ours, theirs in names.items()}
    torch.save({"global_step": 9, "state_dict": whole}, path)
    return found


def test_weights_of_a_chain_start_its_trainings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = imported(CONFIGS / "spine_full_chain.yaml", folder, "starts")
    checkpoint, parts = folder / "snapshot-3.ckpt", folder / "parts"
    states = write_checkpoint(experiment, checkpoint)
    assert weft("import-weights", checkpoint, "--experiment", experiment, "--to", parts) == 0
    assert {path.name for path in parts.glob("*.ckpt")} == {f"{name}.ckpt" for name in MODULES}
    state = read_model(parts / "track.ckpt").state
    assert all(torch.equal(state[key], tensor) for key, tensor in states["track"].items())
    one = ("--stage", "interaction", "--to", folder / "one.ckpt")
    assert weft("import-weights", checkpoint, "--experiment", experiment, *one) == 0  # its module is known by name
    state = read_model(folder / "one.ckpt").state
    assert all(torch.equal(state[key], tensor) for key, tensor in states["interaction"].items())
    # One of its networks may not be in the file; one of another shape is an error, and nothing is written.
    whole = torch.load(checkpoint, weights_only=True)
    whole["state_dict"] = {key: value for key, value in whole["state_dict"].items() if "grappa_track" not in key}
    torch.save(whole, checkpoint)
    capsys.readouterr()
    assert weft("import-weights", checkpoint, "--experiment", experiment, "--to", folder / "fewer") == 0
    assert "nothing for stage track: the file has no such network" in capsys.readouterr().out
    whole["state_dict"]["grappa_shower.edge_pred.linear.bias"] = torch.zeros(3)
    torch.save(whole, checkpoint)
    assert weft("import-weights", checkpoint, "--experiment", experiment, "--to", folder / "none") == 1
    assert "heads.edge.bias has shape (3,)" in capsys.readouterr().err
    assert not (folder / "none").exists()
    torch.save({"state_dict": {"other.weight": torch.zeros(1)}}, checkpoint)
    assert weft("import-weights", checkpoint, "--experiment", experiment, "--to", folder / "none") == 1
    assert "no network of a stage is in it; it has: other" in capsys.readouterr().err


def test_a_joint_training_starts_from_the_parts_of_a_checkpoint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    staged = imported(CONFIGS / "spine_full_chain.yaml", folder, "again")
    joint = imported(CONFIGS / "spine_full_chain.yaml", folder, "together", "joint")
    checkpoint = folder / "snapshot-5.ckpt"
    states = write_checkpoint(staged, checkpoint)
    assert weft("import-weights", checkpoint, "--experiment", joint) == 1
    assert "trains several modules: give --to FOLDER" in capsys.readouterr().err
    assert weft("import-weights", checkpoint, "--experiment", joint, "--to", folder / "modules") == 0
    state = read_model(folder / "modules/shower.ckpt").state
    assert all(torch.equal(state[key], tensor) for key, tensor in states["shower"].items())
    starts = {name: {"from": str(folder / f"modules/{name}.ckpt"), "part": "all"} for name in MODULES}
    document = yaml.safe_load(joint.read_text())
    document["stages"]["full_chain"]["init"] = starts
    joint.write_text(yaml.safe_dump(document, sort_keys=False))
    (log,) = trained(joint, folder).values()
    assert log["step"].max() == 2
