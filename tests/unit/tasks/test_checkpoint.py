"""A stage with a model that was trained elsewhere: its options, and what it cannot have."""

import json

import pytest
import torch

from weft import tasks
from weft.config import load_experiment
from weft.config.experiment import Experiment
from weft.config.loading import ConfigError
from weft.engine.given_model import use_given
from weft.engine.model_file import ModelFile, read_model, save_model
from weft.engine.predict import predictor
from weft.errors import WeftError

NET = {"filters": 4, "depth": 2, "reps": 1}


@pytest.fixture
def trained(tmp_path):
    """A model of a small segmentation network, as a training leaves it."""
    task = tasks.build("segmentation", {"model": NET, "data": {"charge": "linear", "flip": False}})
    torch.manual_seed(1)
    options = task.options.model_dump(mode="json")
    folder = tmp_path / "seed0"
    folder.mkdir()
    save_model(folder / "model.ckpt", ModelFile(task.network().state_dict(), task.name, options, {"best_step": 7}))
    config = {"task": task.name, **options, "seed": 0}
    (folder / "model.json").write_text(json.dumps({"task": task.name, "config": config}))
    return folder / "model.ckpt"


def experiment(checkpoint, truth=False, task="segmentation", **stage):
    stages = {"net": {"task": task, "checkpoint": str(checkpoint), **stage}}
    return Experiment.model_validate({"name": "real", "dataset": "mine", "truth": truth, "stages": stages})


def test_options_are_those_of_the_model_but_for_what_is_given(trained):
    stage = tasks.resolve(experiment(trained, data={"flip": True})).stages["net"]
    assert {key: stage.model[key] for key in NET} == NET
    assert stage.data["charge"] == "linear"
    assert stage.data["flip"] is True
    assert stage.baseline is None
    assert not stage.learned
    assert stage.training_options() == {
        "task": "segmentation", "model": stage.model, "data": stage.data, "checkpoint": str(trained),
    }  # fmt: skip


def test_other_stages_do_not_know_of_it():
    options = tasks.resolve(load_experiment("segmentation", "tiny")).stages["uresnet"].training_options()
    assert "checkpoint" not in options


def test_the_model_is_copied_and_says_where_it_is_from(trained, tmp_path):
    stage = tasks.resolve(experiment(trained)).stages["net"]
    task = tasks.of(stage)
    use_given(task, trained, tmp_path / "out", stage.training_options(), 0)
    assert (tmp_path / "out/model.ckpt").read_bytes() == trained.read_bytes()
    record = json.loads((tmp_path / "out/model.json").read_text())
    assert list(record["inputs"]) == [str(trained)]
    assert record["trained"] == {"best_step": 7}
    assert len((tmp_path / "out/log.csv").read_text().splitlines()) == 1
    predictor(task, tmp_path / "out/model.ckpt")


def test_a_model_of_other_options_is_refused(trained, tmp_path):
    task = tasks.build("segmentation", {"model": NET | {"filters": 8}, "data": {"charge": "linear"}})
    with pytest.raises(WeftError, match=r"model\.ckpt: trained with model\.filters = 4, deploy asks for 8"):
        use_given(task, trained, tmp_path / "out", {}, 0)
    content = read_model(trained)
    del content.state[next(iter(content.state))]
    save_model(trained, content)
    task = tasks.build("segmentation", {"model": NET, "data": {"charge": "linear"}})
    with pytest.raises(WeftError, match=r"does not fit the network: .* is missing"):
        use_given(task, trained, tmp_path / "out", {}, 0)
    assert not (tmp_path / "out/model.ckpt").exists()


def test_what_cannot_be(trained, tmp_path):
    for given, message in (
        (experiment(tmp_path / "no/model.ckpt"), r"checkpoint: .*no/model\.ckpt: no such file; train that model"),
        (experiment(trained, task="points"), r"model\.ckpt is of task 'segmentation', not 'points'"),
        (
            experiment(trained, training={"iterations": 3, "batch_size": 1}),
            "training: the model is given by checkpoint",
        ),
        (experiment(trained, model={"fliters": 3}), r"unknown key 'model\.fliters' \(did you mean 'filters'\?\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            tasks.resolve(given)
    (trained.parent / "model.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"model\.json: expected the provenance of a trained model"):
        tasks.resolve(experiment(trained))
    (trained.parent / "model.json").unlink()
    with pytest.raises(ConfigError, match=r"model\.json: no such file"):
        tasks.resolve(experiment(trained))
    fixed = {"task": "fragments", "checkpoint": str(trained)}
    (trained.parent / "model.json").write_text(json.dumps({"task": "fragments", "config": {}}))
    with pytest.raises(ConfigError, match="checkpoint: task 'fragments' does not learn"):
        tasks.resolve(Experiment.model_validate({"name": "a", "dataset": "b", "stages": {"f": fixed}}))


def test_nothing_is_learned_without_truth():
    stage = {"task": "segmentation", "training": {"iterations": 1, "batch_size": 1}}
    given = Experiment.model_validate({"name": "real", "dataset": "mine", "truth": False, "stages": {"net": stage}})
    with pytest.raises(
        ConfigError, match="stage 'net': with truth: false nothing can be learned; give it a checkpoint"
    ):
        tasks.resolve(given)
