"""What a model has learned from, and what it is fed: by the options of the stages that made it."""

from pathlib import Path

import pytest
from toy_chain import Pieces, Sizes

from weft import tasks
from weft.engine.fed import Feed, differences, feed_from, maker, require_fed_alike
from weft.errors import WeftError

TRIPLETS = {"model": {"detector": "toy", "margin": 3}}


def of(**model: object) -> dict[str, object]:
    return maker(tasks.build("triplets", {"model": TRIPLETS["model"] | model}))


def feed(made: dict[str, object], differs: tuple[str, ...] = ()) -> Feed:
    return Feed({"triplets": made}, {"triplets": "search"}, differs)


def test_a_stage_that_learns_nothing_names_its_options_but_not_those_of_the_events() -> None:
    made = of(mask="image2d_thrumu")
    assert made["task"] == "triplets"
    assert made["method"] == {
        "model.threshold": 10.0, "model.use_dead": True, "model.slack": 0.0, "model.margin": 3.0,
        "model.max_per_row": None,
    }  # fmt: skip
    assert of(detector="microboone") == of()


def test_a_network_names_none() -> None:
    assert maker(tasks.build("segmentation", {})) == {"task": "segmentation", "method": {}}


def test_what_differs() -> None:
    assert list(differences(of(), of())) == []
    assert list(differences(of(), of(margin=None, slack=1))) == [
        ("model.slack", 0.0, 1.0),
        ("model.margin", 3.0, None),
    ]
    assert list(differences({"task": "a", "method": {}}, {"task": "b", "method": {}})) == [("task", "a", "b")]


def test_options_of_another_version_are_not_compared() -> None:
    older = {"task": "triplets", "method": {"model.margin": 3.0, "model.gone": 1}}
    assert list(differences(older, of(slack=1))) == []


def test_a_model_that_learned_from_others_is_refused() -> None:
    trained = {"triplets": of(margin=None)}
    with pytest.raises(
        WeftError,
        match=r"^m\.ckpt: learned from 'triplets' made with model\.margin = null, stage 'search' makes them with 3\.0: "
        r"set that, train again, or accept it with differs: \[search\.model\.margin\]$",
    ):
        require_fed_alike(trained, feed(of()), "m.ckpt")
    require_fed_alike(trained, feed(of(), ("search.model.margin",)), "m.ckpt")
    with pytest.raises(WeftError, match=r"model\.slack = 0\.0, stage 'search' makes them with 2\.0"):
        require_fed_alike(trained, feed(of(slack=2), ("search.model.margin",)), "m.ckpt")


def test_what_learned_from_the_truth_is_not_compared() -> None:
    require_fed_alike({}, feed(of()), "m.ckpt")
    require_fed_alike(None, feed(of()), "m.ckpt")


def test_stages_that_run_together_say_who_makes_what() -> None:
    pieces, sizes = Pieces(Pieces.options_model(model={"least": 2})), Sizes(Sizes.options_model())
    providers = {"pieces": "first", "piece_voxels": "first", "kept": "other"}
    found = feed_from(sizes.reads, providers, {"first": pieces})
    assert found.stages == {"piece_voxels": "first", "pieces": "first"}
    assert found.makers["pieces"] == {"task": "pieces", "method": {"model.least": 2}}


def test_files_of_one_stage_made_in_different_ways_are_refused(tmp_path: Path) -> None:
    from toy_task import write_shard

    from weft.engine.corpus import Corpus
    from weft.engine.deploy import deploy
    from weft.engine.fed import feed_of
    from weft.engine.fixed import settle

    shards = []
    for k, least in enumerate((1, 1, 2)):
        write_shard(tmp_path / f"{k}.h5", k, [30, 20])
        task = Pieces(Pieces.options_model(model={"least": least}))
        settle(task, tmp_path / f"pieces{k}", {}, 0)
        made = tmp_path / f"made{k}.h5"
        deploy(task, tmp_path / f"pieces{k}/model.ckpt", {"truth": tmp_path / f"{k}.h5"}, made, {})
        shards.append({"truth": tmp_path / f"{k}.h5", "first": made})
    providers = {"pieces": "first"}
    assert feed_of(Corpus(shards[:2], providers), ["pieces"], providers).makers == {
        "pieces": {"task": "pieces", "method": {"model.least": 1}}
    }
    with pytest.raises(WeftError, match=r"made2\.h5: made with model\.least = 2, other files of 'first' with 1; make"):
        feed_of(Corpus(shards, providers), ["pieces"], providers)
