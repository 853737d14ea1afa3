"""SPINE's configuration language against SPINE's own reader (`pip install spine`)."""

import warnings

import pytest

from weft.config.dialects.spine_language import load_spine

spine_config = pytest.importorskip("spine.config", reason="SPINE is not installed: pip install spine")

pytestmark = pytest.mark.peer

CASES = {
    "included files and own keys": {
        "main": "include: [base, more.yaml]\na: {y: 30}\nd: {e: [1]}\n",
        "base": "__meta__: {version: '240719'}\na: {x: 1, y: 1}\nd: {e: [1, 2], f: 2}\n",
        "more": "a: {x: {w: 2}}\n",
    },
    "overrides after own keys": {
        "main": "include: base\na: {x: 5}\noverride: {a.x: 6, a.l+: [9, 1], b.m-: [2], a.new: {q: 1}}\n",
        "base": "a: {x: 1, l: [1]}\nb: {m: [1, 2, 2, 3]}\n",
    },
    "removals after overrides": {
        "main": "a: {x: 1, y: 2}\nb: {c: 3}\noverride: {a.x: 7, b.c: null}\nremove: [a.x]\n",
    },
    "keys of a mapping removed": {"main": "a: {x: 1, y: 2, z: 3}\noverride: {a-: [x, z]}\n"},
    "overrides of an included file": {
        "main": "include: [base, mod]\n",
        "base": "a: {x: 1}\n",
        "mod": "__meta__: {kind: mod}\noverride: {a.x: 2}\n",
    },
    "an override before its target": {
        "main": "include: [mod, base]\n",
        "mod": "__meta__: {kind: mod}\noverride: {a.x: 2}\n",
        "base": "a: {x: 1, y: 1}\n",
    },
    "an override before a second one of the same key": {
        "main": "include: [mod, base, last]\n",
        "mod": "override: {a.x: 2}\n",
        "base": "a: {x: 1}\n",
        "last": "override: {a.x: 3}\n",
    },
    "unique lists": {"main": "__meta__: {list_append: unique}\na: {l: [1]}\noverride: {a.l+: [1, 2]}\n"},
    "inline": {"main": "a: !include base\nb: 1\n", "base": "x: 1\ny: [1]\noverride: {x: 4, y+: 2}\n"},
    "environment": {"main": "a: $HOME/x\nb: [$HOME]\n"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_configuration_is_read(case, tmp_path):
    for name, text in CASES[case].items():
        (tmp_path / f"{name}.yaml").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = spine_config.load_config_file(str(tmp_path / "main.yaml"))
    assert load_spine(tmp_path / "main.yaml") == expected
