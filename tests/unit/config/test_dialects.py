"""Configurations of other tools: each key mapped or listed, the rest an error with a way out."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from weft import tasks
from weft.config import load_dataset, load_experiment
from weft.config.dialects import DIALECTS, import_config, recognise, translate
from weft.config.dialects.reference import filled, table
from weft.config.dialects.rules import Drops, Maps, Source, walk
from weft.config.loading import ConfigError

SEEDS = Path(__file__).parents[4] / "shared/seeds/configs"
needs_seeds = pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed configurations are not here")

SPINE = """
base: {world_size: 1, iterations: 50, seed: 3, log_step: 5}
train:
  weight_prefix: weights/snapshot
  save_step: 10
  optimizer: {name: AdamW, lr: 0.002, weight_decay: 0.1, betas: [0.9, 0.99]}
io:
  loader:
    batch_size: 16
    num_workers: 2
    collate_fn: all
    sampler: random_sequence
    dataset:
      name: larcv
      file_keys: [a.root, b.root]
      schema:
        data: {parser: sparse3d, sparse_event: sparse3d_reco}
        seg_label: {parser: sparse3d, sparse_event: sparse3d_truth}
model:
  name: uresnet
  network_input: {data: data}
  loss_input: {seg_label: seg_label}
  modules:
    uresnet: {num_input: 1, num_classes: 5, filters: 8, depth: 4, reps: 2}
    uresnet_loss: {balance_loss: true}
"""

MLRECO = """
iotool:
  batch_size: 32
  num_workers: 4
  collate_fn: CollateSparse
  sampler: {name: RandomSequenceSampler}
  dataset:
    name: LArCVDataset
    data_keys: [train.root]
    schema:
      input_data: [parse_sparse3d_scn, sparse3d_pcluster]
      segment_label: [parse_sparse3d_scn, sparse3d_pcluster_semantics]
model:
  name: uresnet_lonely
  modules:
    uresnet_lonely: {num_strides: 6, filters: 16, num_classes: 5, data_dim: 3, features: 1, model_path: ''}
  network_input: [input_data]
  loss_input: [segment_label]
trainval:
  seed: 144
  gpus: ''
  iterations: 1000
  report_step: 1
  checkpoint_step: 100
  model_path: ''
  train: True
  optimizer: {name: Adam, args: {lr: 0.001}}
"""


def imported(text, dialect, tmp_path, **changes):
    """The import of a text in which dotted keys are set to other values (``...``: removed)."""
    document = yaml.safe_load(text)
    for key, value in changes.items():
        *parents, last = key.split("/")
        node = document
        for name in parents:
            node = node.setdefault(name, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    path = tmp_path / "theirs.cfg"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return import_config(path, dialect)


def stage(made):
    (only,) = made.experiment.plain()["stages"].values()
    return only


def written(made, folder):
    """The experiment and the dataset as the command writes them, read back."""
    (folder / "dataset.yaml").write_text(made.render_dataset())
    made.validated(str(folder / "dataset.yaml"))
    (folder / "experiment.yaml").write_text(made.render())
    experiment = tasks.resolve(load_experiment(folder / "experiment.yaml"))
    return experiment, load_dataset(experiment.dataset)


# --- the framework --------------------------------------------------------------------------------------------


def rules_of(document, table):
    return [(key, rule, met.any) for key, _, rule, met in walk(document, table, Source(Path("f.cfg"), document))]


def test_a_rule_speaks_for_its_key_and_all_below_unless_there_are_rules_for_those():
    whole, part, any_one = Drops("whole"), Drops("part"), Drops("any")
    table = {"a": whole, "b.c": part, "b.*": any_one}
    document = {"a": {"x": 1, "y": {"z": 2}}, "b": {"c": 1, "d": {"e": 2}}}
    assert rules_of(document, table) == [("a", whole, ""), ("b.c", part, ""), ("b.d", any_one, "d")]


def test_an_unknown_key_is_an_error_with_the_closest_known_one():
    table = {"base.iterations": Drops(""), "base.seed": Drops(""), "io": Drops("")}
    with pytest.raises(ConfigError) as error:
        rules_of({"base": {"iteration": 3}}, table)
    expected = "f.cfg: unknown key 'base.iteration' (did you mean 'iterations'?); known here: iterations, seed"
    assert str(error.value) == expected
    with pytest.raises(ConfigError, match=r"f.cfg: base: expected a mapping, got 3"):
        rules_of({"base": 3}, table)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_rule_says_what_becomes_of_its_key(dialect):
    for key, rule in dialect.table.items():
        ours, says = rule.describe()
        assert ours or says, key
        assert "|" not in ours + says  # they stand in a table of the documentation


# --- the files of the seeds, as they stand --------------------------------------------------------------------


@needs_seeds
def test_the_seed_of_spine_is_the_experiment_it_describes(tmp_path):
    made = import_config(SEEDS / "uresnet.cfg")
    assert made.dialect.name == "spine"
    experiment, dataset = written(made, tmp_path)
    stage = experiment.stages["uresnet"]
    network = tasks.of(stage).network()
    assert sum(parameter.numel() for parameter in network.parameters()) == 10_956_229
    assert stage.training.batch_size == 128
    assert stage.training.iterations == 25000
    assert stage.training.save_every == 1000
    assert stage.training.workers == 4
    assert (stage.optimizer.name, stage.optimizer.lr, stage.optimizer.weight_decay) == ("Adam", 0.001, 0.0)
    assert stage.schedule.name == "constant"
    assert (stage.model["leak"], stage.model["norm_eps"], stage.model["norm_momentum"]) == (0.33, 1e-4, 0.01)
    assert stage.loss["balance"] == 0
    assert experiment.seeds == (0,)
    assert stage.resources.gpu == 1
    # There the network sees MeV, and nothing is varied.
    assert stage.data == {"charge": "linear", "flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0}
    assert dataset.files == ("train.root",)
    assert dataset.products == {"charge": "sparse3d_pcluster", "semantics": "sparse3d_pcluster_semantics"}
    assert {name: split.fraction for name, split in dataset.splits.items()} == {"train": 0.9, "val": 0.05, "test": 0.05}
    assert "lr: 0.001  # base.train.optimizer.lr" in made.render()


@needs_seeds
def test_the_seed_of_2020_is_a_joint_training_with_its_five_weights(tmp_path):
    made = import_config(SEEDS / "full_chain.cfg")
    assert made.dialect.name == "lartpc_mlreco3d"
    experiment, dataset = written(made, tmp_path)
    stage = experiment.stages["full_chain"]
    assert stage.task == "joint"
    modules = stage.model["modules"]
    tasks_of = {name: module["task"] for name, module in modules.items()}
    assert list(tasks_of.items()) == [
        ("uresnet", "points"),
        ("spice", "spice"),
        ("shower", "grappa"),
        ("candidates", "candidates"),
        ("interaction", "grappa"),
    ]
    unet, spice, shower = modules["uresnet"]["model"], modules["spice"]["model"], modules["shower"]["model"]
    assert (unet["filters"], unet["depth"], unet["reps"], unet["leak"], unet["form"]) == (16, 6, 2, 0.0, "scales3")
    assert (spice["filters"], spice["input_kernel"], spice["leak"], spice["clustering"]["min_size"]) == (
        64,
        7,
        0.33,
        10,
    )
    assert spice["clustering"]["s_thresholds"] == [0.8, 0.9, 0.55, 0.8]
    assert (shower["features"], shower["classes"], shower["min_size"], shower["network"]) == (22, [0], 10, "nnconv")
    assert modules["interaction"]["model"]["features"] == 28
    assert {name: init.source for name, init in stage.starts.items()} == {
        "uresnet": "weights/full_chain/uresnet_ppn/snapshot-195499.ckpt",
        "spice": "weights/full_chain/cluster_cnn/snapshot-55199.ckpt",
        "shower": "weights/full_chain/part_gnn_only/snapshot-24999.ckpt",
        "interaction": "weights/full_chain/inter_gnn_only/snapshot-17999.ckpt",
    }
    assert (stage.training.batch_size, stage.training.accumulate) == (32, 1)
    assert dataset.products == {
        "charge": "sparse3d_pcluster",
        "semantics": "sparse3d_pcluster_semantics",
        "clusters": "cluster3d_pcluster",
        "particles": "particle_pcluster",
    }
    assert {path.suffix for path in tmp_path.iterdir()} == {".yaml"}


@needs_seeds
@pytest.mark.parametrize("file", ["uresnet.cfg", "full_chain.cfg", "trainer_unet_xy.yaml", "seg_baseline.yaml"])
def test_every_key_of_a_seed_is_somewhere_in_the_experiment_that_is_written(file, tmp_path):
    made = import_config(SEEDS / file)
    made.validated("dataset.yaml")
    text = made.render() + (made.render_dataset() or "")

    def keys(node, path=()):
        for name, value in node.items():
            yield from keys(value, (*path, name)) if isinstance(value, dict) else [(*path, name)]

    for path in keys(yaml.safe_load((SEEDS / file).read_text())):
        spoken_for = [".".join(path[:n]) for n in range(1, len(path) + 1)]
        assert any(f"{key}:" in text or f"# {key}" in text or f", {key}" in text for key in spoken_for), path


@needs_seeds
def test_the_seed_whose_patch_its_network_does_not_admit_is_refused_with_the_nearest():
    with pytest.raises(ConfigError) as error:
        import_config(SEEDS / "trainer_unet_xy_zoom.yaml")
    assert "size_in [48, 148, 148]: unet_xy_zoom with zoom_ratio 3 admits y and x of 3·(8p+60)" in str(error.value)
    assert "nearest that works: size_in [48, 276, 276], size_out [16, 8, 8]" in str(error.value)


@needs_seeds
def test_the_seed_of_the_segmenter_counts_steps_as_its_loop_does():
    made = stage(import_config(SEEDS / "trainer_unet_xy.yaml"))
    assert made["training"]["iterations"] == 401 * 25  # epochs 0 to 400, 200 patches in batches of 8
    assert (made["training"]["validate_every"], made["training"]["save_every"]) == (None, 40 * 25)  # no validation
    assert made["optimizer"] == {"name": "Adam", "lr": 1e-5, "weight_decay": 0.005, "decay_all": True}


@needs_seeds
def test_the_seed_of_images_has_the_metric_and_the_names_of_ours():
    made = import_config(SEEDS / "seg_baseline.yaml")
    training = stage(made)["training"]
    assert (training["monitor"], training["mode"], training["patience"]) == ("mean_iou", "max", 10)
    assert (training["precision"], training["clip_norm"], training["keep_best"]) == ("auto-mixed", 1.0, 3)
    assert made.experiment.plain()["name"] == "seg_baseline"
    assert made.open == {
        "schedule.warmup": "5 · images of train / 8, in steps",
        "training.validate_every": "images of train / 8: once an epoch, which patience counts in too",
    }
    assert "# For you to fill in:\n#   schedule.warmup: 5 · images" in made.render()


# --- SPINE ----------------------------------------------------------------------------------------------------


def test_what_spine_does_not_say_is_what_spine_would_do(tmp_path):
    made = stage(imported(SPINE, "auto", tmp_path))
    assert made["model"]["leak"] == 0.01
    assert (made["model"]["norm_eps"], made["model"]["norm_momentum"]) == (1e-5, 0.1)
    assert made["loss"]["balance"] == 1.0
    assert made["optimizer"] == {
        "name": "AdamW",
        "lr": 0.002,
        "weight_decay": 0.1,
        "decay_all": True,
        "options": {"betas": [0.9, 0.99]},
    }


SPINE_CHANGES = {
    "all entries once": ({"base/iterations": -1}, "training.epochs", 1),
    "minibatches": (
        {"io/loader/batch_size": ..., "io/loader/minibatch_size": 4, "base/world_size": 2},
        "training.batch_size",
        8,
    ),
    "gpus by name": ({"base/gpus": "2", "base/world_size": ...}, "resources.gpu", 1),
    "relu": ({"model/modules/uresnet/activation": "relu"}, "model.leak", 0.0),
    "weights": ({"model/weight_path": "w/snapshot-1.ckpt"}, "init", "w/snapshot-1.ckpt"),
    "steps": (
        {"train/lr_scheduler": {"name": "StepLR", "interval": "step", "step_size": 20, "gamma": 0.5}},
        "schedule",
        {"name": "step", "every": 20, "factor": 0.5},
    ),
    "cosine": (
        {"train/lr_scheduler": {"name": "CosineAnnealingLR", "T_max": 50, "eta_min": 0.0002}},
        "schedule",
        {"name": "cosine", "floor": 0.1},
    ),
    "rising cosine": (
        {"train/lr_scheduler": {"name": "CosineAnnealingLR", "T_max": 25}},
        "schedule",
        {"name": "cosine_legacy", "floor": 0.0},
    ),
    "exponential": (
        {"train/lr_scheduler": {"name": "ExponentialLR", "gamma": 0.99}},
        "schedule",
        {"name": "exponential", "factor": 0.99, "every": 1},
    ),
    "early stopping": ({"validation/early_stopping": {"patience": 4, "monitor": "loss"}}, "training.patience", 4),
    "augmentation": ({"io/loader/dataset/augment": {"flip": {"axis": 0}}}, "data.flip", True),
}


@pytest.mark.parametrize("case", SPINE_CHANGES)
def test_keys_of_spine_become_ours(case, tmp_path):
    changes, ours, expected = SPINE_CHANGES[case]
    made = imported(SPINE, "spine", tmp_path, **changes)
    node = stage(made)
    for name in ours.split("."):
        node = node[name]
    assert node == (pytest.approx(expected) if isinstance(expected, float) else expected)
    written(made, tmp_path)  # and the whole is an experiment that can be trained


SPINE_ERRORS = {
    "unknown": ({"base/iteration": 5}, "unknown key 'base.iteration' (did you mean 'iterations'?)"),
    "below a module": (
        {"model/modules/uresnet/filter": 5},
        "unknown key 'model.modules.uresnet.filter' (did you mean 'filters'?)",
    ),
    "sampler": ({"io/loader/sampler": "bootstrap"}, "nearest that works: random_sequence; the file says bootstrap"),
    "activation": ({"model/modules/uresnet/activation": "mish"}, "nearest that work: lrelu, relu"),
    "norm": ({"model/modules/uresnet/norm_layer": "pixel_norm"}, "nearest that works: batch_norm"),
    "norm's key": (
        {"model/modules/uresnet/norm_layer": {"name": "batch_norm", "epsilon": 1}},
        "unknown key 'norm_layer.epsilon'; known here: eps, momentum, name, provider",
    ),
    "bias": ({"model/modules/uresnet/allow_bias": True}, "nearest that works: false; the file says true"),
    "inputs": ({"model/modules/uresnet/num_input": 2}, "nearest that works: 1"),
    "frozen": ({"model/modules/uresnet/freeze_weights": True}, "there is nothing to train; nearest that works: false"),
    "entries": ({"io/loader/dataset/n_entry": 10}, "weft inspect --manifest"),
    "two batches": ({"io/loader/minibatch_size": 4}, "SPINE takes exactly one of them"),
    "two trains": ({"base/train": {"save_step": 1}}, "given at the top level and in base"),
    "cosine": (
        {"train/lr_scheduler": {"name": "CosineAnnealingLR", "T_max": 7}},
        "CosineAnnealingLR with T_max 7 rises and falls again; nearest that works: T_max 50 or 25",
    ),
    "scheduler": ({"train/lr_scheduler": {"name": "CyclicLR"}}, "nearest that work: StepLR"),
    "interval": ({"train/lr_scheduler": {"name": "StepLR", "interval": "epoch"}}, "nearest: interval: step"),
    "optimiser": ({"train/optimizer/name": "AdaBoundW"}, "nearest that works: AdamW"),
    "parser": ({"io/loader/dataset/schema/data/parser": "cluster3d"}, "nearest that works: sparse3d"),
    "product": ({"model/network_input/data": "date"}, "which the schema does not have; it has: data, seg_label"),
    "glob": (
        {"io/loader/dataset/file_keys": "*.root", "io/loader/dataset/limit_num_files": 1},
        "1 of the files that a glob finds",
    ),
    "inference": ({"train": ...}, "it is `weft deploy` that does this here"),
    "another model": ({"model/name": "image"}, "no model 'image' here; nearest that work: uresnet, uresnet_ppn"),
    "no module": ({"model/modules": {"grappa": {}}}, "no model.modules.uresnet, which the model uresnet is made of"),
}


@pytest.mark.parametrize("case", SPINE_ERRORS)
def test_what_cannot_work_is_named_with_the_nearest_that_can(case, tmp_path):
    changes, message = SPINE_ERRORS[case]
    with pytest.raises(ConfigError) as error:
        imported(SPINE, "spine", tmp_path, **changes)
    assert str(error.value).startswith(str(tmp_path / "theirs.cfg"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_files_of_a_validation_become_its_split(tmp_path):
    made = imported(
        SPINE,
        "spine",
        tmp_path,
        **{"validation/file_keys": "val.root", "io/loader/dataset/limit_num_files": 1},
    )
    experiment, dataset = written(made, tmp_path)
    assert {name: split.files for name, split in dataset.splits.items()} == {"train": ("a.root",), "val": ("val.root",)}
    assert experiment.stages["uresnet"].evaluation.splits == ("val",)


def test_two_keys_that_disagree_are_both_named(tmp_path):
    with pytest.raises(ConfigError, match=r"base.world_size says 1 for .*resources.gpu, base.gpus says 2"):
        imported(SPINE, "spine", tmp_path, **{"base/gpus": "0,1"})


def test_a_module_that_the_model_does_not_use_is_listed(tmp_path):
    made = imported(SPINE, "spine", tmp_path, **{"model/modules/grappa_track": {"nodes": {"source": "voxel"}}})
    key = "model.modules.grappa_track.nodes.source"
    assert (key, "voxel", "the model does not use it") in made.left_out
    written(made, tmp_path)


# --- lartpc_mlreco3d ------------------------------------------------------------------------------------------

BATCHES = {
    "as it is": ({}, (32, None)),
    "on one": ({"iotool/minibatch_size": 8}, (8, 4)),
    "in the sampler": ({"iotool/sampler/minibatch_size": 16}, (16, 2)),
    "on two GPUs": ({"iotool/minibatch_size": 4, "trainval/gpus": "0,1"}, (8, 4)),
    "no mini-batches on two": ({"trainval/gpus": "0,1"}, (32, None)),
    "switched off": ({"iotool/minibatch_size": -1}, (32, None)),
}


@pytest.mark.parametrize("case", BATCHES)
def test_the_mini_batch_rule(case, tmp_path):
    changes, (batch, accumulate) = BATCHES[case]
    made = stage(imported(MLRECO, "auto", tmp_path, **changes))
    assert made["training"]["batch_size"] == batch
    assert made["training"].get("accumulate") == accumulate
    assert batch * (accumulate or 1) == 32


def test_weights_of_a_module_and_of_all(tmp_path):
    assert "init" not in stage(imported(MLRECO, "lartpc_mlreco3d", tmp_path))
    own = {"model/modules/uresnet_lonely/model_path": "w/snapshot-9.ckpt"}
    assert stage(imported(MLRECO, "lartpc_mlreco3d", tmp_path, **own))["init"] == "w/snapshot-9.ckpt"
    whole = {"trainval/model_path": "w/snapshot-9.ckpt"}
    assert stage(imported(MLRECO, "lartpc_mlreco3d", tmp_path, **whole))["init"] == "w/snapshot-9.ckpt"
    with pytest.raises(ConfigError, match="there the second wins; leave one of them"):
        imported(MLRECO, "lartpc_mlreco3d", tmp_path, **own, **{"trainval/model_path": "w/other.ckpt"})


MLRECO_ERRORS = {
    "mini-batches": ({"iotool/minibatch_size": 5}, "nearest that works: minibatch_size 4"),
    "devices": ({"trainval/gpus": "0,1,2"}, "32 events do not divide over 3 devices; nearest that works: 30"),
    "form": (
        {"iotool/dataset/schema/input_data": 5},
        "iotool.dataset.schema: not of the form that lartpc_mlreco3d has; the file says {input_data: 5, ",
    ),
    "frozen": ({"model/modules/uresnet_lonely/freeze_weights": True}, "nearest that works: false"),
    "parser": (
        {"iotool/dataset/schema/more": ["parse_tensor3d", "a"]},
        "parser 'parse_tensor3d' has no product here; parsers that have: parse_sparse3d_scn",
    ),
    "input": ({"model/network_input": ["image"]}, "the model reads 'image', which the schema does not have"),
    "unknown": (
        {"model/modules/uresnet_lonely/num_stride": 6},
        "unknown key 'model.modules.uresnet_lonely.num_stride' (did you mean 'num_strides'?)",
    ),
    "unknown below a later step": (
        {"model/modules/ppn": {"score_treshold": 0.5}},
        "unknown key 'model.modules.ppn.score_treshold' (did you mean 'score_threshold'?)",
    ),
    "inference": ({"trainval/train": False}, "nearest that works: true"),
}


@pytest.mark.parametrize("case", MLRECO_ERRORS)
def test_what_cannot_work_of_2020_is_named_with_the_nearest_that_can(case, tmp_path):
    changes, message = MLRECO_ERRORS[case]
    with pytest.raises(ConfigError) as error:
        imported(MLRECO, "lartpc_mlreco3d", tmp_path, **changes)
    assert message in str(error.value)


# --- which dialect --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (SPINE, "spine"),
        (MLRECO, "lartpc_mlreco3d"),
        ("{size_in: [1], size_out: [1], loader: {}}", "segmenter"),
        ("{experiment_name: a, checkpointing: {}}", "image_segmentation"),
        ("{paths: {mesh_dir: a}, training: {}}", "mesh"),
    ],
)
def test_a_dialect_is_recognised_by_its_keys(text, name, tmp_path):
    (tmp_path / "some.cfg").write_text(text)
    assert recognise(tmp_path / "some.cfg").name == name


def test_a_file_of_no_dialect_says_which_there_are(tmp_path):
    (tmp_path / "some.yaml").write_text("{name: a, stages: {}}")
    with pytest.raises(ConfigError, match=r"is of no known dialect by its keys \(name, stages\); say which: --dialect"):
        recognise(tmp_path / "some.yaml")
    with pytest.raises(ConfigError, match=r"no dialect 'spines' \(did you mean 'spine'\?\)"):
        import_config(tmp_path / "some.yaml", "spines")


def test_a_document_that_was_read_elsewhere_is_translated_the_same(tmp_path):
    (tmp_path / "theirs.cfg").write_text(SPINE)
    read = translate(DIALECTS["spine"], tmp_path / "theirs.cfg", yaml.safe_load(SPINE))
    assert read.render() == import_config(tmp_path / "theirs.cfg").render()


def test_the_tables_of_the_documentation_are_those_of_the_dialects():
    page = (Path(__file__).parents[3] / "docs/coming_from.md").read_text()
    assert all(f"<!-- keys of {name} -->" in page for name in DIALECTS)
    assert filled(page) == page, "run: python -m weft.config.dialects.reference docs/coming_from.md"


def test_a_table_says_the_same_of_neighbours_once():
    rows = {"a.x": Drops("gone"), "a.y": Drops("gone"), "a.z": Maps("model.z"), "b": Drops("gone")}
    dialect = replace(DIALECTS["spine"], table=rows)
    assert table(dialect).splitlines()[2:] == [
        "| `a.{x, y}` | – | gone |",
        "| `a.z` | `model.z` |  |",
        "| `b` | – | gone |",
    ]
