"""SPICE, Graph-SPICE and GrapPA of SPINE, each trained by itself, as a stage of ours."""

from copy import deepcopy

import pytest
from spine_files import chain, document, experiment, imported

from weft import tasks
from weft.config.loading import ConfigError

CHAIN = chain()
CLUSTERS = {
    "parser": "cluster3d",
    "cluster_event": "cluster3d_pcluster",
    "sparse_semantics_event": "sparse3d_pcluster_semantics",
    "clean_data": True,
}


def grappa(block="grappa_shower", **particle_info):
    """A training of GrapPA on true clusters, as those of SPINE are."""
    modules = CHAIN["model"]["modules"]
    schema = {
        "data": CLUSTERS
        | {"break_clusters": True, "particle_info": {"particle_event": "particle_mc", **particle_info}},
        "coord_label": {
            "parser": "particle_coords",
            "particle_event": "particle_mc",
            "cluster_event": "cluster3d_pcluster",
        },
    }
    return document(
        base={
            "base": {"iterations": 2, "seed": 0},
            "train": {"optimizer": {"name": "Adam", "lr": 0.001}},
            "io": {
                "loader": {
                    "batch_size": 4,
                    "dataset": {"name": "larcv", "file_keys": ["a.root"], "schema": deepcopy(schema)},
                }
            },
            "model": {
                "name": "grappa",
                "network_input": {"data": "data", "coord_label": "coord_label"},
                "loss_input": {"clust_label": "data", "coord_label": "coord_label"},
                "modules": deepcopy({"grappa": modules[block], "grappa_loss": modules[f"{block}_loss"]}),
            },
        }
    )


def fragmenter(name):
    """A training of SPICE or Graph-SPICE."""
    images = CHAIN["io"]["loader"]["dataset"]["schema"]
    spice = {
        "uresnet": CHAIN["model"]["modules"]["graph_spice"]["embedder"]["uresnet"],
        "skip_classes": ["michel", "delta", "lowe"],
    }
    modules = {"spice": spice, "spice_loss": {"inter_margin": 0.3, "mask_loss": "bce_logits"}}
    if name == "graph_spice":
        modules = {key: CHAIN["model"]["modules"][key] for key in ("graph_spice", "graph_spice_loss")}
    made = grappa()
    made["io"]["loader"]["dataset"]["schema"] = {
        "data": images["data"],
        "seg_label": images["seg_label"],
        "clust_label": CLUSTERS | {"particle_event": "particle_mc", "add_particle_info": True, "break_clusters": True},
    }
    made["model"] |= {
        "name": name,
        "network_input": {"data": "data", "seg_label": "seg_label"},
        "loss_input": {"seg_label": "seg_label", "clust_label": "clust_label"},
        "modules": deepcopy(modules),
    }
    return made


@pytest.mark.parametrize(
    ("block", "stage", "products"),
    [
        ("grappa_shower", "shower", ["fragments", "fragment_voxels"]),
        ("grappa_track", "track", ["fragments", "fragment_voxels"]),
        ("grappa_inter", "interaction", ["candidates", "candidate_voxels"]),
    ],
)
def test_a_graph_network_by_itself_learns_from_true_clusters(block, stage, products, tmp_path):
    made = imported(tmp_path, grappa(block))
    found = experiment(made)
    assert list(found.stages) == [stage]
    only = found.stages[stage]
    assert only.model["instance"] == stage
    assert list(only.needs) == ["truth"]
    assert set(products) <= set(only.needs["truth"].predictions)
    assert only.data["break_clusters"]
    assert made.dataset.plain()["products"] == {
        "charge": "sparse3d_pcluster",  # which the file does not name
        "semantics": "sparse3d_pcluster_semantics",
        "clusters": "cluster3d_pcluster",
        "particles": "particle_mc",
    }
    tasks.of(only).network()


def test_labels_are_those_of_the_parser(tmp_path):
    options = {"type_include_secondary": False, "type_include_mpr": False, "primary_include_mpr": False}
    loss = experiment(imported(tmp_path, grappa("grappa_inter", **options))).stages["interaction"].loss
    assert not loss["pid"]["secondaries"]
    assert not loss["pid"]["rain"]
    assert not loss["primary"]["rain"]
    loss = experiment(imported(tmp_path, grappa("grappa_inter"))).stages["interaction"].loss
    assert loss["pid"]["secondaries"]
    assert loss["pid"]["rain"]


MLP = CHAIN["model"]["modules"]["grappa_shower"]["gnn_model"]["edge_layer"]["mlp"]
LEAKY = {"name": "lrelu", "negative_slope": 0.33}
GNN = "model/modules/grappa/gnn_model"
KEYS = {
    "threshold": ({"nodes/grouping_method": "threshold"}, "model.grouping", "threshold"),
    "size": ({"nodes/min_size": 5}, "model.min_size", 5),
    "graph": ({"graph/name": "knn", "graph/k": 3}, "model.graph.neighbours", 3),
    "exact": ({"graph/dist_algorithm": "brute"}, "model.graph.algorithm", "exact"),
    "an old name": ({"graph/dist_algorithm": "recursive"}, "model.graph.algorithm", "iterative"),
    "centroids": ({"graph/dist_method": "centroid"}, "model.graph.measure", "centroid"),
    "most edges": ({"max_edge_count": 100}, "model.graph.max_count", 100),
    "lengths of two classes": (
        {"graph/max_length": [1, 2, 3]},
        "model.graph.max_length",
        [1, 2, 0, 0, 3, 0, 0, 0, 0, 0],
    ),
    "16": (
        {"node_encoder": {"name": "geo"}, "gnn_model/node_feats": 16},
        "model.features",
        16,
    ),
    "ends as given": ({"node_encoder/random_order": False}, "data.order", "given"),
    "lines": ({"node_encoder/dir_max_dist": "optimize"}, "model.optimize", True),
    "mean": ({"gnn_model/node_layer/reduction": "mean"}, "model.reduction", "mean"),
    "as layers do": (
        {"gnn_model/node_layer": {"name": "nnconv", "out_channels": 64, "mlp": MLP}},
        "model.reduction",
        "max",
    ),
    "rounds": ({"gnn_model/num_mp": 2}, "model.rounds", 2),
    "attention": ({"gnn_model/node_layer/attention": True}, "model.attention", True),
    "voxels": (
        {
            "node_encoder": {
                "name": "geo_cnn_mix",
                "geo_encoder": {"add_value": True, "add_shape": True},
                "cnn_encoder": {"filters": 4, "depth": 2, "reps": 1, "activation": LEAKY},
            }
        },
        "model.cnn.filters",
        4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEYS)
def test_keys_of_the_graph_networks(case, tmp_path):
    changes, ours, expected = KEYS[case]
    made = imported(tmp_path, grappa(), **{f"model/modules/grappa/{key}": value for key, value in changes.items()})
    node = experiment(made).stages["shower"].model_dump()
    for name in ours.split("."):
        node = node[name]
    assert node == expected
    tasks.of(experiment(made).stages["shower"]).network()


LOSS = {
    "forest": ({"edge_loss/mode": "forest"}, "edge.target", "forest"),
    "balance": ({"edge_loss/balance_loss": True}, "edge.balance", True),
    "closest": ({"node_loss/use_closest": True}, "primary.closest", True),
    "true groups": ({"node_loss/use_group_pred": False}, "primary.predicted_groups", False),
    "purity": ({"edge_loss/min_purity": 0.6, "edge_loss/match_target": "cluster"}, "min_purity", 0.6),
}


@pytest.mark.parametrize("case", LOSS)
def test_keys_of_the_losses_of_graphs(case, tmp_path):
    changes, ours, expected = LOSS[case]
    made = imported(tmp_path, grappa(), **{f"model/modules/grappa_loss/{key}": value for key, value in changes.items()})
    node = experiment(made).stages["shower"].loss
    for name in ours.split("."):
        node = node[name]
    assert node == expected


def test_a_vertex_and_a_momentum(tmp_path):
    heads = {"vertex": 5, "momentum": 1}
    losses = {
        "vertex": {"name": "vertex", "normalize_positions": True, "use_anchor_points": True, "only_contained": False},
        "momentum": {"name": "reg", "target": "momentum", "loss": "berhu"},
    }
    changes = {f"{GNN}/node_pred": heads, "model/modules/grappa_loss/node_loss": losses}
    stage = experiment(imported(tmp_path, grappa("grappa_inter"), **changes)).stages["interaction"]
    assert stage.model["heads"] == ["edge", "vertex", "momentum"]
    assert (stage.model["vertex_normalise"], stage.model["vertex_anchor"]) == (True, "nearest")
    assert stage.model["momentum_unit"] == 1  # there MeV/c
    assert not stage.loss["vertex"]["contained"]
    assert stage.loss["vertex"]["weight"] == pytest.approx(1 / 3)


ERRORS = {
    "head": ({"gnn_model/node_pred": {"energy": 1}}, "node_pred.energy: no such answer of a node; nearest"),
    "six types": ({"gnn_model/node_pred": {"type": 6}}, "node_pred.type: 6 numbers; nearest that works: 5"),
    "deep head": ({"gnn_model/edge_pred": {"name": "mlp", "depth": 2}}, "an answer is a linear map of features"),
    "features": ({"node_encoder/add_value": False}, "nodes have features that none here has"),
    "two radii": ({"node_encoder/dir_max_dist": 7.0}, "directions and dE/dx have one radius"),
    "graph": ({"graph/name": "bipartite"}, "nearest that work: complete, delaunay"),
    "directed": ({"graph/directed": True}, "edges go both ways"),
    "two widths": ({"gnn_model/edge_layer/mlp/width": 32}, "says 32 for .*model.width"),
    "layers": ({"gnn_model/edge_layer/mlp/width": [64, 32, 64]}, "every layer has the same width"),
    "norm": ({"gnn_model/edge_layer/mlp/normalization": "pixel_norm"}, "nearest that work: batch_norm, layer_norm"),
    "global": ({"gnn_model/global_pred": 2}, "there is no such part of a graph"),
    "augment": ({"augment/edge_dropout": {"probability": 0.1}}, "graphs are varied by views of the event alone"),
    "dbscan": ({"dbscan": {"eps": 1}}, "fragments are those of the stage before"),
    "source": ({"nodes/source": "voxel"}, "nodes are fragments"),
    "class": ({"nodes/shapes": ["shower", "ghost"]}, "no class ghost has fragments"),
    "leak of voxels": (
        {"node_encoder": {"name": "cnn", "filters": 4, "depth": 2, "reps": 1}},
        "nearest that works: activation: {name: lrelu, negative_slope: 0.33}",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_a_graph_network_cannot_have_is_named(case, tmp_path):
    changes, message = ERRORS[case]
    with pytest.raises(ConfigError, match=message) as error:
        imported(tmp_path, grappa(), **{f"model/modules/grappa/{key}": value for key, value in changes.items()})
    assert "\n" not in str(error.value)


LOSS_ERRORS = {
    "loss": ({"node_loss/name": "orient"}, "no such loss of the primary of a group"),
    "target": ({"edge_loss/target": "interaction"}, "nodes are fragments|what is of one group|candidates"),
    "iou": ({"edge_loss/min_iou": 0.5}, "nodes are chosen by purity and efficiency"),
    "match": ({"edge_loss/min_purity": 0.5}, "compared with its own true fragment, not with its group"),
    "by class": ({"edge_loss/min_purity": [0.5, 0.6]}, "one number for all classes"),
    "weights": ({"node_loss/weights": [1, 2]}, "nearest that works: null"),
    "loss function": ({"edge_loss/loss": "mm"}, "the loss is cross-entropy; nearest that works: ce"),
}


@pytest.mark.parametrize("case", LOSS_ERRORS)
def test_what_a_loss_of_graphs_cannot_have_is_named(case, tmp_path):
    changes, message = LOSS_ERRORS[case]
    base = grappa()
    if case == "target":  # which would make an interaction network of it, were its block not that of the shower's
        base = document()
        changes = {f"model/modules/grappa_shower_loss/{key}": value for key, value in changes.items()}
    else:
        changes = {f"model/modules/grappa_loss/{key}": value for key, value in changes.items()}
    with pytest.raises(ConfigError, match=message):
        imported(tmp_path, base, **changes)


def test_the_closest_node_needs_labels_of_the_others_that_are_ours(tmp_path):
    at = "model/modules/grappa_loss/node_loss/primary"
    with pytest.raises(ConfigError, match="the other nodes of a particle get the label 0"):
        imported(tmp_path, grappa("grappa_inter"), **{f"{at}/use_closest": True})
    made = imported(tmp_path, grappa("grappa_inter"), **{f"{at}/use_closest": True, f"{at}/secondary_label": 0})
    assert experiment(made).stages["interaction"].loss["primary"]["closest"]


def test_spice_by_itself(tmp_path):
    stage = experiment(imported(tmp_path, fragmenter("spice"))).stages["spice"]
    assert stage.model["classes"] == ["shower", "track"]
    assert (stage.loss["form"], stage.loss["inter_margin"], stage.loss["min_voxels"]) == ("bce", 0.3, 2)
    assert (stage.model["clustering"]["rule"], stage.model["clustering"]["min_size"]) == ("greedy", 2)
    assert (stage.data["context"], stage.data["break_clusters"], stage.data["charge"]) == (False, True, "linear")
    assert stage.needs["truth"].predictions == ("voxels", "charge", "semantics")
    tasks.of(stage).network()


SPICE = {
    "thresholds": (
        {"shapes": [1, 0], "skip_classes": None, "clusterer": {"seed_threshold": {"track": 0.9, 0: 0.8}}},
        "model.clustering.s_thresholds",
        [0.9, 0.8],
    ),
    "in order": ({"clusterer/probability_threshold": [0.1, 0.2]}, "model.clustering.p_thresholds", [0.1, 0.2]),
    "assign": ({"clusterer/assign_all": False}, "model.clustering.cluster_all", False),
    "without coordinates": ({"coord_conv": False, "uresnet/num_input": 1}, "model.coord_conv", False),
    "frozen seeds": ({"seed_freeze": True}, "freeze", ("seed_decoder", "seed_head")),
}


@pytest.mark.parametrize("case", SPICE)
def test_keys_of_spice(case, tmp_path):
    changes, ours, expected = SPICE[case]
    made = imported(tmp_path, fragmenter("spice"), **{f"model/modules/spice/{key}": v for key, v in changes.items()})
    node = experiment(made).stages["spice"].model_dump()
    for name in ours.split("."):
        node = node[name]
    assert node == expected


GRAPH_SPICE = {
    "neighbours": ({"constructor/graph": {"name": "knn", "k": 5}}, "model.graph.k", 5),
    "heads": (
        {"use_raw_features": False, "kernel": {"name": "default", "num_features": 22}},
        "model.features",
        "heads",
    ),
    "perceptron": (
        {
            "kernel": {
                "name": "mlp",
                "num_features": 32,
                "bias": True,
                "mlp": {"depth": 1, "width": 8, "activation": "elu", "normalization": "batch_norm"},
            }
        },
        "model.mlp_width",
        8,
    ),
    "kept": ({"invert": False}, "model.invert", False),
    "no orphans": ({"constructor/orphan": None}, "model.clustering.assign_all", False),
}


@pytest.mark.parametrize("case", GRAPH_SPICE)
def test_keys_of_graph_spice(case, tmp_path):
    changes, ours, expected = GRAPH_SPICE[case]
    changes = {f"model/modules/graph_spice/{key}": value for key, value in changes.items()}
    stage = experiment(imported(tmp_path, fragmenter("graph_spice"), **changes)).stages["graph_spice"]
    node = stage.model_dump()
    for name in ours.split("."):
        node = node[name]
    assert node == expected
    tasks.of(stage).network()


def test_the_loss_of_edges(tmp_path):
    changes = {"model/modules/graph_spice_loss/loss": {"name": "binary_log_dice_ce", "w_dice": 0.5, "w_ce": 0.5}}
    changes["model/modules/graph_spice_loss/balance_loss"] = True
    loss = experiment(imported(tmp_path, fragmenter("graph_spice"), **changes)).stages["graph_spice"].loss
    assert (loss["dice_weight"], loss["bce_weight"], loss["balance"]) == (0.5, 0.5, True)


FRAGMENT_ERRORS = {
    "no size": ("spice", {"spice/uresnet/spatial_size": ...}, "spatial_size: missing; coordinates are shares of it"),
    "inputs": ("spice", {"spice/uresnet/num_input": 1}, "nearest that works: 4"),
    "thresholds": ("spice", {"spice/clusterer": {"seed_threshold": {"track": 1}}}, "nearest: one of each"),
    "mask loss": ("spice", {"spice_loss/mask_loss": "mse"}, "nearest that works: bce_logits"),
    "low-energy": ("spice", {"spice/skip_classes": None, "spice/shapes": [0, 4]}, "no class 4 has fragments"),
    "edge loss": ("graph_spice", {"graph_spice_loss/loss": "binary_mincut"}, "edges have no loss 'binary_mincut'"),
    "inversion": ("graph_spice", {"graph_spice_loss/invert": False}, "nearest that works: True"),
    "few neighbours": ("graph_spice", {"graph_spice/constructor/graph/max_num_neighbors": 8}, "26 that touch one"),
    "orphans": ("graph_spice", {"graph_spice/constructor/orphan/mode": "knn"}, "nearest that works: radius"),
    "kernel": ("graph_spice", {"graph_spice/kernel/name": "gauss"}, "nearest that works: bilinear"),
    "semantics": ("graph_spice", {"graph_spice/embedder/predict_semantics": True}, "those of the stage before"),
}


@pytest.mark.parametrize("case", FRAGMENT_ERRORS)
def test_what_a_fragmenter_cannot_have_is_named(case, tmp_path):
    name, changes, message = FRAGMENT_ERRORS[case]
    with pytest.raises(ConfigError, match=message) as error:
        imported(tmp_path, fragmenter(name), **{f"model/modules/{key}": value for key, value in changes.items()})
    assert "\n" not in str(error.value)
