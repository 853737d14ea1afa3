from pathlib import Path

import pytest

from weft.config.loading import ConfigError, at_scale, merge, override, parse_yaml, read_yaml


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
        read_yaml(tmp_path / "x.yaml")
    assert "x.yaml: not valid YAML" in str(error.value)
    assert "\n" not in str(error.value)
    (tmp_path / "y.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_yaml(tmp_path / "y.yaml")


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
