"""The acceptance test of the specification (§15): four simulated stacks teach a narrow network to find a fifth's."""

from pathlib import Path

import pandas as pd
import pytest

from weft import tasks
from weft.config.dataset import load_dataset
from weft.config.experiment import load_experiment
from weft.engine.fit import fit
from weft.io.convert import convert_file
from weft.simulation.stacks.produce import simulate_folder
from weft.simulation.stacks.settings import StackSettings

CHANGES = {
    "model.base_channels": 8,
    "data.patch": [16, 64, 64],
    "training.iterations": 200,
    "training.validate_every": 200,
    "training.workers": 0,
}


@pytest.mark.slow
def test_four_stacks_are_enough_for_a_dice_of_nine_tenths(tmp_path: Path) -> None:
    """The options are those of the experiment `volumes`, the stacks those of its dataset, 32 x 192 x 192 voxels."""
    dataset = load_dataset("stacks", "demo")
    settings = StackSettings.parse(dataset.simulation)
    assert settings.shape == (32, 192, 192)
    shards = {}
    for split, count in (("train", 4), ("val", 1)):
        folder = simulate_folder(settings, dataset.splits[split].seed, 0, count, tmp_path / split)
        convert_file(folder, tmp_path / f"{split}.h5")
        shards[split] = [{"truth": tmp_path / f"{split}.h5"}]
    changed = [f"stages.unet.{key}={value}" for key, value in CHANGES.items()]
    stage = tasks.resolve(load_experiment("volumes", "demo", changed)).stages["unet"]
    task = tasks.of(stage)
    fit(task, stage, 0, shards["train"], shards["val"], tmp_path / "out", tmp_path / "work", stage.training_options())
    log = pd.read_csv(tmp_path / "out" / "log.csv")
    judged = log[log["split"] == "val"]
    assert judged["step"].tolist() == [200]
    assert judged["dice"].item() > 0.9
    assert judged["iou"].item() > 0.8
