"""Stages fed with predictions or with the truth, stages that do not learn, and the chain of them."""

from typing import Any

import pytest

from weft import tasks
from weft.config import (
    CHAIN,
    ConfigError,
    Experiment,
    Layout,
    chain_of,
    chains_of,
    dataset_from,
    load_dataset,
    load_experiment,
    plan,
    run_of,
)

DATASET = {
    "name": "events",
    "source": "simulation",
    "splits": {name: {"events": 2, "seed": k} for k, name in enumerate(("train", "val", "test"))},
}
LEARNS = {"training": {"iterations": 1, "batch_size": 1}}


def experiment(**second: Any) -> Experiment:
    stages = {
        "net": {"task": "segmentation", **LEARNS},
        "second": {
            "task": "graph_spice",
            "needs": {"net": {"predictions": ["semantics"]}},
            **LEARNS,
            **second,
        },
        "last": {
            "task": "fragments",
            "needs": {"net": ["semantics"], "second": ["fragments", "fragment_voxels"]},
            "model": {"providers": {"track": "second", "shower": "dbscan"}},
        },
        "aside": {"task": "segmentation", "needs": {"net": {"weights": "best"}}, **LEARNS},
    }
    return tasks.resolve(
        Experiment.model_validate({"name": "x", "dataset": "events", "seeds": [0, 3], "stages": stages})
    )


def run(chosen: Experiment, stage: str, variant: str | None = None) -> Any:
    return run_of(chosen, dataset_from(DATASET), Layout("out"), stage, variant)


def test_by_default_a_stage_is_trained_and_judged_on_predictions() -> None:
    second = run(experiment(), "second", "seed3")
    assert second.sources == ["net.seed3"]
    assert second.trained_on == "net.seed3"
    assert second.training_inputs("train")["0000"] == {
        "truth": "out/data/events/train/0000.h5",
        "net": "out/x/net/seed3/predictions/truth/train/0000.h5",
    }
    assert second.providers() == {"semantics": "net"}


def test_trained_on_truth_a_stage_waits_for_no_predictions_of_training_events() -> None:
    chosen = experiment(train_on="truth", evaluation={"inputs": ["truth", "predictions"]})
    second = run(chosen, "second")
    assert second.trained_on == "truth"
    for split in ("train", "val"):
        assert second.training_inputs(split) == {"0000": {"truth": f"out/data/events/{split}/0000.h5"}}
    assert second.providers(second.trained_on) == {"net/semantics": "truth"}
    assert run(chosen, "second", "baseline").training_inputs("train") == second.training_inputs("train")


def test_trained_on_both_a_stage_reads_predictions_and_the_truth_in_turn() -> None:
    second = run(experiment(train_on="both"), "second")
    assert second.trained_on == "net.seed0"
    assert second.training_inputs("train") == run(experiment(), "second").training_inputs("train")
    assert second.training_feeds == [{"semantics": "net"}, {"net/semantics": "truth"}]
    assert run(experiment(), "second").training_feeds == [{"semantics": "net"}]


def test_each_input_has_predictions_and_scores_of_its_own() -> None:
    second = run(experiment(evaluation={"inputs": ["truth", "predictions"]}), "second")
    assert second.sources == ["truth", "net.seed0"]
    assert second.score("events") == "out/x/second/seed0/scores/truth/events.parquet"
    assert second.score("events", "net.seed0") == "out/x/second/seed0/scores/net.seed0/events.parquet"
    on_truth = second.evaluation_inputs()["test"]["0000"]
    assert on_truth == {
        "truth": "out/data/events/test/0000.h5",
        "prediction": "out/x/second/seed0/predictions/truth/test/0000.h5",
    }
    on_predictions = second.evaluation_inputs("net.seed0")["test"]["0000"]
    assert on_predictions["net"] == "out/x/net/seed0/predictions/truth/test/0000.h5"
    assert on_predictions["prediction"] == "out/x/second/seed0/predictions/net.seed0/test/0000.h5"


def test_later_stages_read_what_was_predicted_on_predictions() -> None:
    last = run(experiment(evaluation={"inputs": ["truth"]}), "last", "seed3")
    assert last.shard_inputs("test", "0000")["second"] == "out/x/second/seed3/predictions/net.seed3/test/0000.h5"


@pytest.mark.parametrize("change", [{"train_on": "truth"}, {"train_on": "both"}, {"evaluation": {"inputs": ["truth"]}}])
def test_without_predictions_there_is_nothing_to_choose(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reads no predictions, so it is fed the truth anyway"):
        experiment(needs={}, **change)


def test_held_out_events_are_judged_once() -> None:
    training = {"iterations": 1, "batch_size": 1, "hold_out": {"fraction": 0.5}}
    with pytest.raises(ValueError, match="both has every held-out event twice"):
        experiment(train_on="both", training=training)


def test_each_input_once() -> None:
    with pytest.raises(ValueError, match="each of truth and predictions once"):
        experiment(evaluation={"inputs": ["truth", "truth"]})


def test_where_nothing_is_predicted_the_options_are_what_they_were() -> None:
    assert "train_on" not in run(experiment(), "net").training_options()
    assert run(experiment(), "second").training_options()["train_on"] == "predictions"
    assert run(experiment(train_on="truth"), "second", "baseline").training_options()["train_on"] == "truth"


def test_a_stage_that_does_not_learn_waits_for_nothing_to_learn_from() -> None:
    last = run(experiment(), "last")
    assert not last.stage.learned
    assert last.training_inputs("train") == {}
    assert set(last.training_options()) == {"task", "model", "data", "seed"}
    # Nor does its baseline learn: DBSCAN. That of a network does.
    assert run(experiment(), "last", "baseline").training_inputs("train") == {}
    assert run(experiment(), "second", "baseline").training_inputs("train")["0000"].keys() == {"truth", "net"}
    # What was written out is read again the same, as a report does.
    again = Experiment.model_validate(experiment().model_dump(mode="json"))
    assert not again.stages["last"].learned


def test_what_belongs_to_training_is_refused_where_nothing_is_learned() -> None:
    for change in (LEARNS, {"optimizer": {"lr": 0.1}}, {"freeze": ["trunk"]}, {"schedule": {"name": "constant"}}):
        stage = {"task": "fragments", **change}
        given = Experiment.model_validate({"name": "x", "dataset": "events", "stages": {"f": stage}})
        with pytest.raises(ConfigError, match=f"stage 'f': {next(iter(change))}: task 'fragments' does not learn"):
            tasks.resolve(given)
    without = Experiment.model_validate({"name": "x", "dataset": "e", "stages": {"n": {"task": "segmentation"}}})
    with pytest.raises(ConfigError, match="stage 'n': training: field required, task 'segmentation' learns"):
        tasks.resolve(without)


def test_a_baseline_that_is_fitted_is_told_what_to_learn_from_though_its_stage_learns_nothing() -> None:
    needs = {"fragments": {"predictions": ["fragments", "fragment_voxels"]}}
    candidates: dict[str, Any] = {"task": "candidates", "needs": needs, "train_on": "truth"}
    stages = {"fragments": {"task": "fragments"}, "candidates": candidates}
    given = {"name": "x", "dataset": "events", "stages": stages}
    assert run(tasks.resolve(Experiment.model_validate(given)), "candidates", "baseline").trained_on == "truth"
    without = given | {"stages": stages | {"candidates": candidates | {"baseline": None}}}
    with pytest.raises(ConfigError, match="stage 'candidates': train_on: task 'candidates' does not learn"):
        tasks.resolve(Experiment.model_validate(without))


def test_the_chain_has_what_somebody_reads_and_what_is_final() -> None:
    chosen = experiment().model_copy(update={"chain": ("last",)})
    chain = chain_of(chosen, dataset_from(DATASET), Layout("out"), "seed3")
    assert [(link.stage_name, link.variant) for link in chain.runs] == [
        ("net", "seed3"),
        ("second", "seed3"),
        ("last", "seed3"),
    ]
    assert chain.models()["second"] == "out/x/second/seed3/model.ckpt"
    assert chain.prediction("test", "0000") == "out/x/chain/seed3/predictions/truth/test/0000.h5"
    assert chain.options()["second"]["providers"] == {"semantics": "net"}
    # By default all that no other stage needs is final.
    assert "aside" in [link.stage_name for link in chain_of(experiment(), dataset_from(DATASET), Layout()).runs]
    assert set(chains_of(chosen, dataset_from(DATASET), Layout())) == {"seed0", "seed3"}


def test_chains_that_there_cannot_be() -> None:
    arguments = dataset_from(DATASET), Layout()
    with pytest.raises(ConfigError, match=r"the chain has no variant 'seed7'; it has: seed0, seed3"):
        chain_of(experiment(), *arguments, "seed7")
    pinned = experiment(needs={"net": {"predictions": ["semantics"], "seed": 3}})
    with pytest.raises(ConfigError, match="stage 'net' is read as seed"):
        chain_of(pinned, *arguments, "seed0")
    assert chains_of(pinned, *arguments) == {}
    swept = {"net": {"task": "segmentation", **LEARNS, "sweep": {"optimizer.lr": [0.1, 0.2]}}}
    one = tasks.resolve(Experiment.model_validate({"name": "x", "dataset": "events", "stages": swept}))
    with pytest.raises(ConfigError, match=r"points of a sweep, choose one with --variant: seed0-lr=0.1, seed0-lr=0.2"):
        chain_of(one, *arguments)
    with pytest.raises(ValueError, match=r"chain: no stage 'nett' \(did you mean 'net'\?\)"):
        Experiment.model_validate({"name": "x", "dataset": "e", "stages": swept, "chain": ["nett"]})


def test_the_chain_of_the_baselines() -> None:
    chosen = experiment().model_copy(update={"chain": ("last",)})
    chain = chain_of(chosen, dataset_from(DATASET), Layout("out"), "baseline")
    assert [(link.stage_name, link.variant) for link in chain.runs] == [
        ("net", "baseline"),
        ("second", "baseline"),
        ("last", "baseline"),
    ]
    assert chain.models()["second"] == "out/x/second/baseline/model.ckpt"
    assert chain.prediction("test", "0000") == "out/x/chain/baseline/predictions/truth/test/0000.h5"
    options = chain.options()["second"]
    assert options["is_baseline"] is True
    for name, given in chain.options().items():  # the mark is no option of a task
        assert isinstance(tasks.build(str(given["task"]), given, name), tasks.load(str(given["task"])))
    assert options["providers"] == {"semantics": "net"}
    stages = {name: stage.model_copy(update={"baseline": None}) for name, stage in chosen.stages.items()}
    without = chosen.model_copy(update={"stages": stages})
    with pytest.raises(ConfigError, match="none of its stages has a baseline"):
        chain_of(without, dataset_from(DATASET), Layout(), "baseline")
    some = chosen.model_copy(update={"stages": stages | {"net": chosen.stages["net"]}})
    mixed = chain_of(some, dataset_from(DATASET), Layout(), "baseline")
    assert [link.variant for link in mixed.runs] == ["baseline", "seed0", "seed0"]
    assert "baseline" not in mixed.options()["second"]


def test_a_chain_at_each_point_of_a_sweep_that_the_final_stage_follows() -> None:
    stages = {
        "net": {"task": "segmentation", **LEARNS, "sweep": {"optimizer.lr": [0.1, 0.2]}},
        "lines": {"task": "graph_spice", "needs": {"net": ["semantics"]}, "follow": True, **LEARNS},
    }
    given = {"name": "x", "dataset": "events", "seeds": [0, 3], "stages": stages}
    chains = chains_of(tasks.resolve(Experiment.model_validate(given)), dataset_from(DATASET), Layout("out"))
    assert list(chains) == [f"seed{k}-net.lr={lr}" for lr in (0.1, 0.2) for k in (0, 3)]
    chain = chains["seed3-net.lr=0.2"]
    assert [run.variant for run in chain.runs] == ["seed3-lr=0.2", "seed3-net.lr=0.2"]
    assert chain.prediction("test", "0000") == "out/x/chain/seed3-net.lr=0.2/predictions/truth/test/0000.h5"
    assert chain.runtime == max(run.stage.resources.runtime for run in chain.runs)
    apart = given | {"stages": stages | {"aside": {"task": "segmentation", **LEARNS}}}
    with pytest.raises(ConfigError, match="the final stages have no variant in common"):
        chain_of(tasks.resolve(Experiment.model_validate(apart)), dataset_from(DATASET), Layout())


@pytest.mark.parametrize("scale", ["tiny", "demo", "study", "reference"])
def test_the_full_chain_can_be_planned_at_every_scale(scale: str) -> None:
    chosen, dataset = tasks.resolve(load_experiment("full_chain", scale)), load_dataset("lartpc", scale)
    order = list(chosen.order())
    assert order.index("uresnet") < order.index("points") < order.index("fragments")
    assert "track" not in chosen.stages["shower"].upstream
    assert "shower" not in chosen.stages["track"].upstream
    names = [link.stage_name for link in chain_of(chosen, dataset, Layout()).runs]
    assert names[-1] == "reconstruction"
    assert {run.stage_name for run in plan(chosen, dataset, Layout())} == set(chosen.stages)
    assert CHAIN not in chosen.stages
