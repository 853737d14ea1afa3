import pytest

from weft import tasks
from weft.config.loading import ConfigError
from weft.tasks.grappa.options import INSTANCES, Options


@pytest.mark.parametrize("instance", INSTANCES)
def test_options_of_an_instance_can_be_written_down_and_read_again(instance: str) -> None:
    first = tasks.build("grappa", {"model": {"instance": instance}}).options
    again = Options.model_validate(first.model_dump(mode="json"))
    assert again == first


def test_an_instance_sets_what_the_user_does_not() -> None:
    model = tasks.build("grappa", {"model": {"instance": "interaction", "width": 16}}).options.model
    assert (model.nodes, model.classes, model.width) == ("candidates", [0, 1, 2, 3], 16)
    assert model.graph.max_length == [500, 500, 0, 0, 25, 25, 25, 0, 0, 0]
    wider = {"instance": "interaction", "graph": {"max_length": 30.0}}
    assert tasks.build("grappa", {"model": wider}).options.model.graph.max_length == 30.0
    assert tasks.build("grappa", {}).options.model.instance == "shower"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": {"instance": "tracks"}}, "model.instance"),
        ({"model": {"graph": {"max_length": [1.0, 2.0]}}}, "max_length has 2 numbers"),
        ({"model": {"graph": {"kind": "bipartite"}}}, "primaries is needed"),
        ({"model": {"graph": {"primaries": "shower_primary"}}}, "primaries is needed"),
        ({"model": {"classes": [1, 0]}}, "increasing"),
        ({"model": {"classes": [4]}}, "some of 0 to 3"),
        ({"model": {"heads": ["edge", "edge"]}}, "each once"),
        ({"model": {"network": "nnconv", "attention": True}}, "attention belongs to the network 'meta'"),
        ({"model": {"node_layer": "gatconv", "attention": True}}, "attention belongs to the node layer"),
        ({"model": {"grouping": "threshold", "through_track": True}}, "through_track belongs"),
        ({"model": {"heads": ["edge", "vertex"]}}, "for candidates"),
        ({"loss": {"primary": {"predicted_groups": True, "high_purity": False}}}, "predicted_groups needs"),
        ({"model": {"wdith": 3}}, "did you mean 'width'"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tasks.build("grappa", options)


def test_makes_follows_from_the_heads() -> None:
    every = ["edge", "primary", "pid", "orientation", "momentum", "vertex"]
    task = tasks.build("grappa", {"model": {"instance": "interaction", "heads": every}})
    names = [schema.name for schema in task.makes]
    assert names == [f"interaction_{n}" for n in ("groups", "edges", *every[1:])]
    assert {schema.on for schema in task.makes} == {"candidates", None}
    assert task.reads == ("voxels", "charge", "meta", "candidates", "candidate_voxels")
    assert [s.name for s in tasks.build("grappa", {"model": {"instance": "track"}}).makes] == [
        "track_groups",
        "track_edges",
    ]
    assert "momentum_error" in task.headline
