"""A model and files given with the call: what they take the place of."""

import pytest
import yaml

from weft.config import load_dataset
from weft.config.given import load_with
from weft.config.loading import ConfigError


def write(folder, stages, splits):
    dataset = {"name": "mine", "source": "files", "splits": splits}
    (folder / "mine.yaml").write_text(yaml.safe_dump(dataset))
    document = {"name": "real", "dataset": str(folder / "mine.yaml"), "truth": False, "stages": stages}
    (folder / "real.yaml").write_text(yaml.safe_dump(document))
    return folder / "real.yaml"


STAGES = {"fixed": {"task": "triplets"}, "net": {"task": "larmatch", "checkpoint": "a/model.ckpt"}}


def test_a_model_and_files_take_the_place_of_those_in_the_files(tmp_path):
    path = write(tmp_path, STAGES, {"files": {"files": ["*.root"]}})
    experiment, dataset = load_with(path, None)
    assert experiment.stages["net"].checkpoint == "a/model.ckpt"
    assert dataset.splits["files"].files == ("*.root",)
    experiment, dataset = load_with(path, None, "b, c: [d]/model.ckpt", ["1.root", "2 [x].root"])
    assert experiment.stages["net"].checkpoint == "b, c: [d]/model.ckpt"
    assert experiment.stages["fixed"].checkpoint is None
    assert dataset.splits["files"].files == ("1.root", "2 [x].root")


def test_experiments_that_take_neither_are_left_alone(tmp_path):
    experiment, dataset = load_with("larmatch", "tiny", "b.ckpt", ["1.root"])
    assert not any(stage.checkpoint for stage in experiment.stages.values())
    assert dataset == load_dataset("wires", "tiny")


def test_which_is_meant_must_be_clear(tmp_path):
    path = write(tmp_path, STAGES | {"other": STAGES["net"]}, {"a": {"files": ["*.root"]}, "b": {"files": ["x"]}})
    with pytest.raises(ConfigError, match="model: experiment 'real' has several checkpoints: net, other"):
        load_with(path, None, model="b.ckpt")
    with pytest.raises(ConfigError, match="files: dataset 'mine' lists files in several splits: a, b"):
        load_with(path, None, files=["1.root"])


def test_a_list_of_files(tmp_path):
    for name in ("a.root", "b.root", "c.root"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text(f"# mine\n{tmp_path}/a.root\n\n  {tmp_path}/c*.root # the last\n")
    path = write(tmp_path, STAGES, {"files": {"files": [f"@{tmp_path}/list.txt", str(tmp_path / "b.root")]}})
    _, dataset = load_with(path, None)
    assert [shard.id for shard in dataset.shards("files")] == ["a", "c", "b"]
    _, dataset = load_with(path, None, files=[f"@{tmp_path}/none.txt"])
    with pytest.raises(ConfigError, match=r"none\.txt: the list of files cannot be read \(No such file"):
        dataset.shards("files")
