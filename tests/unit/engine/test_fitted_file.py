"""Files of fitted baselines: what comes back, which are refused and in what words, and those of earlier versions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import joblib
import numpy as np
import pytest

from weft.engine.fitted_file import read_fitted, read_pickled, write_fitted, write_pickled
from weft.errors import WeftError

CONTENT = {"version": 1, "chosen": {"shower": 2.5}, "classes": [0, 1], "name": "µ"}


def refusal(call: object, *args: object, **expected: object) -> str:
    with pytest.raises(WeftError) as caught:
        call(*args, **expected)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.ckpt"
    write_fitted(path, "toy", CONTENT)
    assert read_fitted(path, "toy", version=1) == CONTENT
    write_pickled(path, "toy", CONTENT, {"trees": np.arange(5)})
    header, content = read_pickled(path, "toy", version=1)
    assert header == CONTENT
    np.testing.assert_array_equal(content["trees"], np.arange(5))
    assert [file.name for file in path.parent.iterdir()] == ["model.ckpt"]


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """JSON over several lines and with the magic anywhere; a pickle behind sorted keys."""
    path = tmp_path / "model.ckpt"
    path.write_text(json.dumps({**CONTENT, "magic": "weft toy baseline"}, indent=1))
    assert read_fitted(path, "toy") == CONTENT
    pickled = io.BytesIO()
    joblib.dump((1, "two"), pickled)
    line = json.dumps({**CONTENT, "magic": "weft toy baseline"}, sort_keys=True).encode()
    path.write_bytes(line + b"\n" + pickled.getvalue())
    assert read_pickled(path, "toy") == (CONTENT, (1, "two"))


@pytest.mark.parametrize("read", [read_fitted, read_pickled])
def test_other_files_are_refused(read: object, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    assert refusal(read, path, "toy") == f"{path}: cannot be read (No such file or directory); fit the baseline first"
    assert "cannot be read (Is a directory)" in refusal(read, tmp_path, "toy")
    for foreign in (b"", b"{}", b"[1]\n", b"null", b"PK\x03\x04\xff\xfe", b'{"magic": "weft other baseline"}\n'):
        path.write_bytes(foreign)
        assert refusal(read, path, "toy").startswith(f"{path}: not a fitted toy baseline; `weft train` with ")


def test_what_is_not_as_expected_is_named_before_a_byte_of_the_pickle_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    write_fitted(path, "toy", CONTENT)
    assert refusal(read_fitted, path, "toy", version=2) == f"{path}: version is 1, expected 2; fit the baseline again"
    path.write_bytes(path.read_bytes() + b"not a pickle")
    assert "trees is None, expected 3; fit" in refusal(read_pickled, path, "toy", version=1, trees=3)
    assert "damaged or cut off" in refusal(read_pickled, path, "toy", version=1)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    write_fitted(path, "toy", CONTENT)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # all but the end of the line
        path.write_bytes(whole[:length])
        assert "not a fitted toy baseline" in refusal(read_fitted, path, "toy")
    write_pickled(path, "toy", CONTENT, [np.arange(3), {"a": "b"}])
    whole = path.read_bytes()
    line = whole.index(b"\n") + 1
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        expected = "damaged or cut off" if length >= line - 1 else "not a fitted toy baseline"
        assert expected in refusal(read_pickled, path, "toy")
