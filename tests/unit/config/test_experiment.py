from pathlib import Path
from typing import Any

import pytest
import yaml

from weft.config import BASELINE, ConfigError, Layout, load_dataset, load_experiment, plan, run_of

DATASET = {
    "name": "events",
    "source": "simulation",
    "splits": {
        "train": {"events": 10, "shards": 3, "seed": 1},
        "val": {"events": 2, "seed": 2},
        "test": {"events": 4, "seed": 3},
        "test_short": {"like": "test", "simulation": {"physics": {"lifetime_ms": 2.0}}},
    },
}
EXPERIMENT = {
    "name": "chain",
    "dataset": "events",
    "seeds": [0, 7],
    "stages": {
        "second": {
            "task": "segmentation",
            "needs": {"first": {"predictions": ["semantics"], "weights": "best"}, "truth": ["clusters"]},
            "training": {"iterations": 5, "batch_size": 2},
        },
        "first": {"task": "segmentation", "training": {"epochs": 2, "batch_size": 2}, "baseline": None},
    },
}


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "e.yaml", EXPERIMENT), write(tmp_path / "d.yaml", DATASET)


def test_plan_orders_stages_and_names_every_file(files: tuple[Path, Path]) -> None:
    experiment, dataset = load_experiment(files[0]), load_dataset(files[1])
    runs = plan(experiment, dataset, Layout("out"))
    assert [(run.stage_name, run.variant) for run in runs] == [
        ("first", "seed0"),
        ("first", "seed7"),
        ("second", "seed0"),
        ("second", "seed7"),
        ("second", BASELINE),
    ]
    second = runs[3]
    assert second.source == "first.seed7"
    assert second.weights() == {"first": "out/chain/first/seed7/model.ckpt"}
    assert second.providers() == {"semantics": "first", "clusters": "truth"}
    assert second.inputs("train")["0001"] == {
        "truth": "out/data/events/train/0001.h5",
        "first": "out/chain/first/seed7/predictions/truth/train/0001.h5",
    }
    assert second.prediction("test", "0000") == "out/chain/second/seed7/predictions/first.seed7/test/0000.h5"
    assert second.score("curves") == "out/chain/second/seed7/scores/first.seed7/curves.parquet"
    assert runs[4].seed == 0
    assert runs[4].source == "first.seed0"


def test_a_pinned_seed(files: tuple[Path, Path], tmp_path: Path) -> None:
    experiment = load_experiment(files[0], overrides=["stages.second.needs.first.seed=7"])
    runs = plan(experiment, load_dataset(files[1]), Layout())
    assert [run.source for run in runs if run.stage_name == "second"] == ["first.seed7"] * 3


def test_a_need_is_taken_away_by_null(files: tuple[Path, Path]) -> None:
    experiment = load_experiment(files[0], overrides=["stages.second.needs.first=null"])
    assert list(experiment.stages["second"].needs) == ["truth"]


def test_options_that_do_not_change_the_result_are_not_in_it(files: tuple[Path, Path]) -> None:
    dataset = load_dataset(files[1])

    def options(*overrides: str) -> dict[str, Any]:
        return run_of(
            load_experiment(files[0], overrides=overrides), dataset, Layout(), "first", "seed0"
        ).training_options()

    assert options() == options("stages.first.training.workers=4", "stages.first.resources.threads=9")
    assert options() != options("stages.first.training.batch_size=4")
    assert options() != options("stages.first.model.filters=4")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.first.trainin.batch_size=2", r"unknown key 'stages.first.trainin' \(did you mean 'training'\?\)"),
        ("stages.first.training.batch_sise=2", r"unknown key .*batch_sise' \(did you mean 'batch_size'\?\)"),
        ("stages.frst.task=x", r"no stage 'frst' \(did you mean 'first'\?\)"),
        ("stages.second.needs.frist={weights: best}", r"no such stage \(did you mean 'first'\?\)"),
        ("stages.first.needs.second={weights: best}", "need each other in a circle"),
        ("stages.first.training.iterations=3", "give either iterations or epochs"),
        ("seeds=[1, 1]", "each seed once"),
        ("stages.first.optimizer.lr=fast", r"stages\.first\.optimizer\.lr: .*got 'fast'"),
        ("stages.first.training.precision=fp8", "'16-mixed' or 'auto-mixed', got 'fp8'"),
    ],
)
def test_mistakes_are_one_line_with_a_hint(files: tuple[Path, Path], override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_experiment(files[0], overrides=[override])
    assert "\n" not in str(error.value)


def test_stage_and_split_that_do_not_exist(files: tuple[Path, Path]) -> None:
    experiment, dataset = load_experiment(files[0]), load_dataset(files[1])
    with pytest.raises(ConfigError, match="no stage 'third'; it has: second, first"):
        run_of(experiment, dataset, Layout(), "third", "seed0")
    with pytest.raises(ConfigError, match="no variant 'seed1'; it has: seed0, seed7"):
        run_of(experiment, dataset, Layout(), "first", "seed1")
    bad = load_experiment(files[0], overrides=["stages.first.evaluation.splits=[tset]"])
    with pytest.raises(ConfigError, match="no split 'tset'; it has: train, val, test, test_short"):
        plan(bad, dataset, Layout())


def test_shards_cover_the_events_once(files: tuple[Path, Path]) -> None:
    dataset = load_dataset(files[1])
    assert [(s.id, s.start, s.stop) for s in dataset.shards("train")] == [
        ("0000", 0, 3),
        ("0001", 3, 6),
        ("0002", 6, 10),
    ]


def test_a_split_like_another(files: tuple[Path, Path]) -> None:
    dataset = load_dataset(files[1])
    assert dataset.source == "simulation"
    short, test = dataset.split("test_short"), dataset.split("test")
    assert (short.events, short.seed, short.shards) == (test.events, test.seed, test.shards)
    assert short.simulation == {"physics": {"lifetime_ms": 2.0}}
    assert test.simulation == {}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("splits.test.shards=9", "9 shards for 4 events"),
        ("splits.test_short.like=tset", "'tset' is not another split"),
        ("splits.test_short.like=test_short", "'test_short' is not another split"),
        ("splits.more={events: 3}", "events and seed are needed"),
        ("splits.test.evnts=3", r"did you mean 'events'\?"),
        ("source=simulatoin", r"did you mean 'simulation'\?"),
    ],
)
def test_mistakes_in_a_dataset(files: tuple[Path, Path], override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_dataset(files[1], overrides=(override,))


def file_dataset(tmp_path: Path, **keys: Any) -> Any:
    return load_dataset(write(tmp_path / "f.yaml", {"name": "own", "source": "files", **keys}))


def test_files_by_glob_and_by_fraction(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.root").touch()
    listed = file_dataset(tmp_path, splits={"train": {"files": [f"{tmp_path}/*.root"]}})
    assert [s.id for s in listed.shards("train")] == ["a", "b"]
    assert listed.keep("train") is None
    shared = file_dataset(
        tmp_path,
        files=[f"{tmp_path}/a.root"],
        splits={"train": {"fraction": 0.75}, "val": {"fraction": 0.125}, "test": {"fraction": 0.125}},
    )
    assert [shared.keep(name) for name in shared.splits] == [(0.0, 0.75), (0.75, 0.875), (0.875, 1.0)]
    assert [s.file for s in shared.shards("val")] == [f"{tmp_path}/a.root"]


def test_files_of_the_same_name_get_numbers(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.root").touch()
    listed = file_dataset(tmp_path, splits={"train": {"files": [f"{tmp_path}/*/a.root"]}})
    assert [s.id for s in listed.shards("train")] == ["a-0000", "a-0001"]
    twice = file_dataset(tmp_path, splits={"train": {"files": [f"{tmp_path}/*/a.root", f"{tmp_path}/x/a.root"]}})
    with pytest.raises(ConfigError, match=r"split 'train': .*/x/a\.root is listed twice"):
        twice.shards("train")


def test_a_manifest_gives_ranges(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file,start,stop\nbig.root,0,100\nbig.root,100,130\n")
    dataset = file_dataset(tmp_path, manifest=str(tmp_path / "m.csv"), splits={"train": {"fraction": 1.0}})
    assert [tuple(s) for s in dataset.shards("train")] == [
        ("big-00000000", "big.root", 0, 100),
        ("big-00000100", "big.root", 100, 130),
    ]


def test_files_of_the_same_name_in_a_manifest_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file,start,stop\nx/a.root,0,9\ny/a.root,0,9\nx/a.root,9,12\n")
    dataset = file_dataset(tmp_path, manifest=str(tmp_path / "m.csv"), splits={"train": {"fraction": 1.0}})
    assert [tuple(s) for s in dataset.shards("train")] == [
        ("a-0000-00000000", "x/a.root", 0, 9),
        ("a-0001-00000000", "y/a.root", 0, 9),
        ("a-0000-00000009", "x/a.root", 9, 12),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.root,0,9\na.root,0,9\n", r"m\.csv: a\.root: 0,9 and 0,9 overlap"),
        ("a.root,5,9\nb.root,0,9\na.root,0,6\n", r"m\.csv: a\.root: 0,6 and 5,9 overlap"),
        ("a.root,9,9\n", r"m\.csv: a\.root: 9,9: expected 0 <= start < stop"),
        ("a.root,-1,9\n", r"m\.csv: a\.root: -1,9: expected 0 <= start < stop"),
    ],
)
def test_a_manifest_that_reads_an_event_twice_or_none(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "m.csv").write_text("file,start,stop\n" + rows)
    dataset = file_dataset(tmp_path, manifest=str(tmp_path / "m.csv"), splits={"train": {"fraction": 1.0}})
    with pytest.raises(ConfigError, match=message):
        dataset.shards("train")


def test_products_may_be_left_out_in_a_dataset(tmp_path: Path) -> None:
    keys = {"files": ["a"], "splits": {"train": {"fraction": 1.0}}}
    dataset = file_dataset(tmp_path, products={"clusters": None, "charge": "sparse3d_reco"}, namespace="run2", **keys)
    assert dataset.products == {"clusters": None, "charge": "sparse3d_reco"}
    assert dataset.namespace == "run2"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"splits": {"train": {}}}, "give either files or fraction"),
        ({"files": ["a"], "splits": {"a": {"fraction": 0.8}, "b": {"fraction": 0.3}}}, "add up to 1.1"),
        ({"splits": {"a": {"fraction": 0.8}}}, "need either files or manifest"),
        ({"files": ["a"], "splits": {"a": {"files": ["b"]}}}, "these splits list their files"),
    ],
)
def test_mistakes_in_a_file_dataset(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        file_dataset(tmp_path, **keys)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    dataset = file_dataset(tmp_path, splits={"train": {"files": [f"{tmp_path}/none*.root"]}})
    with pytest.raises(ConfigError, match=r"split 'train': no file matches '.*none\*\.root'"):
        dataset.shards("train")
