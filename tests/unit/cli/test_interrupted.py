"""What the command line says when a verb is stopped from outside, or meets what nobody foresaw."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import weft

# Whoever starts the tests in the background has Ctrl-C ignored, and children inherit that.
PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from weft.cli import main; main()"


def test_ctrl_c_is_answered_and_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "simulate", "lartpc", "--scale", "demo", "--split", "train"]
    process = subprocess.Popen(
        [*command, "--results", str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("*.partial")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "interrupted: no half-written file is left\n"
    assert not out
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_unforeseen_end_of_a_file_is_not_taken_for_a_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine() -> None:
        raise EOFError("of a pickle")

    monkeypatch.setattr("weft.doctor.examine", examine)
    with pytest.raises(RuntimeError, match="ended before its time") as caught:
        weft("doctor")
    assert isinstance(caught.value.__cause__, EOFError)
