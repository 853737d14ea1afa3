"""SPINE's full chain as an experiment of ours."""

import pytest
from spine_files import document, experiment, imported

from weft import tasks
from weft.config import load_experiment
from weft.config.loading import ConfigError


def needs(stage):
    return {name: list(need.predictions) for name, need in stage.needs.items()}


def modes(**changes):
    """The table of modes of older files in place of the list of stages."""
    chain = {
        "deghosting": None,
        "segmentation": "uresnet",
        "point_proposal": "ppn",
        "fragmentation": "graph_spice",
        "shower_aggregation": "grappa",
        "shower_primary": "grappa",
        "track_aggregation": "grappa",
        "particle_aggregation": None,
        "inter_aggregation": "grappa",
        "particle_identification": "grappa",
    }
    return {"model/modules/chain": chain | changes}


# --- the whole chain ------------------------------------------------------------------------------------------


def test_the_full_chain_is_staged_and_each_stage_reads_what_the_one_before_it_makes(tmp_path):
    made = imported(tmp_path)
    (tmp_path / "theirs.dataset.yaml").write_text(made.render_dataset())
    made.validated(str(tmp_path / "theirs.dataset.yaml"))
    (tmp_path / "ours.yaml").write_text(made.render())
    found = tasks.resolve(load_experiment(tmp_path / "ours.yaml"))
    stages = found.stages
    assert {name: stage.task for name, stage in stages.items()} == {
        "uresnet": "points",
        "graph_spice": "graph_spice",
        "shower": "grappa",
        "track": "grappa",
        "candidates": "candidates",
        "interaction": "grappa",
        "reconstruction": "reconstruction",
    }
    assert needs(stages["graph_spice"]) == {"uresnet": ["semantics", "point_proposals"]}
    assert needs(stages["shower"]) == needs(stages["track"]) == {"graph_spice": ["fragments", "fragment_voxels"]}
    assert needs(stages["candidates"]) == {
        "graph_spice": ["fragments", "fragment_voxels"],
        "shower": ["shower_groups", "shower_primary"],
        "track": ["track_groups"],
    }
    assert needs(stages["interaction"]) == {"candidates": ["candidates", "candidate_voxels"]}
    assert set(needs(stages["reconstruction"])["interaction"]) == {
        f"interaction_{answer}" for answer in ("groups", "primary", "pid", "orientation")
    }
    assert found.final == ("reconstruction",)
    learned = [stage for stage in stages.values() if stage.learned]
    assert len(learned) == 5
    for stage in learned:
        assert (stage.training.epochs, stage.training.batch_size, stage.training.workers) == (25, 2, 8)
        assert (stage.optimizer.name, stage.optimizer.lr, stage.schedule.name) == ("Adam", 0.001, "constant")
        assert not stage.data["flip"]
    assert made.dataset.plain()["products"] == {
        "charge": "sparse3d_pcluster",
        "semantics": "sparse3d_pcluster_semantics",
        "clusters": "cluster3d_pcluster",
        "particles": "particle_corrected",
    }


def test_networks_and_losses_are_those_of_the_file(tmp_path):
    stages = experiment(imported(tmp_path)).stages
    unet, spice = stages["uresnet"], stages["graph_spice"]
    assert (unet.model["filters"], unet.model["semantic"], unet.model["points"]["anchor"]) == (32, True, "corner")
    assert (spice.model["features"], spice.model["kernel"], spice.model["input_kernel"]) == ("raw", "bilinear", 5)
    assert (spice.model["clustering"]["min_size"], spice.model["spatial_size"]) == (3, 768)
    assert (spice.data["context"], spice.data["proposals"], spice.data["charge"]) == (False, True, "linear")
    shower, track, inter = (stages[name] for name in ("shower", "track", "interaction"))
    assert (shower.model["instance"], track.model["instance"], inter.model["instance"]) == (
        "shower",
        "track",
        "interaction",
    )
    assert (shower.model["classes"], track.model["classes"]) == ([0, 2, 3], [1])
    assert (shower.model["features"], track.model["features"], inter.model["width"]) == (33, 32, 128)
    assert track.model["graph"]["max_length"] == 100
    assert inter.model["graph"]["max_length"] == [500, 500, 0, 0, 25, 25, 25, 0, 0, 0]
    assert shower.model["radius"] == -1
    assert shower.data["order"] == "given"  # ends are predicted ones, whose order says nothing of the truth
    assert inter.model["heads"] == ["edge", "pid", "primary", "orientation"]
    assert shower.loss["primary"]["predicted_groups"]
    assert shower.loss["edge"]["high_purity"]
    assert not track.loss["edge"]["high_purity"]
    assert inter.loss["pid"]["balance"]
    # There the loss is the mean of those of the answers.
    assert [shower.loss["edge"]["weight"], inter.loss["edge"]["weight"], track.loss["edge"]["weight"]] == [0.5, 0.25, 1]


def test_what_comes_after_the_networks_is_the_reconstruction(tmp_path):
    model = experiment(imported(tmp_path)).stages["reconstruction"].model
    assert model["sources"]["pid"] == model["sources"]["primary"] == model["sources"]["orientation"] == "grappa"
    assert model["sources"]["momentum"] == "energy"
    assert model["calorimetry"]["shower_fudge"] == pytest.approx(1 / 0.83)
    assert (model["containment"]["margin"], model["containment"]["fiducial"]) == (5, 25)
    assert model["topology"]["thresholds"]["proton"] == 50
    assert model["topology"]["thresholds"]["photon"] == 25
    assert model["types"]["shape_logic"]
    assert model["scattering"]["enabled"]
    assert not model["template"]["enabled"]


def test_what_the_file_does_not_do_is_off(tmp_path):
    gone = {f"post/{step}": ... for step in ("mcs_ke", "shape_logic", "topology_threshold")}
    model = experiment(imported(tmp_path, **gone)).stages["reconstruction"].model
    assert not model["scattering"]["enabled"]
    assert not model["types"]["shape_logic"]
    assert model["topology"]["thresholds"] == {}


def test_older_files_say_the_same_with_a_table_of_modes(tmp_path):
    stages = imported(tmp_path).experiment.plain()["stages"]
    older = imported(tmp_path, **modes()).experiment.plain()["stages"]
    assert {**older, "x": 0} == {**stages, "x": 0}


def test_weights_of_the_chain_are_those_that_import_weights_splits(tmp_path):
    changes = {"model/weight_path": "w/all.ckpt", "model/modules/grappa_track/weight_path": "w/track.ckpt"}
    stages = experiment(imported(tmp_path, **changes)).stages
    assert stages["shower"].starts["all"].source == "w/all/shower.ckpt"
    assert stages["track"].starts["all"].source == "w/track.ckpt"


def test_an_inference_configuration_of_the_chain_is_an_experiment_too(tmp_path):
    made = imported(tmp_path, **{"train": ..., "base/epochs": ..., "base/iterations": -1})
    stage = experiment(made).stages["shower"]
    assert stage.training.epochs == 25
    assert ("base.iterations", -1, "of the inference, not of a training") in made.left_out
    with pytest.raises(ConfigError, match="it is `weft deploy` that does this here"):
        imported(tmp_path, base={"io": {"loader": {}}, "model": {"name": "grappa"}})


def test_all_of_it_can_be_trained_together(tmp_path):
    made = imported(tmp_path, form="joint")
    assert list(experiment(made).stages) == ["full_chain"]
    stage = made.experiment.plain()["stages"]["full_chain"]
    modules = stage["model"]["modules"]
    assert list(modules) == [
        *("uresnet", "graph_spice", "shower", "track"),
        *("candidates", "interaction", "reconstruction"),
    ]
    assert modules["shower"]["needs"] == {"graph_spice": ["fragments", "fragment_voxels"]}
    assert modules["shower"]["loss"]["edge"]["weight"] == 0.5
    assert "needs" not in modules["uresnet"]
    assert stage["data"] == {"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0}
    assert stage["training"]["epochs"] == 25


def test_weights_of_the_stages_of_a_joint_training(tmp_path):
    weights = {"segmentation": 2.0, "particle_aggregation": 3.0}
    changes = {"model/modules/loss_balancing": {"provider": "fixed", "weights": weights}}
    modules = imported(tmp_path, form="joint", **changes).experiment.plain()["stages"]["full_chain"]["model"]["modules"]
    assert {name: module.get("weight") for name, module in modules.items() if "weight" in module} == {
        "uresnet": 2.0,
        "shower": 3.0,
        "track": 3.0,
    }
    staged = imported(tmp_path, **changes)
    assert "no stage of the file reads it" in [reason for key, _, reason in staged.left_out if "balancing" in key]
    experiment(staged)


CHAINS = {
    "true classes": (
        {"segmentation": "label", "point_proposal": None},
        {"graph_spice": {}, "shower": {"graph_spice": ["fragments", "fragment_voxels"]}},
    ),
    "true fragments": ({"fragmentation": "label"}, {"shower": {}, "candidates": {"shower": ..., "track": ...}}),
    "true showers": (
        {"fragmentation": "label", "shower_aggregation": "label", "shower_primary": None},
        {"candidates": {"track": ["track_groups"]}},
    ),
    "tracks as they come": (
        {"track_aggregation": "skip"},
        {"candidates": {"graph_spice": ..., "shower": ["shower_groups", "shower_primary"]}},
    ),
    "no showers of their own": (
        {"shower_primary": None},
        {"candidates": {"graph_spice": ..., "shower": ["shower_groups"], "track": ["track_groups"]}},
    ),
    "true interactions": (
        {
            "fragmentation": "label",
            "inter_aggregation": "label",
            **dict.fromkeys(("shower_aggregation", "shower_primary", "track_aggregation")),
        },
        {"reconstruction": {}},
    ),
}


@pytest.mark.parametrize("case", CHAINS)
def test_what_no_stage_makes_is_the_truth(case, tmp_path):
    changes, expected = CHAINS[case]
    stages = experiment(imported(tmp_path, **modes(**changes))).stages
    for name, wanted in expected.items():
        found = needs(stages[name])
        assert found == {stage: found.get(stage) if products is ... else products for stage, products in wanted.items()}


DBSCAN = {
    "eps": 1.8,
    "min_size": [5, 3],
    "shapes": [0, 1],
    "break_shapes": [1],
    "track_include_delta": True,
    "ppn_predictor": {"score_threshold": 0.9},
}


def test_fragments_of_several_methods(tmp_path):
    changes = {"model/modules/dbscan": DBSCAN, "model/modules/graph_spice/shapes": ["michel", "delta"]}
    stages = experiment(imported(tmp_path, **modes(fragmentation="dbscan_graph_spice"), **changes)).stages
    made = stages["fragments"]
    assert made.model["providers"] == {
        "delta": "graph_spice",
        "michel": "graph_spice",
        "shower": "dbscan",
        "track": "dbscan",
    }
    dbscan = made.model["dbscan"]
    assert (dbscan["eps"], dbscan["min_size"], dbscan["split"]) == (1.8, {"shower": 5, "track": 3}, ["track"])
    assert (dbscan["point_score"], dbscan["point_class_score"], dbscan["track_include_delta"]) == (0.9, 0.5, True)
    assert needs(made) == {
        "uresnet": ["semantics", "points", "point_proposals"],
        "graph_spice": ["fragments", "fragment_voxels"],
    }
    assert needs(stages["shower"]) == {"fragments": ["fragments", "fragment_voxels"]}


def test_true_points_may_cut(tmp_path):
    dbscan = {"shapes": [0, 1, 2, 3], "use_label_break_points": True}
    changes = {"model/modules/dbscan": dbscan}
    made = experiment(imported(tmp_path, **modes(fragmentation="dbscan"), **changes)).stages["fragments"]
    assert needs(made) == {"truth": ["points"], "uresnet": ["semantics", "point_proposals"]}


def test_one_network_for_all_particles(tmp_path):
    track = document()["model"]["modules"]["grappa_shower"]
    changes = {"model/modules/grappa_particle": track | {"nodes": {"source": "cluster", "make_groups": True}}}
    changes |= modes(
        shower_aggregation=None, shower_primary=None, track_aggregation=None, particle_aggregation="grappa"
    )
    stages = experiment(imported(tmp_path, **changes)).stages
    assert stages["particle"].model["instance"] == "particle"
    assert stages["candidates"].model["groups"] == stages["candidates"].model["primary"] == ["particle"]


CHAIN_ERRORS = {
    "no block": ({"model/modules/grappa_track": ...}, "no model.modules.grappa_track, which the chain is to use"),
    "two owners": (
        {**modes(fragmentation="dbscan_graph_spice"), "model/modules/dbscan": DBSCAN},
        "shower is divided by dbscan and by graph_spice",
    ),
    "mode": (modes(fragmentation="cnn"), "no mode 'cnn'; nearest that work: dbscan, spice"),
    "both": (
        modes(fragmentation="label", particle_aggregation="label"),
        "particle_aggregation takes all fragments; nearest that works: it alone",
    ),
    "true groups of what was found": (
        modes(shower_aggregation="label"),
        "there are no true groups of the fragments that graph_spice finds; nearest that works: grappa",
    ),
    "true interactions of what was found": (
        modes(inter_aggregation="label"),
        "there are no true groups of the candidates that candidates finds",
    ),
    "no particles": (
        modes(**dict.fromkeys(("shower_aggregation", "shower_primary", "track_aggregation"))),
        "the fragments that graph_spice finds make no particles",
    ),
    "ghosts": (modes(deghosting="uresnet"), "ghost points are told apart by model.ghost"),
    "images": (modes(particle_identification="image"), "nearest that works: grappa"),
    "no vertex": (modes(vertexing="grappa"), "grappa_inter predicts no vertex"),
    "provider": ({"model/modules/chain/stages/1/provider": "transform"}, "no stage here does what transform does"),
    "twice": ({"model/modules/chain/stages/1/config/mode": "x", "model/modules/chain/segmentation": 1}, ""),
    "unknown option": (
        {"model/modules/chain/stages/1/config/mod": 1},
        "unknown key 'model.modules.chain.fragmentation.mod'",
    ),
    "loss": ({"model/modules/chain/stages/1/loss": "edges"}, "'edges' is not named after its module"),
    "calibration": ({"post/calibration": {"gain": 1}}, "charge is taken as it is; nearest that works: null"),
    "detector": ({"post/containment/mode": "module"}, "the volume is that of the image; nearest that works: meta"),
    "processor": ({"post/direcsion": {}}, "unknown key 'post.direcsion' (did you mean 'direction'?)"),
    "processor's key": (
        {"post/vertex/anchor": True},
        "unknown key 'post.vertex.anchor' (did you mean 'anchor_vertex'?)",
    ),
    "balance": ({"model/modules/loss_balancing": "uncertainty"}, "nearest that works: sum"),
    "balanced stage": (
        {"model/modules/loss_balancing": {"name": "fixed", "weights": {"ppn": 1}}},
        "weights.ppn: no such stage; nearest that work: segmentation",
    ),
    "pixels": ({"build/units": "px"}, "positions of products are in cm; nearest that works: cm"),
    "logic": ({"post/shape_logic/enforce_pid": False}, "types and primaries fit their class or neither does"),
}


@pytest.mark.parametrize("case", CHAIN_ERRORS)
def test_what_a_chain_cannot_have_is_named(case, tmp_path):
    changes, message = CHAIN_ERRORS[case]
    if case == "twice":
        changes = {"model/modules/chain/stages": [*2 * [{"name": "a", "provider": "fragmentation", "mode": "spice"}]]}
        message = "chain.stages.a: fragmentation is said twice"
    with pytest.raises(ConfigError) as error:
        imported(tmp_path, **changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


POST = {
    "vertex": ({"vertex/confluence_selection": "pointing"}, "vertex.pointing", True),
    "orientation": ({"vertex/update_orientations": True}, "vertex.orient_tracks", True),
    "extrema": ({"track_extrema/method": "local"}, "sources.orientation", "dedx"),
    "extrema by points": ({"track_extrema/method": "ppn"}, "sources.orientation", "points"),
    "points": ({"ppn/assign_to_particles": True}, "sources.points", "ppn"),
    "another name": ({"reconstruct_vertex": {"touching_threshold": 3.0}, "vertex": ...}, "vertex.touching", 3.0),
    "thresholds": (
        {"particle_threshold": {"track_pid_thresholds": {4: 0.85, 2: 0.1}, "shower_pid_thresholds": {1: 0.5}}},
        "types.thresholds",
        {"electron": 0.5, "proton": 0.85, "muon": 0.1},
    ),
    "one threshold": ({"topology_threshold/ke_thresholds": 10}, "topology.thresholds.kaon", 10),
    "template": ({"pid_template/optimize_orient": False}, "template.both_ways", False),
    "scattering": ({"mcs_ke/res_a": 0.3}, "scattering.resolution", 0.3),
    "straightness": ({"start_straightness/radius": 4.0}, "local.straightness_radius", 4.0),
}


@pytest.mark.parametrize("case", POST)
def test_keys_of_post_processors(case, tmp_path):
    changes, ours, expected = POST[case]
    node = experiment(imported(tmp_path, **{f"post/{key}": value for key, value in changes.items()}))
    node = node.stages["reconstruction"].model
    for name in ours.split("."):
        node = node[name]
    assert node == expected


def test_a_list_of_post_processors(tmp_path):
    stages = [
        {"name": "ways", "provider": "direction", "config": {"radius": 4.0}},
        {"name": "calo_ke", "scaling": "1/2"},
    ]
    model = experiment(imported(tmp_path, post={"stages": stages})).stages["reconstruction"].model
    assert (model["directions"]["radius"], model["calorimetry"]["scale"]) == (4.0, 0.5)
    assert model["calorimetry"]["shower_fudge"] == 1.0  # SPINE's default, not ours
    with pytest.raises(ConfigError, match="post: direction comes twice"):
        imported(tmp_path, post={"stages": 2 * stages})
