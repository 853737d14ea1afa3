"""Two processes train as one does, by `resources` and by torchrun, and what they leave predicts the same."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_images import CLASSES, image

from weft import tasks
from weft.config.experiment import Stage
from weft.engine.fit import fit
from weft.engine.model_file import read_model
from weft.io.image_products import mask, picture
from weft.io.products import EventId
from weft.io.writer import StoreWriter

PROGRAM = """
import sys
from pathlib import Path
from weft import tasks
from weft.config.experiment import Stage
from weft.engine.fit import fit
stage, output = Stage.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[3])
shards = [{"truth": Path(sys.argv[2])}]
fit(tasks.of(stage), stage, 0, shards, shards, output, output / "work", {}, threads=1)
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Path]]:
    """Five images; one has no label at all, and only three have a class that is rare."""
    path = tmp_path_factory.mktemp("images") / "0.h5"
    with StoreWriter(path, [picture("u1"), mask(CLASSES)]) as writer:
        for k in range(5):
            event = image(k)
            labels = event["truth/mask"]
            labels[labels == 1] = 1 if k < 3 else 0
            labels[:] = -1 if k == 4 else labels
            writer.append(EventId(1, 0, k, k), {"picture": event["picture"], "mask": labels})
    return [{"truth": path}]


def stage_of(processes: int) -> Stage:
    training = {"iterations": 4, "batch_size": 3, "validate_every": 2, "log_every": 1, "workers": 0, "clip_norm": 1}
    return Stage.model_validate(
        {
            "task": "image_segmentation",
            "model": {"backbone": "light", "decoder_channels": [12, 10, 8, 8, 8]},
            "loss": {"terms": {"cross_entropy": 0.5, "dice": 0.5, "focal": 0.1}, "class_weights": [1, 3, 2]},
            "data": {"classes": list(CLASSES), "crop": [32, 32], "augment": {"brightness": 0.2}},
            "optimizer": {"name": "SGD", "lr": 0.05, "options": {"momentum": 0.9}},
            "training": training | {"monitor": "mean_iou", "mode": "max"},
            "resources": {"processes": processes},
        }
    )


def compare(one: Path, two: Path) -> None:
    logs = [pd.read_csv(folder / "log.csv") for folder in (one, two)]
    terms = ["loss", "cross_entropy", "dice", "focal"]
    assert (logs[0][terms].dropna() > 0).all(axis=None)
    columns = ["step", "split", *terms, "grad_norm"]
    pd.testing.assert_frame_equal(logs[0][columns], logs[1][columns], atol=1e-5, rtol=1e-4)
    # Of training steps some pixels lie so near to two answers that the order of a sum decides.
    for split, tolerance in (("val", 1e-5), ("train", 2e-3)):
        metrics = [log.loc[log.split == split, ["mean_iou", "accuracy"]] for log in logs]
        pd.testing.assert_frame_equal(*metrics, atol=tolerance, rtol=0)
    models = [read_model(folder / "model.ckpt") for folder in (one, two)]
    assert [model.provenance["ranks"] for model in models] == [1, 2]
    for name, tensor in models[0].state.items():
        torch.testing.assert_close(models[1].state[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_two_processes_train_as_one_does(shards: list[dict[str, Path]], tmp_path: Path) -> None:
    """Odd batches, an image without labels on one rank, batch norm over both, and a Dice loss by classes."""
    for name, processes in (("one", 1), ("two", 2)):
        stage, output = stage_of(processes), tmp_path / name
        fit(tasks.of(stage), stage, 0, shards, shards, output, output / "work", {}, threads=1)
    compare(tmp_path / "one", tmp_path / "two")

    stage = stage_of(1)
    (tmp_path / "stage.json").write_text(stage.model_dump_json())
    (tmp_path / "program.py").write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    given = [tmp_path / "program.py", tmp_path / "stage.json", shards[0]["truth"], tmp_path / "torchrun"]
    done = subprocess.run(
        [*launch, *map(str, given)], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    compare(tmp_path / "one", tmp_path / "torchrun")


def predictions(state: dict[str, torch.Tensor], event: dict[str, Any]) -> np.ndarray:
    built = tasks.of(stage_of(1))
    network = built.network()
    network.load_state_dict(state)
    (made,) = built.predict(network.eval(), built.collate([built.sample(event, (0, 0), labels=False)]))
    return made["mask_probabilities"]


def test_weights_of_any_memory_layout_predict_the_same() -> None:
    """Channels lie innermost in the network; files of earlier versions and of others have them outermost."""
    torch.manual_seed(0)
    network = tasks.of(stage_of(1)).network()
    ours = network.state_dict()
    theirs = {name: tensor.contiguous() for name, tensor in ours.items()}
    name = "body.decoder.blocks.0.convs.conv_0.conv.weight"
    assert ours[name].stride() != theirs[name].stride()
    again = tasks.of(stage_of(1)).network()
    again.load_state_dict(theirs)
    assert again.state_dict()[name].stride() == ours[name].stride()
    assert np.array_equal(predictions(ours, image(0)), predictions(theirs, image(0)))
