"""Datasets of pictures: simulated streets, and folders and files of a user."""

import json

import pytest
from image_folders import ids, picture, save

from weft.config import FileDataset, SimulatedDataset, dataset_from, load_dataset
from weft.config.loading import ConfigError, validate
from weft.simulation.settings import settings_of
from weft.simulation.streets.settings import StreetSettings

SHIFTS = {"test_dark": "exposure", "test_fog": "fog", "test_noisy": "noise"}


@pytest.mark.parametrize("scale", ["tiny", "demo", "study", "reference"])
def test_shifted_splits_are_the_test_streets_in_another_light(scale):
    dataset = load_dataset("streets", scale)
    assert isinstance(dataset, SimulatedDataset)
    plain = settings_of(dataset, "test")
    assert isinstance(plain, StreetSettings)
    assert settings_of(dataset, "train") == settings_of(dataset, "val") == plain
    for split, key in SHIFTS.items():
        other = settings_of(dataset, split)
        assert dataset.split(split).seed == dataset.split("test").seed
        assert {name for name, value in other.light if value != getattr(plain.light, name)} == {key}
        assert other.model_copy(update={"light": plain.light}) == plain
    assert dataset_from(json.loads(json.dumps(dataset.model_dump(mode="json")))) == dataset


def test_a_setting_that_streets_do_not_have_is_named():
    with pytest.raises(ConfigError, match=r"dataset 'streets', split 'test'.*foggy.*fog"):
        settings_of(load_dataset("streets", "tiny", ("simulation.light.foggy=3",)), "test")  # type: ignore[arg-type]


def test_masks_that_a_glob_finds_go_with_their_image(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png", picture())
        save(tmp_path / f"{name}_mask.png", ids())

    def files(**more):
        values = {"name": "mine", "source": "files", "kind": "images"}
        return validate(FileDataset, values | {"splits": {"all": {"files": [f"{tmp_path}/*.png"]}}} | more, "mine")

    assert [shard.id for shard in files().shards("all")] == ["a", "b"]
    assert len(files(products={"mask": None}).shards("all")) == 4
    whole = files(splits={"all": {"files": [str(tmp_path)]}}).shards("all")
    assert [(shard.id, shard.file) for shard in whole] == [(tmp_path.name, str(tmp_path))]
    own = load_dataset("image_files")
    assert (own.kind, list(own.splits)) == ("images", ["train", "val", "test"])
