"""Sweeps: points, their names, the runs that follow from them, and what each of those depends on."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from weft import tasks
from weft.config import ConfigError, Experiment, Layout, Run, load_dataset, load_experiment, plan, run_of, runs_of
from weft.config.sweep import BASE, LONGEST_NAME, labels_of, names_of, points_of, settings_of

SPLIT = {"events": 4, "seed": 1}
DATASET = {"name": "events", "source": "simulation", "splits": dict.fromkeys(("train", "val", "test"), SPLIT)}
TRAINING = {"iterations": 5, "batch_size": 2}
GRID = {"optimizer.lr": [1e-3, 3e-4], "model.filters": [16, 32]}


def stage(**keys: Any) -> dict[str, Any]:
    return {"task": "segmentation", "training": TRAINING} | keys


def reader(**keys: Any) -> dict[str, Any]:
    """A stage that may read semantics."""
    return stage(**{"task": "graph_spice"} | keys)


def experiment(tmp_path: Path, seeds: tuple[int, ...] = (0,), **stages: dict[str, Any]) -> Experiment:
    """An experiment as it is loaded from a file, task options resolved."""
    path = tmp_path / "e.yaml"
    document = {"name": "e", "dataset": "events", "seeds": list(seeds), "stages": stages}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return tasks.resolve(load_experiment(path))


def runs(tmp_path: Path, seeds: tuple[int, ...] = (0,), **stages: dict[str, Any]) -> dict[str, Run]:
    """The runs of an experiment as ``{stage/variant: run}``."""
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(DATASET))
    planned = plan(experiment(tmp_path, seeds, **stages), load_dataset(tmp_path / "d.yaml"), Layout("out"))
    return {f"{run.stage_name}/{run.variant}": run for run in planned}


# --- points and names ---------------------------------------------------------------------------------------


def test_a_grid_is_every_value_with_every_other():
    assert points_of({"a.x": [1, 2], "b": ["u", "v"]}) == [
        {"a.x": 1, "b": "u"},
        {"a.x": 1, "b": "v"},
        {"a.x": 2, "b": "u"},
        {"a.x": 2, "b": "v"},
    ]


def test_a_mapping_as_a_value_is_its_keys():
    listed = points_of({"schedule": [{"name": "constant"}, {"name": "cosine", "warmup": 5}]})
    assert listed == [{"schedule.name": "constant"}, {"schedule.name": "cosine", "schedule.warmup": 5}]
    assert names_of(listed) == ["schedule=constant", "schedule=cosine-warmup=5"]


def test_names_are_readable():
    assert names_of(points_of(GRID)) == [
        "lr=0.001-filters=16",
        "lr=0.001-filters=32",
        "lr=0.0003-filters=16",
        "lr=0.0003-filters=32",
    ]
    assert names_of([{}, {"training.clip_norm": None, "data.flip": False}]) == [BASE, "clip_norm=none-flip=false"]
    assert names_of([{"optimizer.options.betas": [0.9, 0.95]}]) == ["betas=0.9_0.95"]
    assert names_of([{"optimizer.name": "SGD", "optimizer.lr": 1e-05}]) == ["optimizer=SGD-lr=1e-05"]


def test_a_key_goes_by_its_shortest_ending_of_its_own():
    assert labels_of(["a.b.c", "x.b.c", "x.c", "d"]) == {"a.b.c": "a.b.c", "x.b.c": "x.b.c", "x.c": "x.c", "d": "d"}
    assert labels_of(["model.depth", "ema.decay", "ema.warmup", "schedule.warmup"]) == {
        "model.depth": "depth",
        "ema.decay": "decay",
        "ema.warmup": "ema.warmup",
        "schedule.warmup": "schedule.warmup",
    }


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=150), st.lists(st.integers())
)
keys = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=3).map(".".join)


@given(st.lists(st.dictionaries(keys, values, min_size=1, max_size=4), min_size=1, max_size=8))
def test_names_are_folders_and_different_for_different_values(points):
    names = names_of(points)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._=-]+", name)
        assert len(name) <= LONGEST_NAME
    meanings = [json.dumps(point, sort_keys=True) for point in points]
    for (name, meaning), (other, its) in product(zip(names, meanings, strict=True), repeat=2):
        assert name != other or meaning == its


def test_a_new_value_does_not_rename_the_others():
    more = {"optimizer.lr": [1e-2, *GRID["optimizer.lr"]], "model.filters": [*GRID["model.filters"], 64]}
    assert set(names_of(points_of(GRID))) < set(names_of(points_of(more)))


# --- what follows for an experiment -------------------------------------------------------------------------


def test_each_point_with_each_seed_is_a_variant(tmp_path):
    made = runs(tmp_path, (0, 7), net=stage(sweep=GRID))
    names = names_of(points_of(GRID))
    assert list(made) == [*(f"net/seed{seed}-{name}" for name in names for seed in (0, 7)), "net/baseline"]
    run = made["net/seed7-lr=0.0003-filters=32"]
    assert run.model == "out/e/net/seed7-lr=0.0003-filters=32/model.ckpt"
    assert run.point == "lr=0.0003-filters=32"
    options = run.training_options()
    assert (options["optimizer"]["lr"], options["model"]["filters"], options["seed"]) == (3e-4, 32, 7)
    assert run.deploy_options()["model"]["filters"] == 32


def test_a_point_has_the_options_of_the_same_stage_without_a_sweep(tmp_path):
    """The sweep itself is nothing that a training depends on, so another point leaves the others alone."""
    plain = runs(tmp_path, net=stage(optimizer={"lr": 3e-4}, model={"filters": 32}))["net/seed0"]
    for sweep in (GRID, {**GRID, "optimizer.lr": [3e-4, 1.0]}, [{"optimizer.lr": 3e-4, "model.filters": 32}]):
        swept = runs(tmp_path, net=stage(sweep=sweep))["net/seed0-lr=0.0003-filters=32"]
        assert swept.training_options() == plain.training_options()
        assert swept.deploy_options() == plain.deploy_options()


def test_points_by_name_change_the_stage_as_it_is(tmp_path):
    sweep = [{}, {"model.reps": 1}, {"schedule": {"name": "constant"}}]
    made = runs(tmp_path, net=stage(model={"depth": 3}, sweep=sweep))
    assert list(made) == ["net/seed0-base", "net/seed0-reps=1", "net/seed0-schedule=constant", "net/baseline"]
    assert [run.stage.model["depth"] for run in made.values()] == [3] * 4
    assert [run.stage.model["reps"] for run in made.values()][:3] == [2, 1, 2]
    assert [run.stage.schedule.name for run in made.values()][:3] == ["cosine", "cosine", "constant"]


def test_written_out_and_read_again_it_is_the_same(tmp_path):
    made = experiment(tmp_path, net=stage(sweep=GRID), late=stage(needs={"net": {"weights": "best"}}, follow=True))
    assert Experiment.model_validate(made.model_dump(mode="json")) == made


# --- stages that come after -----------------------------------------------------------------------------------


def test_a_stage_that_follows_is_multiplied(tmp_path):
    made = runs(
        tmp_path,
        (0, 1),
        net=stage(sweep=GRID, baseline=None),
        late=reader(needs={"net": {"predictions": ["semantics"]}}, follow=True, sweep={"optimizer.lr": [0.1, 0.2]}),
    )
    late = {name.removeprefix("late/"): run for name, run in made.items() if name.startswith("late/seed")}
    names = names_of(points_of(GRID))
    expected = {f"seed{k}-lr={lr}-net.{name}" for k in (0, 1) for lr in (0.1, 0.2) for name in names}
    assert set(late) == expected
    run = late["seed1-lr=0.2-net.lr=0.001-filters=32"]
    assert run.source == "net.seed1-lr=0.001-filters=32"
    assert run.shard_inputs("test", "0000")["net"] == made["net/seed1-lr=0.001-filters=32"].prediction("test", "0000")
    assert run.training_options()["optimizer"]["lr"] == 0.2


def test_a_stage_after_a_sweep_follows_or_chooses(tmp_path):
    swept = stage(sweep={"optimizer.lr": [0.1, 0.2]})

    def late(**need: str) -> dict[str, Any]:
        return stage(needs={"net": {"weights": "best", **need}})

    with pytest.raises(
        ConfigError, match=r"late\.needs\.net: stage 'net' is swept: say `follow: true`.*: lr=0.1, lr=0.2"
    ):
        runs(tmp_path, net=swept, late=late())
    made = runs(tmp_path, (0, 1), net=swept, late=late(point="lr=0.2"))
    assert list(made["late/seed1"].weights().values()) == ["out/e/net/seed1-lr=0.2/model.ckpt"]
    with pytest.raises(ConfigError, match=r"needs\.net\.point: no point 'lr=0.3' \(did you mean 'lr=0.2'\?\)"):
        runs(tmp_path, net=swept, late=late(point="lr=0.3"))
    with pytest.raises(ConfigError, match="stage 'net' is not swept"):
        runs(tmp_path, net=stage(), late=late(point="lr=0.2"))


def test_stages_that_share_a_sweep_stand_at_the_same_point(tmp_path):
    """a is swept, b and c follow it, d reads all three: one d for each point of a, not for each combination."""
    after = {"weights": "best"}
    read = {"predictions": ["semantics"]}
    made = experiment(
        tmp_path,
        a=stage(sweep={"optimizer.lr": [0.1, 0.2]}),
        b=stage(needs={"a": after}, follow=True, sweep={"model.reps": [1, 2]}),
        c=stage(needs={"a": after}, follow=True),
        d=reader(needs={"a": read, "b": after, "c": {}}, follow=True),
    )
    settings = settings_of(made.stages, "d")
    assert settings == [{"a": f"lr={lr}", "b": f"reps={reps}"} for lr in (0.1, 0.2) for reps in (1, 2)]
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(DATASET))
    for run in runs_of(made, load_dataset(tmp_path / "d.yaml"), Layout(), "d"):
        assert run.upstream("b").upstream("a").variant == run.upstream("a").variant == f"seed0-{run.setting['a']}"
        assert run.upstream("c").variant == f"seed0-a.{run.setting['a']}"


def test_without_a_sweep_there_is_nothing_to_follow(tmp_path):
    made = runs(tmp_path, net=stage(), late=stage(needs={"net": {"weights": "best"}}, follow=True))
    assert list(made) == ["net/seed0", "net/baseline", "late/seed0", "late/baseline"]


# --- baselines --------------------------------------------------------------------------------------------------


def test_a_baseline_knows_nothing_of_models(tmp_path):
    made = runs(tmp_path, (0, 1), net=stage(sweep=GRID))
    baseline = made["net/baseline"]
    assert all(run.baseline() == baseline for run in made.values())
    more = runs(tmp_path, (0, 1), net=stage(sweep={**GRID, "model.filters": [64, *GRID["model.filters"]]}))
    assert more["net/baseline"].training_options() == baseline.training_options()
    assert more["net/baseline"].deploy_options() == baseline.deploy_options()


def test_a_baseline_knows_what_its_task_asks_of_it(tmp_path):
    """Baselines of one task answer different questions, as the model of the stage says."""
    grappa = {"task": "grappa", "model": {"instance": "track"}}
    made = runs(tmp_path, net=stage(**grappa, sweep={"model.width": [16, 32], "model.min_size": [3, 5]}))
    fitted = {name: run for name, run in made.items() if run.is_baseline}
    assert list(fitted) == ["net/baseline-min_size=3", "net/baseline-min_size=5"]
    for run in fitted.values():
        assert run.training_options()["model"].keys() == {
            "instance", "nodes", "classes", "min_size", "heads", "graph"
        }  # fmt: skip
    assert fitted["net/baseline-min_size=5"].deploy_options()["model"]["min_size"] == 5


@pytest.mark.parametrize("name", ["segmentation", "full_chain"])
def test_what_a_baseline_is_told_makes_the_products_of_its_stage(name):
    """Fitted and deployed from its own options alone, it declares what the trained stage declares."""
    made = tasks.resolve(load_experiment(name, "demo"))
    planned = plan(made, load_dataset(made.dataset, "demo"), Layout())
    asked = {run.stage_name: tasks.of(run.stage) for run in planned}
    for run in (run for run in planned if run.is_baseline):
        for options in (run.training_options(), run.deploy_options()):
            told = tasks.build(run.stage.task, options)
            assert [schema.name for schema in told.makes] == [schema.name for schema in asked[run.stage_name].makes]


def test_a_baseline_for_each_way_of_reading_the_data(tmp_path):
    made = runs(tmp_path, net=stage(sweep={"data.charge": ["log", "linear"], "optimizer.lr": [0.1, 0.2]}))
    assert [name for name in made if "baseline" in name] == ["net/baseline-charge=log", "net/baseline-charge=linear"]
    run = made["net/seed0-charge=linear-lr=0.2"]
    assert run.baseline() == made["net/baseline-charge=linear"]
    assert run.baseline().training_options()["data"]["charge"] == "linear"


def test_a_baseline_for_each_prediction_that_is_read(tmp_path):
    read = {"net": {"predictions": ["semantics"]}}
    net = stage(sweep={"optimizer.lr": [0.1, 0.2]}, baseline=None)
    made = runs(tmp_path, (0, 1), net=net, late=reader(needs=read, follow=True, sweep={"model.reps": [1, 2]}))
    assert [name for name in made if "baseline" in name] == ["late/baseline-net.lr=0.1", "late/baseline-net.lr=0.2"]
    run = made["late/seed1-reps=2-net.lr=0.2"]
    assert run.baseline().source == "net.seed0-lr=0.2"
    weights = {"net": {"weights": "best"}}
    made = runs(tmp_path, net=net, late=stage(needs=weights, follow=True))
    assert [name for name in made if "baseline" in name] == ["late/baseline"]


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"optimizer.lrr": [1]}, r"optimizer\.lrr' \(did you mean 'lr'\?\)"),
        ({"optimiser.lr": [1]}, r"optimiser' \(did you mean 'optimizer'\?\)"),
        ({"model.fliters": [1]}, r"point fliters=1: unknown key 'model.fliters' \(did you mean 'filters'\?\)"),
        ({"optimizer.lr": [1e-3, -1]}, r"lr=-1\.optimizer\.lr: .* greater than 0, got -1"),
        ({"model.filters": [16, 0]}, r"point filters=0: model\.filters: .* greater than or equal to 1, got 0"),
        ({"optimizer.lr": 1e-3}, r"stages\.net: sweep\.optimizer\.lr: expected a list of values, got 0\.001"),
        ({"optimizer": {"lr": [1, 2]}}, r"sweep\.optimizer: expected a list of values"),
        ({"optimizer.lr": []}, r"sweep\.optimizer\.lr: expected a list of values"),
        ({"optimizer.lr": [1e-3, 0.001]}, "sweep: the point lr=0.001 is given twice"),
        ([{"optimizer.lr": 0.1}, {"optimizer.lr": 0.1}], "sweep: the point lr=0.1 is given twice"),
        ([{}, {"model.reps": 2}], "sweep: base and reps=2 are the same model"),
        ([{"model": {"reps": 1}, "model.reps": 2}], "a point gives a key twice"),
        ({"training.workers": [0, 2]}, "training.workers does not change the trained model"),
        ({"resources.threads": [1, 2]}, "resources does not change the trained model"),
        ({"resources": [{"threads": 1}]}, "resources does not change the trained model"),
        ({"evaluation.splits": [["test"], ["val"]]}, "evaluation does not change the trained model"),
        ({"baseline.iterations": [1, 2]}, "baseline does not change the trained model"),
        ({"task": ["segmentation"]}, "task decides which jobs there are: write a second stage"),
        ({"needs.net.seed": [0]}, "needs decides which jobs there are"),
        ({"sweep": [1]}, "cannot be swept itself"),
        ([{}], "there is no key to sweep"),
        ({}, "there is no key to sweep"),
        ([], r"expected \{key: \[values\]\} or a list of points"),
        ("optimizer.lr", r"expected \{key: \[values\]\} or a list of points"),
        ([1, 2], r"expected points \{key: value\}, got 1"),
    ],
)
def test_mistakes_are_one_line(tmp_path, sweep, message):
    with pytest.raises(ConfigError, match=message) as error:
        experiment(tmp_path, net=stage(sweep=sweep))
    assert "\n" not in str(error.value)


def test_points_are_not_given_by_hand(tmp_path):
    with pytest.raises(ConfigError, match="points: these follow from sweep"):
        experiment(tmp_path, net=stage(points={"x": stage()}))


def test_an_unknown_variant_lists_what_there_is(tmp_path):
    made = experiment(tmp_path, net=stage(sweep={"optimizer.lr": [0.1, 0.2]}))
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(DATASET))
    dataset = load_dataset(tmp_path / "d.yaml")
    with pytest.raises(ConfigError, match=r"no variant 'seed0'; it has: seed0-lr=0.1, seed0-lr=0.2, baseline"):
        run_of(made, dataset, Layout(), "net", "seed0")
    assert run_of(made, dataset, Layout(), "net").variant == "seed0-lr=0.1"


def test_an_override_of_what_is_swept_would_do_nothing(tmp_path):
    experiment(tmp_path, net=stage(sweep=GRID))
    path = tmp_path / "e.yaml"
    for assignment in ("stages.net.optimizer.lr=0.1", "stages.net.optimizer={lr: 0.1}"):
        with pytest.raises(ConfigError, match=r"optimizer\.lr is swept in stage 'net'.*stages\.net\.sweep=null"):
            load_experiment(path, overrides=[assignment])
    other = load_experiment(path, overrides=["stages.net.optimizer.weight_decay=0.1"])
    assert {point.optimizer.weight_decay for point in other.stages["net"].points.values()} == {0.1}
    plain = load_experiment(path, overrides=["stages.net.optimizer.lr=0.1", "stages.net.sweep=null"])
    assert plain.stages["net"].points == {}
