"""A model and files given with the call: what they take the place of."""

import pytest
import yaml

from weft.config import load_dataset
from weft.config.given import Given, load_with, remember, remembered
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
    experiment, dataset = load_with(path, None, Given())
    assert experiment.stages["net"].checkpoint == "a/model.ckpt"
    assert dataset.splits["files"].files == ("*.root",)
    experiment, dataset = load_with(path, None, Given("b, c: [d]/model.ckpt", ("1.root", "2 [x].root")))
    assert experiment.stages["net"].checkpoint == "b, c: [d]/model.ckpt"
    assert experiment.stages["fixed"].checkpoint is None
    assert dataset.splits["files"].files == ("1.root", "2 [x].root")


def test_experiments_that_take_neither_are_left_alone(tmp_path):
    experiment, dataset = load_with("larmatch", "tiny", Given("b.ckpt", ("1.root",)))
    assert not any(stage.checkpoint for stage in experiment.stages.values())
    assert dataset == load_dataset("wires", "tiny")


def test_which_is_meant_must_be_clear(tmp_path):
    path = write(tmp_path, STAGES | {"other": STAGES["net"]}, {"a": {"files": ["*.root"]}, "b": {"files": ["x"]}})
    with pytest.raises(ConfigError, match="model: experiment 'real' has several checkpoints: net, other"):
        load_with(path, None, Given(model="b.ckpt"))
    with pytest.raises(ConfigError, match="files: dataset 'mine' lists files in several splits: a, b"):
        load_with(path, None, Given(files=("1.root",)))


def test_a_list_of_files(tmp_path):
    for name in ("a.root", "b.root", "c.root"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text(f"# mine\n{tmp_path}/a.root\n\n  {tmp_path}/c*.root # the last\n")
    path = write(tmp_path, STAGES, {"files": {"files": [f"@{tmp_path}/list.txt", str(tmp_path / "b.root")]}})
    _, dataset = load_with(path, None, Given())
    assert [shard.id for shard in dataset.shards("files")] == ["a", "c", "b"]
    _, dataset = load_with(path, None, Given(files=(f"@{tmp_path}/none.txt",)))
    with pytest.raises(ConfigError, match=r"none\.txt: the list of files cannot be read \(No such file"):
        dataset.shards("files")


def test_options_of_an_experiment_without_truth(tmp_path):
    path = write(tmp_path, STAGES, {"files": {"files": ["*.root"]}})
    experiment, _ = load_with(path, None, Given("b.ckpt", set=("stages.net.data.min_score=0.1",)))
    assert experiment.stages["net"].data == {"min_score": 0.1}
    assert experiment.stages["net"].checkpoint == "b.ckpt"
    with pytest.raises(ConfigError, match="no stage 'nett' "):
        load_with(path, None, Given(set=("stages.nett.data.min_score=0.1",)))
    with pytest.raises(ConfigError, match=r"set: 'truth=true': expected stages\.STAGE"):
        load_with(path, None, Given(set=("truth=true",)))


def test_options_of_an_experiment_that_is_trained_stand_in_its_file():
    with pytest.raises(ConfigError, match="set: experiment 'larmatch' is trained and judged: set options in its file"):
        load_with("larmatch", "tiny", Given(set=("stages.larmatch.data.min_score=0.1",)))


def test_one_file_need_not_be_a_list():
    assert Given.of_call({"files": "a", "set": "b=1", "scale": "demo"}) == Given(None, ("a",), ("b=1",))
    assert Given.of_call({"model": "m", "files": ["a", "b"]}) == Given("m", ("a", "b"), ())


def test_what_was_given_is_remembered(tmp_path):
    path = tmp_path / "real/given.json"
    assert remembered(path) is None
    given = Given("m.ckpt", ("a.root", "@list.txt"), ("stages.net.data.min_score=0.1",))
    remember(path, given)
    assert remembered(path) == given
    path.write_text("[]")
    with pytest.raises(ConfigError, match=r"given\.json: expected model, files and set"):
        remembered(path)
