from pathlib import Path

import pytest

from weft.config import load_dataset, load_experiment
from weft.config.loading import ConfigError, at_scale, find, merge, override, parse_yaml, read_mapping


def test_numbers_and_repeated_keys() -> None:
    assert parse_yaml("{a: 1e-3, b: 3E+2, c: 1.5e3, d: 0x10, e: e5}") == {
        "a": 1e-3,
        "b": 300.0,
        "c": 1500.0,
        "d": 16,
        "e": "e5",
    }
    with pytest.raises(ConfigError, match="'a' is given twice"):
        parse_yaml("a: 1\na: 2")


def test_broken_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: [1, 2\nb: 3")
    with pytest.raises(ConfigError) as error:
        read_mapping(tmp_path / "x.yaml")
    assert "x.yaml: not valid YAML" in str(error.value)
    assert "\n" not in str(error.value)
    (tmp_path / "y.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_mapping(tmp_path / "y.yaml")


YAML = """
name: study
dataset: events
seeds: [0, 1]
stages:
  first:
    task: segmentation
    needs: {truth: [voxels]}
    optimizer: {name: SGD, lr: 3e-3, options: {momentum: 0.9, nesterov: true}}
    training: {epochs: 2, batch_size: 4}
scales:
  tiny: {stages: {first: {training: {epochs: 1}}}}
"""
TOML = """
name = "study"
dataset = "events"
seeds = [0, 1]

[stages.first]
task = "segmentation"
needs.truth = ["voxels"]
optimizer = {name = "SGD", lr = 3e-3, options = {momentum = 0.9, nesterov = true}}
training = {epochs = 2, batch_size = 4}

[scales.tiny.stages.first]
training.epochs = 1
"""
JSON = """{
  "name": "study", "dataset": "events", "seeds": [0, 1],
  "stages": {"first": {
    "task": "segmentation",
    "needs": {"truth": ["voxels"]},
    "optimizer": {"name": "SGD", "lr": 3e-3, "options": {"momentum": 0.9, "nesterov": true}},
    "training": {"epochs": 2, "batch_size": 4}}},
  "scales": {"tiny": {"stages": {"first": {"training": {"epochs": 1}}}}}
}"""
TEXTS = {".yaml": YAML, ".yml": YAML, ".toml": TOML, ".json": JSON}


def test_one_experiment_in_three_formats(tmp_path: Path) -> None:
    read = []
    for suffix, text in TEXTS.items():
        path = tmp_path / f"study{suffix}"
        path.write_text(text)
        read.append(load_experiment(path, "tiny", ["stages.first.optimizer.lr=1e-2"]))
    assert read[0].stages["first"].training.epochs == 1
    assert read[0].stages["first"].optimizer.lr == 1e-2
    assert all(experiment == read[0] for experiment in read[1:])


def test_a_dataset_in_toml(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text("{name: few, source: files, splits: {test: {files: [a.h5]}}}")
    (tmp_path / "few.toml").write_text('name = "few"\nsource = "files"\nsplits.test.files = ["a.h5"]\n')
    assert load_dataset(tmp_path / "few.yaml") == load_dataset(tmp_path / "few.toml")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.toml", "a = 1\na = 2", "x.toml: not valid TOML: Cannot overwrite a value"),
        ("x.toml", "a = [1,", "x.toml: not valid TOML"),
        ("x.json", '{"b": {"a": 1, "c": 2, "a": 3}}', "x.json: key 'a' is given twice"),
        ("x.json", '{"a": 1,\n}', "x.json: not valid JSON"),
        ("x.json", "[1]", "x.json: expected a mapping"),
        ("x.yaml", "{a: 1, b: {c: 1, c: 2}}", "x.yaml: key 'c' is given twice"),
        ("x.ini", "a = 1", "x.ini: expected a file that ends in .yaml, .yml, .toml, .json"),
        ("x.json", "\udcff", "x.json: expected text in UTF-8"),
    ],
)
def test_mistakes_name_the_file_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError) as error:
        read_mapping(tmp_path / name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_is_looked_up_with_every_suffix(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.toml", "three.json", "three.yml", "notes.txt"):
        (tmp_path / name).touch()
    assert find("experiment", "two", tmp_path) == tmp_path / "two.toml"
    assert find("experiment", "elsewhere/own.json", tmp_path) == Path("elsewhere/own.json")
    with pytest.raises(ConfigError, match=r"'three' could be .*three\.yml or .*three\.json; name the file"):
        find("experiment", "three", tmp_path)
    with pytest.raises(ConfigError, match=r"unknown experiment 'tow' \(did you mean 'two'\?\); .* one, three, two"):
        find("experiment", "tow", tmp_path)
    with pytest.raises(ConfigError, match=r"unknown experiment 'notes'.* has: one, three, two$"):
        find("experiment", "notes", tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_mapping(tmp_path / "folder.yaml")


def test_merge_goes_down_mappings_only() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 2}
    assert merge(base, {"a": {"y": [3]}, "c": 4}) == {"a": {"x": 1, "y": [3]}, "b": 2, "c": 4}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 2}


def test_scales() -> None:
    document = {"a": 1, "scales": {"tiny": {"a": 2}, "demo": None}}
    assert at_scale(document, "tiny", "f") == ({"a": 2}, "tiny")
    assert at_scale(document, "demo", "f") == ({"a": 1}, "demo")
    assert at_scale({"a": 1}, "tiny", "f") == ({"a": 1}, None)
    with pytest.raises(ConfigError, match="unknown scale 'dmo' \\(did you mean 'demo'\\?\\); it has: tiny, demo"):
        at_scale(document, "dmo", "f")
    with pytest.raises(ConfigError, match="choose a scale"):
        at_scale(document, None, "f")


def test_overrides_are_yaml_at_a_path() -> None:
    assert override({"a": {"b": 1, "c": 2}}, ["a.b=[1, x]", "d=null"]) == {"a": {"b": [1, "x"], "c": 2}, "d": None}
    with pytest.raises(ConfigError, match=r"expected key\.path=value"):
        override({}, ["a.b"])
