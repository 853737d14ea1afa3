"""SPINE's configuration language: includes, overrides, removals, tags. Against SPINE itself: tests/peers."""

import pytest

from weft.config.dialects.spine_language import load_spine
from weft.config.loading import ConfigError


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        (path if path.suffix else path.with_suffix(".yaml")).write_text(text)
    return folder / "main.yaml"


def test_files_are_included_in_order_and_the_including_one_has_the_last_word(tmp_path):
    main = write(
        tmp_path,
        main="include: [base, more]\na: {y: 30}\n",
        base="a: {x: 1, y: 1}\nb: [1, 2]\n",
        more="include: deep__three\na: {x: 2}\n".replace("__", "/"),
        deep__three="a: {z: 3}\nc: 1\n",
    )
    assert load_spine(main) == {"a": {"x": 2, "y": 30, "z": 3}, "b": [1, 2], "c": 1}


def test_overrides_by_dotted_keys_lists_and_removals_at_the_end(tmp_path):
    main = write(
        tmp_path,
        main="""
include: base
override:
  io.loader.batch_size: 4
  io.files+: c.root
  io.files-: [a.root]
  io.loader.sampler: null
  post-: [flash]
remove: io.writer
""",
        base="""
io: {loader: {batch_size: 128, sampler: x}, files: [a.root, b.root], writer: {}}
post: {flash: 1, crt: 2}
""",
    )
    assert load_spine(main) == {
        "io": {"loader": {"batch_size": 4, "sampler": None}, "files": ["b.root", "c.root"]},
        "post": {"crt": 2},
    }


def test_an_override_waits_for_what_a_later_file_brings(tmp_path):
    main = write(tmp_path, main="include: [mod, base]\n", mod="override: {a.b.c: 5}\n", base="a: {b: {c: 1}}\n")
    assert load_spine(main) == {"a": {"b": {"c": 5}}}


def test_lists_without_repetition_where_the_file_says_so(tmp_path):
    main = write(tmp_path, main="__meta__: {list_append: unique}\na: [1]\noverride: {a+: [1, 2]}\n")
    assert load_spine(main) == {"a": [1, 2]}


def test_tags_and_environment_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", "/there")
    main = write(
        tmp_path,
        main="net: !include parts/net\nweights: !path w.ckpt\nfile: $DATA/train.root\n",
        parts__net="depth: 5\noverride: {depth: 6}\n",
    )
    (tmp_path / "w.ckpt").touch()
    assert load_spine(main) == {"net": {"depth": 6}, "weights": str(tmp_path / "w.ckpt"), "file": "/there/train.root"}


def test_included_files_are_looked_for_beside_and_in_the_search_path(tmp_path, monkeypatch):
    write(tmp_path, elsewhere__shared="a: 1\n")
    main = write(tmp_path, main="include: shared.yaml\n")
    with pytest.raises(ConfigError, match=rf"main.yaml: no file 'shared.yaml' in {tmp_path}; see SPINE_CONFIG_PATH"):
        load_spine(main)
    monkeypatch.setenv("SPINE_CONFIG_PATH", str(tmp_path / "elsewhere"))
    assert load_spine(main) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !download https://example.com/x.ckpt", "line 1: !download: only `weft fetch` uses the network"),
        ("a: {b: 1}\noverride: {a.c.d: 1}", r"override or remove 'a.c.d': no key 'c'"),
        ("modules: {x: 1}\noverride: {moduls.y: 1}", r"no key 'moduls' \(did you mean 'modules'\?\)"),
        ("a: 1\nremove: b", "'b' cannot be removed: no such key"),
        ("a: 1\noverride: {a+: 2}", r"override 'a\+': expected a list to append to, got 1"),
        ("a: 1\noverride: [b]", "override: expected a mapping of dotted keys to values"),
        ("include: {a: 1}", "include: expected a text or a list of texts"),
        ("include: main", "files include each other in a circle"),
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("a: [1", "not valid YAML"),
        ("- 1", "expected a mapping of keys to values"),
    ],
)
def test_mistakes_are_named(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as error:
        load_spine(write(tmp_path, main=text))
    assert str(tmp_path / "main.yaml") in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"none.cfg: no such file"):
        load_spine(tmp_path / "none.cfg")
