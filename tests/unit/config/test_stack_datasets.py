"""Datasets of stacks: simulated ones, and folders and files of a user."""

import json

import numpy as np
import pytest

from weft.config import FileDataset, SimulatedDataset, dataset_from, load_dataset
from weft.config.loading import ConfigError, validate
from weft.io.tiff_write import write_ome_tiff
from weft.simulation.settings import SimulationSettings, settings_of
from weft.simulation.stacks.settings import StackSettings

SHIFTS = {
    "test_dim": {"camera": {"photons": 30.0}},
    "test_blurred": {"optics": {"psf": (0.5, 0.18, 0.18)}},
    "test_large": {"size": 1.5},
}


@pytest.mark.parametrize("scale", ["demo", "study", "reference"])
def test_shifted_splits_are_the_test_stacks_with_one_change(scale):
    dataset = load_dataset("stacks", scale)
    assert isinstance(dataset, SimulatedDataset)
    plain = settings_of(dataset, "test")
    assert isinstance(plain, StackSettings)
    assert settings_of(dataset, "train") == settings_of(dataset, "val") == plain
    for split, change in SHIFTS.items():
        assert dataset.split(split).seed == dataset.split("test").seed
        merged = plain.model_dump()
        for key, value in change.items():
            merged[key] = merged[key] | value if isinstance(value, dict) else value
        assert settings_of(dataset, split).model_dump() == merged
    assert set(dataset.splits) == {"train", "val", "test", "unlabelled", *SHIFTS}


def test_what_is_simulated_is_said_once_and_a_dataset_of_argon_is_as_before():
    argon, stacks = load_dataset("lartpc", "tiny"), load_dataset("stacks", "tiny")
    assert isinstance(argon, SimulatedDataset)
    assert "kind" not in argon.model_dump()
    assert isinstance(settings_of(argon, "test"), SimulationSettings)
    for dataset in (argon, stacks, load_dataset("stack_files"), load_dataset("microboone_files")):
        assert dataset_from(json.loads(json.dumps(dataset.model_dump(mode="json")))) == dataset
    with pytest.raises(ConfigError, match=r"dataset 'stacks', split 'test'.*photon.*photons"):
        settings_of(load_dataset("stacks", "tiny", ("simulation.camera.photon=3",)), "test")  # type: ignore[arg-type]


def files(tmp_path, **more):
    values = {"name": "mine", "source": "files", "kind": "stacks", "splits": {"all": {"files": [f"{tmp_path}/*.tif"]}}}
    return validate(FileDataset, values | more, "mine")


def test_labels_and_costs_that_a_glob_finds_go_with_their_image(tmp_path):
    for name in ("a", "a_GT", "a_CM", "b", "b_GT", "c_mask"):
        write_ome_tiff(tmp_path / f"{name}.ome.tif", np.zeros((1, 2, 2), np.uint8))
    assert [shard.id for shard in files(tmp_path).shards("all")] == ["a", "b", "c_mask"]
    other = files(tmp_path, products={"labels": "_mask", "cost": None})
    assert [shard.id for shard in other.shards("all")] == ["a", "a_CM", "a_GT", "b", "b_GT", "c_mask"]
    folder = files(tmp_path, splits={"all": {"files": [str(tmp_path)]}})
    assert [(shard.id, shard.file) for shard in folder.shards("all")] == [(tmp_path.name, str(tmp_path))]


def test_voxel_size_of_a_dataset():
    assert files("x", spacing=[0.3, 0.1, 0.1]).spacing == (0.3, 0.1, 0.1)
    assert "spacing" not in files("x").model_dump()
    with pytest.raises(ConfigError, match="spacing"):
        files("x", spacing=[0, 1, 1])
