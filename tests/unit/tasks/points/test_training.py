"""A point proposal network trained alone, on the frozen trunk of a trained segmentation, and jointly with it."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from point_events import random_event

from weft import tasks
from weft.config.experiment import Stage
from weft.engine.fit import fit
from weft.engine.model_file import read_model
from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, SEMANTICS, VOXELS, EventId
from weft.io.writer import StoreWriter

TRUNK = {"filters": 3, "depth": 4, "reps": 1}
FORMS = {
    "every_scale": {"form": "every_scale"},
    "scales3": {"form": "scales3", "spatial_size": 64, "ppn1_size": 16, "ppn2_size": 32},
}


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("events") / "truth.h5"
    schemas = [META, VOXELS, CHARGE, SEMANTICS, CLUSTERS, PARTICLES]
    with StoreWriter(path, schemas, provenance={}) as writer:
        for k in range(3):
            event = random_event(k, particles=4)
            writer.append(EventId(1, 0, k, k), {schema.name: event[schema.name] for schema in schemas})
    return {"truth": path}


def train(task: str, model: dict, shard, output: Path, iterations: int = 3, lr: float = 1e-3, **stage) -> dict:
    """The trained state; stage: further keys of it, and `weights` files."""
    weights = stage.pop("weights", {})
    training = {"iterations": iterations, "batch_size": 2, "validate_every": iterations, "log_every": 1}
    stage = {"optimizer": {"name": "SGD", "lr": lr}, "training": training} | stage
    fit(tasks.build(task, {"model": model}), Stage.model_validate({"task": task, **stage}), 0, [shard], [shard],
        output, output / "work", {}, weights)  # fmt: skip
    return read_model(output / "model.ckpt").state


@pytest.fixture(scope="module")
def segmentation(shard, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("uresnet")
    train("segmentation", TRUNK, shard, output, lr=0.5)
    return output / "model.ckpt"


def part(state: dict, name: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


def same(a: dict, b: dict) -> list[bool]:
    assert a.keys() == b.keys()
    return [torch.equal(a[key], b[key]) for key in a]


@pytest.mark.parametrize("form", FORMS)
def test_on_a_frozen_trunk_nothing_but_the_proposals_learns(form, shard, segmentation, tmp_path):
    """Parameters and running statistics of the trunk, and of the segmentation head, stay what `needs` brought."""
    theirs = read_model(segmentation).state
    stage = {
        "needs": {"uresnet": {"weights": "best"}, "truth": ["voxels", "charge"]},
        "init": {"trunk": "uresnet", "head": "uresnet"},
        "freeze": ["trunk", "head"],
        "weights": {"uresnet": segmentation},
    }
    model = {**TRUNK, **FORMS[form], "semantic": True}
    made = train("points", model, shard, tmp_path / "long", lr=0.1, **stage)
    start = train("points", model, shard, tmp_path / "short", iterations=1, lr=1e-30, **stage)
    for name in ("trunk", "head"):
        assert all(same(part(made, name), part(theirs, name)))
    assert not any(same(part(made, "ppn"), part(start, "ppn")))


@pytest.mark.parametrize("form", FORMS)
def test_jointly_all_modules_learn_from_where_the_segmentation_was(form, shard, segmentation, tmp_path):
    theirs = read_model(segmentation).state
    stage = {"init": {"trunk": "uresnet", "head": "uresnet"}, "weights": {"uresnet": segmentation}}
    model = {**TRUNK, **FORMS[form], "semantic": True}
    start = train("points", model, shard, tmp_path / "start", iterations=1, lr=1e-30, **stage)
    learned = [name for name in theirs if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(start[name], theirs[name]) for name in learned)
    made = train("points", model, shard, tmp_path / "made", lr=0.1, **stage)
    moved = [not torch.equal(made[name], theirs[name]) for name in learned]
    assert all(moved)
    log = pd.read_csv(tmp_path / "made" / "log.csv")
    first = log[log.split == "train"].iloc[0]
    terms = [name for name in log.columns if name.startswith("mask_")] + ["class", "position", "semantic"]
    assert first["semantic"] > 0
    assert first["loss"] == pytest.approx(sum(first[name] for name in terms), rel=1e-4)


def test_alone_it_needs_nobody(shard, tmp_path):
    made = train("points", {**TRUNK, **FORMS["every_scale"]}, shard, tmp_path / "out")
    assert not part(made, "head")
    assert part(made, "trunk")
    assert all(torch.isfinite(tensor).all() for tensor in made.values())
