"""The joint U-ResNet and PPN of SPINE and of 2020 as a stage of the task points."""

import pytest
import yaml

from weft import tasks
from weft.config.dialects import import_config
from weft.config.loading import ConfigError

FILE = """
base: {world_size: 1, iterations: 50, seed: 3}
train: {weight_prefix: weights/snapshot, save_step: 10, optimizer: {name: Adam, lr: 0.001}}
io:
  loader:
    batch_size: 16
    collate_fn: all
    dataset:
      name: larcv
      file_keys: [a.root]
      schema:
        data: {parser: sparse3d, sparse_event: sparse3d_reco}
        seg_label: {parser: sparse3d, sparse_event: sparse3d_truth}
        ppn_label: {parser: particle_points, particle_event: particle_corrected, sparse_event: sparse3d_reco}
        clust_label: {parser: cluster3d, cluster_event: cluster3d_pcluster, particle_event: particle_corrected}
model:
  name: uresnet_ppn
  network_input: {data: data}
  loss_input: {seg_label: seg_label, ppn_label: ppn_label, clust_label: clust_label}
  modules:
    uresnet: {num_input: 1, num_classes: 5, filters: 8, depth: 4, reps: 2, ghost: false}
    uresnet_loss: {balance_loss: false, beta: 1.0, alpha: 0.5}
    ppn: {classify_endpoints: true, mask_score_threshold: 0.4}
    ppn_loss: {mask_loss: CE, resolution: 4.0, restrict_to_clusters: true, mask_loss_weight: 2.0}
"""


MLRECO = """
iotool:
  batch_size: 32
  dataset:
    name: LArCVDataset
    data_keys: [train.root]
    schema:
      input_data: [parse_sparse3d_scn, sparse3d_pcluster]
      segment_label: [parse_sparse3d_scn, sparse3d_pcluster_semantics]
      particles_label: [parse_particle_points, sparse3d_pcluster, particle_pcluster]
model:
  name: uresnet_ppn_chain
  modules:
    uresnet_lonely: {num_strides: 6, filters: 16, num_classes: 5, data_dim: 3, features: 1, ghost: false}
    ppn:
      num_strides: 6
      filters: 16
      num_classes: 5
      data_dim: 3
      ppn1_size: 24
      ppn2_size: 96
      spatial_size: 768
      ppn_num_conv: 2
      true_distance_ppn3: 4.0
      weight_ppn1: 0.5
      score_threshold: 0.5
  network_input: [input_data]
  loss_input: [segment_label, particles_label]
trainval: {seed: 144, gpus: '', iterations: 1000, checkpoint_step: 100, optimizer: {name: Adam, args: {lr: 0.001}}}
"""


def imported(tmp_path, text=FILE, dialect="spine", **changes):
    document = yaml.safe_load(text)
    for key, value in changes.items():
        *parents, last = key.split("/")
        node = document
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    path = tmp_path / "theirs.cfg"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    made = import_config(path, dialect)
    return made, made.validated("lartpc").stages["uresnet"]


def test_a_joint_training_is_a_stage_of_points(tmp_path):
    made, stage = imported(tmp_path)
    options = tasks.of(stage).options
    assert [stage.task] == made.tasks == ["points"]
    assert options.model.semantic
    assert options.model.ends
    assert (options.model.filters, options.model.depth, options.model.mask_score_threshold) == (8, 4, 0.4)
    assert options.model.points.anchor == "corner"
    loss = options.loss
    assert (loss.radius, loss.same_particle, loss.mask_weight, loss.semantic_weight) == (4.0, True, 2.0, 0.5)
    assert set(stage.needs["truth"].predictions) == {"voxels", "charge", "meta", "semantics", "particles", "clusters"}
    products = made.dataset.plain()["products"]
    assert products["particles"] == "particle_corrected"
    assert products["clusters"] == "cluster3d_pcluster"


def test_weights_of_the_uresnet_are_those_of_two_modules(tmp_path):
    changes = {"model/modules/uresnet/weight_path": "w.ckpt", "model/modules/uresnet/freeze_weights": True}
    _, stage = imported(tmp_path, **changes)
    assert {module: init.source for module, init in stage.starts.items()} == {"trunk": "w.ckpt", "head": "w.ckpt"}
    assert stage.freeze == ("trunk", "head")
    assert imported(tmp_path, **{"model/modules/uresnet/freeze_weights": False})[1].freeze == ()


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"balance_mask_loss": False}, "balance_mask", 0.0),
        ({"balance_mask_loss": True, "mask_weighting_mode": "sqrt"}, "balance_mask", 0.5),
        ({"type_weighting_mode": "sqrt"}, "balance_class", 0.5),
        ({"balance_type_loss": False, "type_weighting_mode": "sqrt"}, "balance_class", 0.0),
        ({"type_loss_weight": 3.0}, "class_weight", 3.0),
        ({"reg_loss_weight": 3.0}, "position_weight", 3.0),
        ({"endpoint_loss_weight": 3.0}, "end_weight", 3.0),
    ],
)
def test_keys_of_the_loss(tmp_path, changes, key, expected):
    _, stage = imported(tmp_path, **{f"model/modules/ppn_loss/{name}": value for name, value in changes.items()})
    assert getattr(tasks.of(stage).options.loss, key) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model/modules/ppn_loss/mask_weighting_mode": "log"}, "'log' can give weights below zero"),
        ({"model/modules/ppn_loss/point_classes": [1]}, "points of all classes are learned"),
        ({"model/modules/ppn/use_true_ghost_mask": True}, "ghost points are not masked"),
        ({"model/modules/ppn/weight_path": "w.ckpt"}, "nearest that works: model.weight_path"),
        ({"model/modules/uresnet/ghost": True}, "cannot do this; nearest that works: false"),
        ({"model/modules/uresnet_loss/balance_loss": True}, "cannot do this; nearest that works: false"),
        ({"model/name": "uresnet"}, "model.name is 'uresnet'; nearest that works: uresnet_ppn"),
        ({"model/modules/ppn/end": True}, "unknown key 'model.modules.ppn.end'"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        imported(tmp_path, **changes)


def mlreco(tmp_path, **changes):
    return imported(tmp_path, MLRECO, "lartpc_mlreco3d", **changes)


def test_the_joint_training_of_2020_has_three_scales(tmp_path):
    made, stage = mlreco(tmp_path)
    options = tasks.of(stage).options
    assert stage.task == "points"
    assert options.model.semantic
    assert options.model.form == "scales3"
    assert options.model.levels == (5, 3)
    assert (options.model.ppn_num_conv, options.model.depth, options.model.filters) == (2, 6, 16)
    assert (options.loss.radius, options.loss.ppn1_weight, options.data.min_voxels) == (4.0, 0.5, 5)
    assert made.dataset.plain()["products"]["particles"] == "particle_pcluster"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model/modules/ppn/num_strides": 5}, "uresnet_lonely.num_strides is 6"),
        ({"model/modules/ppn/use_encoding": True}, "the PPN reads the decoder"),
        ({"model/modules/ppn/near_sampling": True}, "all voxels that are not masked count"),
        ({"model/modules/uresnet_lonely/ghost": True}, "cannot do this; nearest that works: false"),
    ],
)
def test_what_2020_did_and_cannot_be_done_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        mlreco(tmp_path, **changes)
