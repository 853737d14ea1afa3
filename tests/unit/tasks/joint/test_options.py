"""What modules may be put together, and what is said of those that do not fit."""

from typing import Any

import pytest
from joint_events import modules

from weft import tasks
from weft.errors import WeftError
from weft.tasks.joint.options import Options
from weft.tasks.joint.task import Joint


def joint(given: dict[str, Any], **data: Any) -> Joint:
    task = tasks.build("joint", {"model": {"modules": given}, "data": data})
    assert isinstance(task, Joint)
    return task


def refused(given: dict[str, Any]) -> str:
    with pytest.raises(WeftError) as caught:
        joint(given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_options_of_the_modules_are_validated_and_filled_in() -> None:
    found = joint(modules("points", "shower")).options.model.modules
    assert found["points"].model["depth"] == 2
    assert found["points"].model["leak"] == 0.33
    assert found["shower"].loss["edge"]["weight"] == 1.0
    again = Options.model_validate(joint(modules("points", "shower")).options.model_dump(mode="json"))
    assert again.model.modules == found
    assert "unknown key 'model.filter'" in refused({"points": {"task": "points", "model": {"filter": 2}}})
    assert "no task 'point'" in refused({"points": {"task": "point"}})
    assert "cannot be a module of another" in refused({"all": {"task": "joint"}})


def test_random_views_are_of_the_whole_event() -> None:
    task = joint(modules("points", "shower"))
    assert task.options.model.modules["points"].data["flip"] is False
    assert task.options.model.modules["points"].data["shift"] == 0
    assert task.options.model.modules["shower"].data["charge_jitter"] == 0.0
    assert task.options.data.flip
    assert "data.flip: not of one module alone" in refused(modules("points", points={"data": {"flip": True}}))
    overlaid = modules("shower", shower={"data": {"overlay": {"kind": "const"}}})
    assert "data.overlay" in refused(overlaid)


def test_detached_pieces_are_nodes_only_where_nobody_reads_them() -> None:
    track = {"track": {"task": "grappa", "model": {"instance": "track"}}}
    assert joint(track).options.model.modules["track"].data["break_clusters"] is False
    given = modules("graph_spice") | {"track": track["track"] | {"train_on": "truth"}}
    assert joint(given).options.model.modules["track"].data["break_clusters"] is True
    asked = {"track": track["track"] | {"data": {"break_clusters": True}}}
    assert "give train_on: truth" in refused(asked)


def test_a_module_is_fed_by_the_last_one_before_it_that_makes_a_product() -> None:
    task = joint(modules("points", "graph_spice", "fragments", "shower"))
    by_name = {module.name: module for module in task.wiring.modules}
    assert by_name["graph_spice"].providers == {"semantics": "points"}
    assert by_name["fragments"].providers == {"semantics": "points", "points": "points"}
    assert by_name["shower"].providers == {"fragments": "fragments", "fragment_voxels": "fragments"}
    assert task.reads == ("voxels", "charge", "meta")
    other = modules("points", "graph_spice", "fragments", "shower", shower={
        "needs": {"graph_spice": ["fragments", "fragment_voxels"]}})  # fmt: skip
    by_name = {module.name: module for module in joint(other).wiring.modules}
    assert by_name["shower"].providers == {"fragments": "graph_spice", "fragment_voxels": "graph_spice"}


def test_what_no_module_makes_is_what_the_stage_is_fed() -> None:
    task = joint(modules("shower", "candidates"))
    assert task.reads == ("voxels", "charge", "meta", "fragments", "fragment_voxels")
    mixed = {"fragments": {"task": "fragments", "model": {"providers": {"track": "other", "shower": "dbscan"}}}}
    task = joint(mixed | modules("shower"))
    assert {"other/fragments", "other/fragment_voxels", "semantics"} < set(task.reads)


def test_products_of_one_name_are_told_apart_by_module() -> None:
    task = joint(modules("points", "graph_spice", "fragments", "shower", "candidates"))
    schemas = {schema.name: schema for schema in task.makes}
    assert {"graph_spice.fragments", "fragments", "shower_groups", "candidates"} < set(schemas)
    assert schemas["graph_spice.fragment_voxels"].items_on == "graph_spice.fragments"
    assert schemas["shower_groups"].on == "fragments"


def test_modules_that_do_not_fit_are_named() -> None:
    later = modules("shower", "fragments")
    later["fragments"]["model"] = {"providers": {"track": "spice"}}
    assert "reads spice/fragments, but 'spice' does not come before it" in refused(later | modules("spice"))
    assert "no module 'point' before it (did you mean 'points'?)" in refused(
        modules("points", "graph_spice", graph_spice={"needs": {"point": ["semantics"]}})
    )
    assert "'points' makes no 'fragments'" in refused(
        modules("points", "shower", shower={"needs": {"points": ["fragments"]}})
    )
    assert "it reads no 'points'" in refused(modules("points", "shower", shower={"needs": {"points": ["points"]}}))
    assert "none of fragments has anything to learn" in refused(modules("fragments"))
    assert "train_on: it reads nothing of earlier modules" in refused(modules("shower", shower={"train_on": "truth"}))
    for key, value in (("train_on", "truth"), ("weight", 2.0), ("lr_multiplier", 2.0)):
        message = refused(modules("points", "fragments", fragments={key: value}))
        assert f"fragments.{key}: task 'fragments' does not learn" in message
    assert "this name is reserved" in refused({"truth": modules("points")["points"]})
    assert "pattern" in refused({"U-ResNet": modules("points")["points"]})
    with pytest.raises(WeftError, match="a network has something else of this name"):
        joint({"forward": modules("points")["points"]}).network()


def test_who_is_fed_by_a_module_that_learns_from_the_truth_learns_from_it_too() -> None:
    chain = ("points", "graph_spice", "shower", "candidates", "interaction")
    message = refused(modules(*chain, graph_spice={"train_on": "truth"}))
    assert "modules.shower: reads fragments of 'graph_spice', but 'graph_spice' learns from the truth" in message
    truth = {"train_on": "truth"}
    message = refused(modules(*chain, graph_spice=truth, shower=truth))
    assert "modules.interaction: reads candidates of 'candidates', but 'graph_spice' learns from the truth" in message
    task = joint(modules(*chain, graph_spice=truth, shower=truth, interaction=truth))
    assert task.wiring.ready(True) == {"points", "graph_spice", "shower", "interaction"}
    assert [module.name for module in task.wiring.running(True)] == ["points", "graph_spice", "shower", "interaction"]
    assert not task.wiring.read(True)
    assert task.wiring.ready(False) == {"points"}
    assert len(task.wiring.running(False)) == 5
    assert task.not_accumulated() is None


def test_batches_wait_for_no_network_where_none_is_before() -> None:
    wiring = joint(modules("fragments", "shower", "candidates", "interaction")).wiring
    assert wiring.ready(True) == {"fragments", "shower"}
    assert wiring.ready(False) == {"fragments", "shower"}
    assert wiring.read(True) == {"fragments", "shower", "candidates"}


def test_the_headline_begins_with_the_last_module_that_learns() -> None:
    task = joint(modules("points", "graph_spice", "shower", "candidates"))
    assert task.headline == ("shower.ari", "graph_spice.ari", "points.f1_3", "candidates.ari")


def test_there_is_no_baseline() -> None:
    task = joint(modules("points"))
    assert "baseline" not in Options.model_fields
    with pytest.raises(WeftError, match="has no baseline"):
        task.baseline()
