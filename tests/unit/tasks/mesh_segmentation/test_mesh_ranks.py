"""Two processes train on meshes as one does."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from made_meshes import CLASSES, plain

from weft import tasks
from weft.config.experiment import Stage
from weft.engine.fit import fit
from weft.engine.model_file import read_model
from weft.io.mesh_products import FACE_PIXELS, FACE_SURFACE, FACES, TEXCOORDS, VERTICES, face_labels
from weft.io.products import EventId
from weft.io.writer import StoreWriter

SCHEMAS = [VERTICES, FACES, TEXCOORDS, FACE_SURFACE, FACE_PIXELS, face_labels(CLASSES)]


def stage_of(processes: int) -> Stage:
    texture = {"width": 8, "dropout": 0.0}
    training = {"iterations": 4, "batch_size": 3, "validate_every": 2, "log_every": 1, "workers": 0, "clip_norm": 1}
    return Stage.model_validate(
        {
            "task": "mesh_segmentation",
            "model": {"width": 16, "heads": 2, "blocks": 2, "dropout": 0.0, "texture": texture},
            "loss": {"class_weight": "inverse_offset"},
            "data": {"classes": CLASSES, "clusters": {"faces": 16, "per_sample": 4}, "pixels": 4, "augment": None},
            "optimizer": {"name": "SGD", "lr": 0.05, "options": {"momentum": 0.9}},
            "training": training | {"monitor": "mean_f1", "mode": "max"},
            "resources": {"processes": processes},
        }
    )


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """Odd batches of samples of unlike meshes, which each rank pads by itself, and weights of classes."""
    path = tmp_path / "0.h5"
    with StoreWriter(path, SCHEMAS) as writer:
        for k, size in enumerate((8, 12, 6)):
            event = plain(size, seed=k, textured=0.8)
            products = {name.removeprefix("truth/"): values for name, values in event.items()}
            writer.append(EventId(1, 0, k, k), products)
    shards = [{"truth": path}]
    for name, processes in (("one", 1), ("two", 2)):
        stage, output = stage_of(processes), tmp_path / name
        fit(tasks.of(stage), stage, 0, shards, shards, output, output / "work", {}, threads=1)
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in ("one", "two")]
    columns = ["step", "split", "loss", "mean_f1", "accuracy", "grad_norm"]
    assert (logs[0]["loss"] > 0).all()
    pd.testing.assert_frame_equal(logs[0][columns], logs[1][columns], atol=1e-5, rtol=1e-4)
    models = [read_model(tmp_path / name / "model.ckpt") for name in ("one", "two")]
    assert [model.provenance["ranks"] for model in models] == [1, 2]
    for name, tensor in models[0].state.items():
        torch.testing.assert_close(models[1].state[name], tensor, atol=1e-5, rtol=1e-4, msg=name)
