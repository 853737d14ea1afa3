"""Sizes of the segmenter's networks; the dialects of images and meshes."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mesh_files_made import write_tile

from weft import tasks
from weft.config.dataset import dataset_from
from weft.config.dialects import import_config
from weft.config.dialects.segmenter import nearest_size, out_size
from weft.config.loading import ConfigError
from weft.engine.starting import freeze
from weft.io.convert import convert_file
from weft.io.store import EventStore

#: microscopy_segmentation §2.3
PUBLISHED = [
    ("unet_xy", 1, (44, 140, 140), (16, 52, 52)),
    ("unet_xy", 1, (48, 148, 148), (20, 60, 60)),
    ("unet_xy", 1, (50, 156, 156), (22, 68, 68)),
    ("unet_xy", 1, (88, 180, 180), (60, 92, 92)),
    ("unet_xy_zoom", 3, (52, 372, 372), (20, 104, 104)),
    ("unet_xy_zoom", 3, (52, 420, 420), (20, 152, 152)),
    ("unet_xy_zoom", 3, (62, 420, 420), (30, 152, 152)),
]


@pytest.mark.parametrize(("model", "zoom", "size_in", "expected"), PUBLISHED)
def test_published_pairs_of_patch_sizes(model, zoom, size_in, expected):
    assert out_size(model, size_in, zoom) == expected
    assert nearest_size(model, size_in, zoom) == size_in


def layer_by_layer(extent, zoom, zoomed):
    """The extent in y or x of what the network of §2.1-2.2 makes of a patch, layer by layer; None where it fails."""

    def halve(n):
        if n % 2 or n < 2:
            raise ValueError
        return n // 2

    def convolve_twice(n):
        if n <= 4:
            raise ValueError
        return n - 4

    try:
        if extent % zoom:
            raise ValueError
        e1 = convolve_twice(extent // zoom if zoomed else extent)
        e2 = convolve_twice(halve(e1))
        e3 = convolve_twice(halve(e2))
        e4 = convolve_twice(halve(e3))
        up = e4
        for skip, crop in ((e3, 4), (e2, 16), (e1, 40)):
            up *= 2
            if skip - 2 * crop != up:
                raise ValueError
            up = convolve_twice(up)
        return convolve_twice(up * zoom) if zoomed else up
    except ValueError:
        return None


@given(st.integers(1, 700), st.integers(1, 4), st.booleans())
def test_the_law_of_sizes_is_what_the_layers_do(extent, zoom, zoomed):
    model, zoom = ("unet_xy_zoom", zoom) if zoomed else ("unet_xy", 1)
    admitted = out_size(model, (60, extent, extent), zoom)
    layers = layer_by_layer(extent, zoom, zoomed)
    assert (admitted[1] if admitted else None) == layers


@given(st.integers(1, 700), st.integers(1, 4), st.booleans())
def test_the_nearest_size_is_admitted_and_none_is_nearer(extent, zoom, zoomed):
    model, zoom = ("unet_xy_zoom", zoom) if zoomed else ("unet_xy", 1)
    near = nearest_size(model, (60, extent, extent), zoom)[1]
    assert out_size(model, (60, near, near), zoom) is not None
    distance = abs(near - extent)
    closer = range(max(1, extent - distance + 1), extent + distance)
    assert all(out_size(model, (60, n, n), zoom) is None for n in closer)


def write(tmp_path, text, **changes):
    document = yaml.safe_load(text)
    for key, value in changes.items():
        *parents, last = key.split("/")
        node = document
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "theirs.yaml"


TRAINER = """
model: {name: unet_xy}
size_in: [48, 148, 148]
size_out: [20, 60, 60]
epochs: 9
loader: {name: focus, batch_size: 4, PatchPerBuffer: 10}
"""


def test_the_zoom_that_is_not_given_is_3(tmp_path):
    sizes = {"size_in": [52, 420, 420], "size_out": [20, 152, 152]}
    made = import_config(write(tmp_path, TRAINER, **{"model/name": "unet_xy_zoom"}, **sizes))
    assert made.experiment.plain()["stages"]["unet"]["model"] == {"name": "unet_xy_zoom", "zoom_ratio": 3}


def test_the_focus_loader_and_the_steps_of_an_epoch(tmp_path):
    made = import_config(write(tmp_path, TRAINER)).experiment.plain()["stages"]["unet"]
    assert made["data"]["patch"] == [48, 148, 148]
    assert made["data"]["sampling"]["least_cost"] == 1000
    assert (made["training"]["iterations"], made["training"]["batch_size"]) == (10 * 2, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_out": [20, 60, 64]}, "size_out [20, 60, 64]: size_in [48, 148, 148] gives [20, 60, 60]"),
        (
            {"size_in": [20, 148, 148]},
            "and z from 29; nearest that works: size_in [29, 148, 148], size_out [1, 60, 60]",
        ),
        ({"size_in": [48, 148]}, "size_in: expected three positive numbers of voxels, z, y, x; got [48, 148]"),
        ({"model": {"name": "unet_xy_zoom", "zoom_ratio": 2.5}}, "model.zoom_ratio: expected a whole number from 1"),
        ({"model": {"name": "unet_xy_zoom"}}, "admits y and x of 3·(8p+60)"),
        ({"model/name": "unet"}, "nearest that work: unet_xy, unet_xy_zoom"),
        ({"loader/numworkers": 1}, "unknown key 'loader.numworkers' (did you mean 'NumWorkers'?)"),
    ],
)
def test_what_the_segmenter_cannot_do_is_named(changes, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        import_config(write(tmp_path, TRAINER, **changes), "segmenter")
    assert message in str(error.value)


MESH = """
paths:
  {mesh_dir: meshes/train, label_dir: labels/train, val_mesh_dir: meshes/val, val_label_dir: labels/val,
   checkpoint_pertrain: pre.pth}
training:
  {epochs: 100, batch_size: 8, accumulation_steps: 2, use_pretrained: true, num_unfrozen_encoder_layers: 2,
   weight_decay: 0.01, use_ema: true, ema_decay: 0.999, layer_wise_lr_decay: [10, 2]}
model: {feature_dim: 24, embedding_dim: 128, num_heads: 4, num_attention_blocks: 6, n_classes: 6}
optimizer: {type: adamw, learning_rate: 0.001}
"""


def test_the_mesh_groups_become_a_stage(tmp_path):
    made = import_config(write(tmp_path, MESH))
    stage = made.experiment.plain()["stages"]["faces"]
    assert stage["freeze"] == ["encoder.stem", "encoder.summary", *(f"encoder.blocks.{i}" for i in range(4))]
    assert stage["init"] == {"encoder": "pre.pth"}
    assert stage["task"] == "mesh_segmentation"
    assert stage["needs"] == {"truth": ["vertices", "faces", "face_labels"]}
    assert stage["data"]["classes"] == [f"class_{k}" for k in range(6)]
    assert stage["optimizer"] == {
        "name": "AdamW",
        "lr": 0.001,
        "weight_decay": 0.01,
        "head_multiplier": 10,
        "layer_decay": 2,
    }
    assert stage["schedule"] == {"name": "cosine_legacy", "floor": pytest.approx(1e-3)}
    assert stage["training"]["ema"] == {"decay": 0.999}
    assert stage["training"]["accumulate"] == 2
    experiment = made.validated("dataset")
    assert experiment.stages["faces"].schedule.name == "cosine_legacy"
    tasks.resolve(experiment)
    dataset = made.dataset.plain()
    assert dataset["splits"] == {"train": {"files": ["meshes/train"]}, "val": {"files": ["meshes/val"]}}
    assert dataset["products"] == {"labels": "../../labels/{folder}/{name}.txt"}
    assert dataset["meshes"]["label_map"] == {k: k for k in range(6)}


TEXTURED = {
    "model/use_texture": True, "model/texture_embed_dim": 32, "model/fusion_method": "concat",
    "model/max_texture_pixels": 300, "model/use_pe": True, "model/fourier": True, "model/use_hierarchical": True,
    "model/relative_positional_encoding": True, "model/faces_per_cluster": 300, "model/n_clusters": 64,
    "training/clusters_per_batch": 8, "training/ignore_index": 0,
    "augmentation": {"rotation_range": [-15, 20], "scale_range": 0.1, "noise_std": 0.02, "flip_probability": 0.5,
                     "mode": "RSF"},
}  # fmt: skip


def test_textures_and_what_is_built_in_there(tmp_path):
    made = import_config(write(tmp_path, MESH, **TEXTURED))
    stage = made.experiment.plain()["stages"]["faces"]
    assert "face_pixels" in stage["needs"]["truth"]
    assert stage["model"]["texture"] == {"width": 32, "fusion": "concat"}
    assert (stage["model"]["block"], stage["model"]["norm"], stage["model"]["head"]) == ("two_stage", "post", "mlp2")
    assert stage["model"]["relative"] == {"values": False}, "of values it would cost too much"
    assert stage["data"]["features"]["positions"] == "bbox"
    assert stage["data"]["pixels"] == 300
    assert stage["data"]["classes"] == [f"class_{k}" for k in range(1, 6)], "the label that is ignored is no class"
    assert stage["data"]["augment"] == {
        "probability": 0.2, "rotate": 20, "scale": {"low": 0.9, "high": 1.1}, "mirror": ["x", "y"], "colour": None,
        "texture_drop": 0,
    }  # fmt: skip
    assert stage["training"]["epochs"] == 100 * 8, "an epoch there draws every run of clusters"
    dataset = made.dataset.plain()
    assert dataset["meshes"]["max_pixels"] == 300
    assert dataset["meshes"]["label_map"] == {k: k - 1 for k in range(1, 6)}
    tasks.resolve(made.validated("dataset"))


@pytest.mark.parametrize("fourier", [True, False])
def test_all_before_the_last_blocks_is_frozen(fourier, tmp_path):
    made = import_config(write(tmp_path, MESH, **{"model/fourier": fourier}))
    stage = made.validated("dataset").stages["faces"]
    network = tasks.of(stage).network()
    freeze(network, stage.freeze)
    learning = [name.split(".") for name, weight in network.named_parameters() if weight.requires_grad]
    parts = {tuple(words[1:3]) for words in learning if words[0] == "encoder" and words[1] != "norm"}
    assert parts == {("blocks", "4"), ("blocks", "5")}


@pytest.mark.parametrize(
    "changes", [{"training/use_pretrained": False}, {"training/num_unfrozen_encoder_layers": "all"}]
)
def test_weights_that_were_not_trained_are_not_frozen(changes, tmp_path):
    assert "freeze" not in import_config(write(tmp_path, MESH, **changes)).experiment.plain()["stages"]["faces"]


def test_what_a_mesh_file_describes_is_read(tmp_path, monkeypatch):
    """The dataset that is written converts the folders that the file names."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        write_tile(tmp_path / "meshes" / split, labels=None, textures=None)
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "labels" / split / "tile.txt").write_text("0 1 2 3 4 5 0 -1")
    made = import_config(write(tmp_path, MESH))
    dataset = dataset_from(made.dataset.plain())
    (shard,) = dataset.shards("val")
    convert_file(shard.file, "val.h5", products=dataset.products, meshes=dataset.meshes.reading())
    with EventStore.open("val.h5") as store:
        assert store["face_labels"][0][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, -1]
        named = list(store.products["face_labels"].codes["class"].values())
    assert named == made.experiment.plain()["stages"]["faces"]["data"]["classes"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training/num_unfrozen_encoder_layers": 7}, "expected 0 to model.num_attention_blocks (6)"),
        ({"training/layer_wise_lr_decay": 2}, "nearest that works: [10, 2]"),
        ({"paths/val_label_dir": "other"}, "labels lie elsewhere"),
        ({"paths/val_mesh_dir": None}, "no paths.val_mesh_dir beside it"),
        ({"augmentation": {"mode": "RX"}}, "mode 'RX' is none of R, S, N, F"),
        ({"augmentation": {"rotate": 3}}, "unknown key 'rotate'"),
        ({"model/use_texture": True, "model/fusion_method": "sum"}, "nearest that work: gated, concat, add"),
        ({"model/use_pe": False, "model/fourier": True}, "which leaves no positions"),
        ({"model/n_classes": 2, "training/ignore_index": 0}, "expected two classes that are not ignored"),
        ({"model/embed_dim": 2}, "unknown key 'model.embed_dim' (did you mean 'embedding_dim'?)"),
    ],
)
def test_what_a_mesh_configuration_cannot_have_is_named(changes, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        import_config(write(tmp_path, MESH, **changes), "mesh")
    assert message in str(error.value)


IMAGES = """
experiment_name: base
dataset: {root: data, num_classes: 4, image_size: [64, 64]}
scheduler: {name: cosine, warmup_epochs: 5, max_epochs: 100}
training: {epochs: 100, batch_size: 8, early_stopping: {patience: 3, metric: val/loss, mode: min, min_delta: 0.1}}
"""


def test_early_stopping_of_images(tmp_path):
    made = import_config(write(tmp_path, IMAGES)).experiment.plain()["stages"]["unet"]["training"]
    assert (made["monitor"], made["mode"], made["patience"], made["min_delta"]) == ("loss", "min", 3, 0.1)


def test_the_folders_of_images_are_the_dataset(tmp_path, monkeypatch):
    """What is there is counted and named: steps of the warm-up, classes; the experiment is one of ours."""
    for split, count in (("training", 12), ("val", 1)):
        (tmp_path / "data/images" / split).mkdir(parents=True)
        for k in range(count):
            (tmp_path / f"data/images/{split}/{k}.png").write_bytes(b"")
    (tmp_path / "data/classes.txt").write_text("0 background\n1 road\n2 building\n9 tree\n255 ignore\n")
    monkeypatch.chdir(tmp_path)
    made = import_config(write(tmp_path, IMAGES, **{
        "dataset/train_split": "training",
        "augmentations": {"color_jitter": {"hue": 0.1}, "random_crop": {"size": [32, 32], "padding": 16}},
        "model": {"name": "unet", "backbone": "resnet34", "pretrained": True},
        "training/accumulate_grad_batches": 3,
    }))  # fmt: skip
    splits = {split: {"files": [f"data/images/{name}"]} for split, name in
              (("train", "training"), ("val", "val"), ("test", "test"))}  # fmt: skip
    assert made.dataset.plain() == {"name": "theirs", "source": "files", "kind": "images", "splits": splits}
    stage = tasks.resolve(made.validated("theirs.dataset.yaml")).stages["unet"]
    assert stage.data["classes"] == ["background", "road", "building", "tree"]
    assert (stage.data["size"], stage.data["crop"], stage.data["crop_padding"]) == ([64, 64], [32, 32], 16)
    assert (stage.data["augment"]["hue"], stage.data["augment"]["horizontal_flip"]) == (0.1, False)
    assert stage.schedule.warmup == 3, "5 epochs of half a step"
    assert stage.training.validate_every == 1
    assert stage.init["body.encoder"].source == "weights/resnet34-b627a593.pth"
    assert stage.init["body.encoder"].part == "all"
    assert stage.init["body.encoder"].exclude == ("body.encoder.fc", "*.num_batches_tracked")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scheduler/max_epochs": 50},
            "a cosine of 50 epochs in a training of 100; nearest that works: max_epochs 100",
        ),
        ({"scheduler/name": "linear"}, "nearest that work: cosine, constant"),
        ({"training/early_stopping": {"metric": "val/F2"}}, "no such metric; nearest that work: val/mIoU"),
        ({"training/early_stopping": {"patient": 1}}, "unknown key 'patient'"),
        ({"optimizer/name": "lion"}, "nearest that work: adamw, adam, sgd, rmsprop"),
        ({"model": {"backbone": "light", "pretrained": True}}, "no weights are known for light; nearest that work"),
        ({"checkpointing/monitor": "val/loss", "training/early_stopping": {"metric": "val/mIoU"}}, "training.monitor"),
    ],
)
def test_what_images_cannot_have_is_named(changes, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        import_config(write(tmp_path, IMAGES, **changes), "image_segmentation")
    assert message in str(error.value)
