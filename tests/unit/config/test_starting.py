from pathlib import Path
from typing import Any

import pytest
import yaml

from weft.config import ConfigError, Experiment, Layout, Stage, load_dataset, load_experiment, plan
from weft.config.starting import Init

TRAINING = {"iterations": 5, "batch_size": 2}
DATASET = {
    "name": "events",
    "source": "simulation",
    "splits": {name: {"events": 2, "seed": seed} for seed, name in enumerate(("train", "val", "test"))},
}


def experiment(folder: Path, *overrides: str, **second: Any) -> Experiment:
    document = {
        "name": "chain",
        "dataset": "events",
        "seeds": [0, 7],
        "stages": {
            "second": {"task": "segmentation", "training": TRAINING} | second,
            "first": {"task": "segmentation", "training": TRAINING, "baseline": None},
        },
    }
    path = folder / "e.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_experiment(path, overrides=overrides)


def weights(folder: Path, loaded: Experiment, variant: str) -> dict[str, str]:
    (folder / "d.yaml").write_text(yaml.safe_dump(DATASET))
    runs = plan(loaded, load_dataset(folder / "d.yaml"), Layout("out"))
    (run,) = (run for run in runs if (run.stage_name, run.variant) == ("second", variant))
    return run.weights()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("first", {"all": Init(source="first")}),
        ({"from": "a.ckpt", "except": ["head"]}, {"all": Init(source="a.ckpt", exclude=("head",))}),
        ({"trunk": "first"}, {"trunk": Init(source="first")}),
        ({"trunk": {"from": "x/a.pt", "part": "all"}}, {"trunk": Init(source="x/a.pt", part="all")}),
    ],
)
def test_short_forms_and_back_from_plain_data(given: Any, meant: dict[str, Init]) -> None:
    stage = Stage.model_validate({"task": "toy", "training": TRAINING, "init": given})
    assert stage.init == meant
    assert Stage.model_validate(stage.model_dump(mode="json")) == stage


def test_a_stage_waits_for_what_it_starts_from(tmp_path: Path) -> None:
    loaded = experiment(tmp_path, init={"trunk": "first", "head": "pre/trained.ckpt"})
    assert list(loaded.order()) == ["first", "second"]
    assert loaded.stages["second"].inputs == []
    assert weights(tmp_path, loaded, "seed7") == {
        "first": "out/chain/first/seed7/model.ckpt",
        "pre/trained.ckpt": "pre/trained.ckpt",
    }
    assert weights(tmp_path, loaded, "baseline") == {}


def test_needs_pin_the_seed_and_alone_mean_the_whole_network(tmp_path: Path) -> None:
    pinned = experiment(tmp_path, init={"trunk": "first"}, needs={"first": {"seed": 7}})
    assert weights(tmp_path, pinned, "seed0") == {"first": "out/chain/first/seed7/model.ckpt"}
    alone = experiment(tmp_path, needs={"first": {"weights": "best"}})
    assert alone.stages["second"].starts == {"all": Init(source="first")}
    # Where init names the stage, init says what of it is taken.
    both = experiment(tmp_path, needs={"first": {"weights": "best"}}, init={"trunk": "first"})
    assert both.stages["second"].starts == {"trunk": Init(source="first")}


def test_init_and_freeze_are_part_of_what_a_model_depends_on(tmp_path: Path) -> None:
    options = experiment(tmp_path, init={"trunk": "first"}, freeze=["trunk.*"]).stages["second"].training_options()
    assert options["init"] == {"trunk": {"from": "first", "part": None, "except": []}}
    assert options["freeze"] == ["trunk.*"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"init": "frist"}, r"stages\.second\.init: 'frist': no such stage \(did you mean 'first'\?\)"),
        ({"init": {"trunk": {"from": "first", "parts": "x"}}}, r"unknown key 'stages\.second\.init\.trunk\.parts'"),
        ({"init": {"trunk": {"part": "x"}}}, r"stages\.second\.init\.trunk\.from: field required"),
        (
            {"init": "a.ckpt", "needs": {"first": {"weights": "best"}}},
            r"stages\.second: several weights for the whole network \(first, a\.ckpt\): init says which module",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(tmp_path, **keys)
