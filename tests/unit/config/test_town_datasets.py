"""Datasets of simulated towns."""

import json

import pytest

from weft.config import SimulatedDataset, dataset_from, load_dataset
from weft.config.loading import ConfigError
from weft.simulation.settings import settings_of
from weft.simulation.towns.settings import TownSettings

SHIFTS = {
    "test_light": {"textures": {"brightness": 0.5}},
    "test_noisy": {"damage": {"noise": 0.25}},
    "test_torn": {"damage": {"holes": 0.1, "duplicates": 0.1}},
}


@pytest.mark.parametrize("scale", ["tiny", "demo", "study", "reference"])
def test_shifted_splits_are_the_test_towns_with_one_change(scale):
    dataset = load_dataset("towns", scale)
    assert isinstance(dataset, SimulatedDataset)
    plain = settings_of(dataset, "test")
    assert isinstance(plain, TownSettings)
    assert settings_of(dataset, "train") == settings_of(dataset, "val") == plain
    for split, change in SHIFTS.items():
        assert dataset.split(split).seed == dataset.split("test").seed
        merged = plain.model_dump()
        for key, value in change.items():
            merged[key] = merged[key] | value
        assert settings_of(dataset, split).model_dump() == merged != plain.model_dump()
    assert set(dataset.splits) == {"train", "val", "test", *SHIFTS}
    assert dataset_from(json.loads(json.dumps(dataset.model_dump(mode="json")))) == dataset


def test_a_claim_has_enough_held_out_tiles_at_study():
    study = load_dataset("towns", "study")
    assert isinstance(study, SimulatedDataset)
    assert (study.split("test").events or 0) >= 10


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"dataset 'towns', split 'test'.*wave.*waves"):
        settings_of(load_dataset("towns", "tiny", ("simulation.ground.wave=3",)), "test")  # type: ignore[arg-type]
