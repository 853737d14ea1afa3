"""The full chain of 2020: a joint training as it was, or stage by stage as was recommended."""

import json
from pathlib import Path

import pytest
import yaml

from weft import tasks
from weft.config.dialects import import_config
from weft.config.loading import ConfigError

CHAIN = Path(__file__).parent / "mlreco_full_chain.yaml"
AT = "model/modules"


def imported(tmp_path, form="auto", **changes):
    """The import of the file with keys set to other values (``...``: removed)."""
    document = json.loads(json.dumps(yaml.safe_load(CHAIN.read_text())))
    for key, value in changes.items():
        *parents, last = key.split("/")
        node = document
        for name in parents:
            node = node.setdefault(name, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    (tmp_path / "theirs.cfg").write_text(yaml.safe_dump(document, sort_keys=False))
    return import_config(tmp_path / "theirs.cfg", "lartpc_mlreco3d", form)


def joint(tmp_path, **changes):
    """The only stage: all modules together."""
    experiment = tasks.resolve(imported(tmp_path, **changes).validated("lartpc"))
    (stage,) = experiment.stages.values()
    return stage


def test_the_modules_are_trained_together_in_the_order_of_the_chain(tmp_path):
    stage = joint(tmp_path)
    modules = stage.model["modules"]
    assert list(modules) == ["uresnet", "spice", "shower", "candidates", "interaction"]
    needs = {name: {k: list(v) for k, v in module["needs"].items()} for name, module in modules.items()}
    assert needs["spice"] == {"uresnet": ["semantics", "point_proposals"]}
    assert needs["shower"] == {"spice": ["fragments", "fragment_voxels"]}
    assert needs["candidates"]["shower"] == ["shower_groups", "shower_primary"]
    assert needs["interaction"] == {"candidates": ["candidates", "candidate_voxels"]}
    assert stage.training.batch_size == 8
    assert stage.data == {"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0}


def test_the_five_weights_of_the_loss(tmp_path):
    modules = joint(tmp_path).model["modules"]
    assert modules["uresnet"]["loss"]["semantic_weight"] == 1.5
    points = [modules["uresnet"]["loss"][f"{term}_weight"] for term in ("mask", "class", "position")]
    assert points == [2.5, 2.5, 2.5]
    assert [modules[name]["weight"] for name in ("spice", "shower", "interaction")] == [3.5, 4.5, 5.5]
    spice = modules["spice"]["loss"]
    assert [spice[f"{term}_weight"] for term in ("seediness", "embedding", "smoothing", "inter")] == [2, 3, 4, 1]


def test_the_networks_are_those_of_2020(tmp_path):
    modules = joint(tmp_path).model["modules"]
    spice, shower, inter = (modules[name]["model"] for name in ("spice", "shower", "interaction"))
    assert (spice["filters"], spice["depth"], spice["input_kernel"], spice["leak"]) == (6, 4, 7, 0.2)
    assert (spice["clustering"]["rule"], spice["clustering"]["min_size"]) == ("compete", 10)
    for model, features, classes, least in ((shower, 22, [0], 10), (inter, 28, [0, 1, 2, 3], 1)):
        assert (model["network"], model["features"], model["width"], model["rounds"]) == ("nnconv", features, 16, 2)
        assert (model["classes"], model["min_size"], model["graph"]["max_length"]) == (classes, least, None)
        assert model["leak"] == 0.1  # `leak` was never read there
    assert (shower["heads"], inter["heads"]) == (["edge", "primary"], ["edge"])


def test_stage_by_stage_as_was_recommended(tmp_path):
    made = imported(tmp_path, form="staged")
    experiment = tasks.resolve(made.validated("lartpc"))
    assert list(experiment.stages) == ["uresnet", "spice", "shower", "candidates", "interaction"]
    assert experiment.final == ("interaction",)
    reasons = {key: reason for key, _, reason in made.left_out}
    assert reasons["model.modules.full_chain_loss.clustering_weight"] == "no stage of the file reads it"
    assert experiment.stages["spice"].training.iterations == 100


def test_weights_and_frozen_modules(tmp_path):
    changes = {
        f"{AT}/uresnet_lonely/model_path": "w/points.ckpt",
        f"{AT}/ppn/model_path": "w/points.ckpt",
        f"{AT}/uresnet_lonely/freeze_weights": True,
        f"{AT}/particle_gnn/model_path": "w/shower.ckpt",
        f"{AT}/particle_gnn/freeze_weights": True,
        f"{AT}/spatial_embeddings/seed_freeze": True,
    }
    stage = joint(tmp_path, **changes)
    assert {name: (init.source, init.part) for name, init in stage.starts.items()} == {
        "uresnet": ("w/points.ckpt", "all"),
        "shower": ("w/shower.ckpt", "all"),
    }
    assert stage.freeze == ("uresnet.trunk", "uresnet.head", "spice.seed_decoder", "spice.seed_head", "shower")
    whole = joint(tmp_path, **{"trainval/model_path": "w/all.ckpt"})
    assert set(whole.starts) == {"uresnet", "spice", "shower", "interaction"}


KEYS = {
    "most edges": ({f"{AT}/particle_gnn/edge_max_count": 500}, "shower.model.graph.max_count", 500),
    "any": ({f"{AT}/particle_gnn/edge_max_count": -1}, "shower.model.graph.max_count", None),
    "longest": ({f"{AT}/interaction_gnn/edge_max_dist": 50}, "interaction.model.graph.max_length", 50),
    "balance": ({f"{AT}/particle_gnn/balance_classes": True}, "shower.loss.edge.balance", True),
    "purity": ({f"{AT}/particle_gnn/high_purity": True}, "shower.loss.edge.high_purity", True),
    "predicted groups": ({f"{AT}/particle_gnn/high_purity": True}, "shower.loss.primary.predicted_groups", True),
    "leak": ({f"{AT}/interaction_edge_model/leakiness": 0.2}, "interaction.model.leak", 0.2),
    "all classes": ({f"{AT}/particle_gnn/node_type": -1}, "shower.model.classes", [0, 1, 2, 3]),
    "everything": ({f"{AT}/fragment_clustering/cluster_all": True}, "spice.model.clustering.cluster_all", True),
}


@pytest.mark.parametrize("case", KEYS)
def test_keys_of_the_modules(case, tmp_path):
    changes, ours, expected = KEYS[case]
    node = joint(tmp_path, **changes).model["modules"]
    for name in ours.split("."):
        node = node[name]
    assert node == expected


ERRORS = {
    "module": ({f"{AT}/network_base": ...}, "no model.modules.network_base, which the model full_chain is made of"),
    "model": ({"model/name": "full_cnn"}, "no model 'full_cnn' here; nearest that work: uresnet_lonely"),
    "merging": ({f"{AT}/full_chain/merge_batch": True}, "events are not merged; nearest that works: false"),
    "features": ({f"{AT}/particle_edge_model/node_feats": 24}, "nodes have no 24 features"),
    "widths": ({f"{AT}/particle_edge_model/edge_output_feats": 8}, "says 16 for|says 8 for"),
    "network": ({f"{AT}/particle_edge_model/name": "modular_meta"}, "nearest that works: modular_nnconv"),
    "columns": ({f"{AT}/interaction_gnn/source_col": 5}, "nodes are what the chain makes; nearest that works: 6"),
    "weight": ({f"{AT}/full_chain_loss/clustering_weight": 0.0}, "a weight is above 0"),
    "froze nothing": ({f"{AT}/network_base/freeze_weights": True}, "there it froze nothing"),
    "two files": (
        {f"{AT}/uresnet_lonely/model_path": "a.ckpt", f"{AT}/ppn/model_path": "b.ckpt"},
        "the file of model.modules.uresnet_lonely.model_path has both",
    ),
    "loss": ({f"{AT}/clustering_loss/name": "se_focal"}, "nearest that works: se_lovasz_inter"),
    "encoder": ({f"{AT}/node_encoder/name": "cnn"}, "nodes have geometric features; nearest that works: geo"),
    "key": ({f"{AT}/particle_gnn/node_min": 1}, "unknown key 'model.modules.particle_gnn.node_min'"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_the_chain_of_2020_cannot_have_is_named(case, tmp_path):
    changes, message = ERRORS[case]
    with pytest.raises(ConfigError, match=message) as error:
        imported(tmp_path, **changes)
    assert "\n" not in str(error.value)


def test_a_frozen_stage_has_nothing_to_train(tmp_path):
    with pytest.raises(ConfigError, match="a stage whose whole network is frozen has nothing to train"):
        imported(tmp_path, form="staged", **{f"{AT}/particle_gnn/freeze_weights": True})
