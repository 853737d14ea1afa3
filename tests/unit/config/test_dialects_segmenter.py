"""The segmenter's Trainer and prediction files as experiments that this release trains and deploys."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from weft import tasks
from weft.config.dialects import import_config
from weft.config.dialects.segmenter import nearest_size, out_size
from weft.config.loading import ConfigError
from weft.dense.laws import unet_xy_law

TRAINER = """
model: {name: unet_xy_zoom, zoom_ratio: 2}
nchannel: 1
nclass: [2, 2, 2]
size_in: [44, 184, 184]
size_out: [12, 4, 4]
checkpoint_dir: /models
resume: null
learning_rate: 0.00001
weight_decay: 0.005
loss: {name: Aux, loss_weight: [1, 0.5, 0.25], ignore_index: 1}
epochs: 9
save_every_n_epoch: 4
loader: {name: focus, datafolder: /data/train, batch_size: 4, PatchPerBuffer: 12, epoch_shuffle: 3, NumWorkers: 2}
validation: {metric: default, leaveout: [0.25], OutputCh: [0, 1], validate_every_n_epoch: 2}
device: cuda:0
"""
PREDICTION = """
model: {name: unet_xy}
model_path: /models/model.ckpt
nchannel: 1
nclass: [2, 2, 2]
OutputCh: [0, 1]
size_in: [88, 180, 180]
size_out: [60, 92, 92]
OutputDir: /out
InputCh: [-1]
ResizeRatio: [1.0, 1.0, 1.0]
Normalization: 12
Threshold: 0.75
RuntimeAug: true
mode: {name: folder, InputDir: /data/new/, DataType: .tiff}
"""


def written(tmp_path: Path, text: str, changes=None) -> Path:
    document = yaml.safe_load(text)
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        node = document
        for name in parents:
            node = node.setdefault(name, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "theirs.yaml"


def stage_of(tmp_path: Path, text: str, changes=None):
    """The stage as it would be trained, with the options of its task checked, and what was made of the file."""
    made = import_config(written(tmp_path, text, changes))
    experiment = made.validated("dataset.yaml")
    resolved = tasks.resolve(experiment) if experiment.truth else experiment  # else its model would have to be there
    stage = resolved.stages["unet"]
    return stage, tasks.of(stage).options, made


def test_a_trainer_file_is_a_training_of_ours(tmp_path: Path) -> None:
    stage, options, made = stage_of(tmp_path, TRAINER)
    assert made.tasks == ["volume_segmentation"]
    assert (options.model.name, options.model.zoom, options.model.classes) == ("unet_xy_zoom", 2, (2, 2, 2))
    assert (options.data.patch, options.data.size_out) == ((44, 184, 184), (12, 4, 4))
    loss = options.loss
    assert (loss.loss_weight, loss.ignore_index, loss.normalise) == ((1, 0.5, 0.25), 1, "voxels")
    assert loss.terms == {"cross_entropy": 1}
    sampling = options.data.sampling
    assert (sampling.buffer.patches, sampling.buffer.epochs) == (12, 3)
    assert (sampling.foreground, sampling.least_cost) == (0, 1000)
    assert options.data.normalisation == ()
    turned = options.data.augment
    assert (turned.flip, turned.turn, turned.rotate.probability) == (("x",), False, 1)
    assert (turned.rotate.low, turned.rotate.high) == (1, 179)
    training = stage.training
    assert training.iterations == 10 * 3
    assert (training.validate_every, training.save_every, training.batch_size) == (2 * 3, 4 * 3, 4)
    assert training.hold_out.fraction == 0.25
    assert (stage.optimizer.name, stage.optimizer.lr, stage.optimizer.decay_all) == ("Adam", 1e-5, True)
    assert stage.resources.gpu == 1
    dataset = made.dataset.plain()
    assert dataset["kind"] == "stacks"
    assert dataset["splits"] == {"train": {"files": ["/data/train"]}}
    assert "/models" in made.render()


TRAINER_CHANGES = {
    "images by number": (
        {"validation.leaveout": [0, 3]},
        lambda stage, options: stage.training.hold_out.events,
        (0, 3),
    ),
    "one image": ({"validation.leaveout": [0]}, lambda stage, options: stage.training.hold_out.events, (0,)),
    "no validation": (
        {"validation": ...},
        lambda stage, options: (stage.training.validate_every, stage.training.hold_out),
        (None, None),
    ),
    "no metric": (
        {"validation.metric": None},
        lambda stage, options: (stage.training.validate_every, stage.training.hold_out, stage.training.save_every),
        (None, None, 12),
    ),
    "saved, not validated": ({"validation": ...}, lambda stage, options: stage.training.save_every, 12),
    "validated when saved": (
        {"validation.validate_every_n_epoch": ...},
        lambda stage, options: (stage.training.validate_every, stage.training.save_every),
        (12, None),
    ),
    "validated on images that are not named": (
        {"validation.leaveout": ...},
        lambda stage, options: stage.training.hold_out.fraction,
        0.1,
    ),
    "any patch": ({"loader.name": "default"}, lambda stage, options: options.data.sampling.least_cost, 0),
    "the buffer of the original": (
        {"loader.epoch_shuffle": ...},
        lambda s, options: options.data.sampling.buffer.epochs,
        5,
    ),
    "channels": ({"nchannel": 2}, lambda stage, options: options.data.channels, (0, 1)),
    "classes": (
        {"nclass": [3, 2, 2]},
        lambda stage, options: options.data.classes,
        ("background", "structure1", "structure2"),
    ),
    "cpu": ({"device": "cpu"}, lambda stage, options: stage.resources.gpu, 0),
}


@pytest.mark.parametrize("case", TRAINER_CHANGES)
def test_what_a_key_of_the_trainer_becomes(case, tmp_path: Path) -> None:
    changes, ask, expected = TRAINER_CHANGES[case]
    stage, options, _ = stage_of(tmp_path, TRAINER, changes)
    assert ask(stage, options) == expected


def test_a_prediction_file_is_a_deploy_of_ours(tmp_path: Path) -> None:
    stage, options, made = stage_of(tmp_path, PREDICTION)
    assert made.dialect.name == "segmenter_prediction"
    assert made.experiment.plain()["truth"] is False
    assert str(stage.checkpoint) == "/models/model.ckpt"
    data = options.data
    assert (data.patch, data.size_out, data.channels) == ((88, 180, 180), (60, 92, 92), (-1,))
    assert [step.name for step in data.normalisation] == ["background", "auto_contrast"]
    assert (data.inference.threshold, data.inference.views) == (0.75, "flips")
    assert data.inference.objects.min_voxels == 2
    assert made.dataset.plain()["splits"] == {"files": {"files": ["/data/new/*.tiff"]}}


def test_a_prediction_of_one_file(tmp_path: Path) -> None:
    mode = {"name": "file", "InputFile": "/data/a.tif", "timelapse": True}
    steps = {"membrane": [{"background_sub": 50}, {"auto_contrast": [1, 10]}]}
    changes = {"mode": mode, "model": "unet_xy", "Threshold": -1, "RuntimeAug": False, "Normalization": steps}
    _, options, made = stage_of(tmp_path, PREDICTION, changes)
    inference = options.data.inference
    assert (inference.threshold, inference.views, inference.objects) == (None, "none", None)
    assert [[step.name for step in steps] for steps in options.data.normalisations] == [["background", "auto_contrast"]]
    assert made.dataset.plain()["splits"] == {"files": {"files": ["/data/a.tif"]}}


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (TRAINER, {"size_in": [44, 180, 184]}, "nearest that works: size_in [44, 184, 184], size_out [12, 4, 4]"),
        (TRAINER, {"size_out": [12, 4, 8]}, "size_out [12, 4, 8]: size_in [44, 184, 184] gives [12, 4, 4]"),
        (TRAINER, {"loader.name": "eager"}, "no such loader; nearest that work: default, focus"),
        (TRAINER, {"validation.leaveout": [0.2, 0.3]}, "expected whole numbers of images, or one share of them"),
        (TRAINER, {"validation.leaveout": "all"}, "expected numbers of images, or a share of them"),
        (TRAINER, {"validation.metric": "dice"}, "intersection over union, among others; nearest that works: default"),
        (TRAINER, {"nclass": [1]}, "expected the number of classes, from 2, of each head"),
        (TRAINER, {"loss.name": "Dice"}, "nearest that works: Aux"),
        (PREDICTION, {"size_in": [88, 181, 180]}, "nearest that works: size_in [88, 180, 180], size_out [60, 92, 92]"),
        (PREDICTION, {"OutputCh": [1, 1]}, "auxiliary heads are of the training alone; nearest that works: [0, 1]"),
        (PREDICTION, {"ResizeRatio": [1, 0.5, 0.5]}, "resized by their voxel size here: data.spacing"),
        (PREDICTION, {"Threshold": 1.5}, "a probability is below 1"),
        (PREDICTION, {"InputCh": [0, 1]}, "expected as many numbers of channels as nchannel says (1)"),
        (PREDICTION, {"model_path": None}, "model_path is missing"),
        (PREDICTION, {"RuntimeAugs": 1}, "unknown key 'RuntimeAugs' (did you mean 'RuntimeAug'?)"),
    ],
)
def test_what_cannot_work_is_named_with_what_can(text, changes, message, tmp_path: Path) -> None:
    dialect = "segmenter" if text is TRAINER else "segmenter_prediction"
    with pytest.raises(ConfigError) as error:
        import_config(written(tmp_path, text, changes), dialect)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_that_does_not_exist_is_said_by_the_task(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no recipe 3"):
        stage_of(tmp_path, PREDICTION, {"Normalization": 3})


@given(st.integers(1, 120), st.integers(1, 700), st.integers(1, 4), st.booleans())
def test_sizes_are_those_of_the_networks(z, extent, zoom, zoomed) -> None:
    name, law = ("unet_xy_zoom", unet_xy_law(zoom)) if zoomed else ("unet_xy", unet_xy_law(None))
    size = (z, extent, extent)
    assert (out_size(name, size, zoom if zoomed else 1) is not None) == law.legal(size)
    near = nearest_size(name, size, zoom if zoomed else 1)
    assert out_size(name, near, zoom if zoomed else 1) == law.out_size(near)
