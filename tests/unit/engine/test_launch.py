"""Ranks as processes of their own: what they are told, and what of their end is told on."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import SlowToy, write_shard

from weft.config.experiment import Resources
from weft.engine.fit import fit
from weft.engine.launch import _Rank, _Ranks
from weft.engine.logs import AGAIN, Interrupted
from weft.engine.model_file import read_model
from weft.errors import WeftError


class Ended:
    """A process that is over."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode

    def poll(self) -> int:
        return self.returncode


def ranks(*ends: int | tuple[str, str], asked: str | None = None) -> _Ranks:
    """``ends``: exit codes, or what a rank reported before it left."""
    pipe: Any = None
    made = [
        _Rank(Ended(end), pipe) if isinstance(end, int) else _Rank(Ended(1), pipe, end)  # type: ignore[arg-type]
        for end in ends
    ]
    return _Ranks(made, asked)


def test_what_went_wrong_is_told_once_and_by_its_cause() -> None:
    ranks(0, 0).conclude()
    lost = ("unforeseen", "Traceback: Connection closed by peer")
    with pytest.raises(WeftError, match=r"^the loss is not finite$"):
        ranks(lost, ("error", "the loss is not finite")).conclude()
    with pytest.raises(WeftError, match="rank 1 of 2 was ended by SIGKILL: the machine may be out of memory"):
        ranks(lost, -signal.SIGKILL).conclude()
    with pytest.raises(WeftError, match="rank 0 of 2 was ended by exit code 3"):
        ranks(3, 0).conclude()
    left = ranks(-signal.SIGTERM, lost)  # the first one would have waited for the second for ever
    left.ranks[0].told = True
    with pytest.raises(WeftError, match="its traceback is above"):
        left.conclude()
    with pytest.raises(WeftError, match="its traceback is above"):
        ranks(lost, lost).conclude()
    stopped = ("interrupted", "SIGTERM: stopped after step 3 of 9")
    with pytest.raises(Interrupted, match="stopped after step 3 of 9"):
        ranks(stopped, stopped, asked="SIGTERM").conclude()
    with pytest.raises(Interrupted, match="SIGTERM: left before anything more was saved"):
        ranks(-signal.SIGTERM, -signal.SIGTERM, asked="SIGTERM").conclude()


@pytest.fixture
def told_in_slow_motion(make_stage: Any, tmp_path: Path) -> Any:
    """A program that trains with two ranks of its own, as soon as they have begun; and how to run it to the end."""
    shards = [{"truth": write_shard(tmp_path / "0.h5", 1, [30, 0, 40, 50, 20])}]
    stage = make_stage(iterations=40, batch_size=3, validate_every=50).model_copy(
        update={"resources": Resources(processes=2)}
    )

    def program(seconds: float) -> None:
        mark = tmp_path / "begun"
        try:
            output = tmp_path / "out"
            fit(SlowToy(mark, seconds), stage, 0, shards, shards, output, output / "work", {}, threads=1)
        except Interrupted as error:
            (tmp_path / "said").write_text(str(error))
            os._exit(AGAIN)
        os._exit(0)

    return program


def run(program: Any, seconds: float) -> Any:
    process = multiprocessing.get_context("fork").Process(target=program, args=[seconds])
    process.start()
    return process


def wait_for(path: Path, process: Any) -> None:
    while not path.exists():
        assert process.is_alive()
        time.sleep(0.02)


@pytest.mark.slow
def test_sigterm_to_the_program_stops_all_ranks_which_go_on_later(told_in_slow_motion: Any, tmp_path: Path) -> None:
    process = run(told_in_slow_motion, 0.1)
    wait_for(tmp_path / "begun", process)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == AGAIN
    assert "SIGTERM: stopped after step" in (tmp_path / "said").read_text()
    assert not (tmp_path / "out" / "model.ckpt").exists()
    process = run(told_in_slow_motion, 0.0)
    process.join()
    assert process.exitcode == 0
    assert read_model(tmp_path / "out" / "model.ckpt").provenance["best_step"] == 40


@pytest.mark.slow
def test_ranks_do_not_outlive_the_program(told_in_slow_motion: Any, tmp_path: Path) -> None:
    process = run(told_in_slow_motion, 0.1)
    wait_for(tmp_path / "begun", process)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    process.kill()
    process.join()
    for child in map(int, children.stdout.split()):
        while Path(f"/proc/{child}/status").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
            time.sleep(0.1)
    saved = next((tmp_path / "out" / "work").glob("*/last.ckpt"))
    assert 0 < torch.load(saved, weights_only=True)["global_step"] < 40


@pytest.mark.slow
def test_torchrun_is_the_same_program(make_stage: Any, tmp_path: Path) -> None:
    write_shard(tmp_path / "0.h5", 1, [30, 0, 40, 50, 20])
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from toy_task import Toy, ToyOptions\n"
        "from weft.config import Stage\n"
        "from weft.engine.fit import fit\n"
        "folder = Path(sys.argv[1])\n"
        "training = {'iterations': 4, 'batch_size': 3, 'workers': 0}\n"
        "stage = Stage.model_validate({'task': 'toy', 'training': training})\n"
        "shards = [{'truth': folder / '0.h5'}]\n"
        "fit(Toy(ToyOptions()), stage, 0, shards, shards, folder / 'out', folder / 'out/work', {}, threads=1)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([*command, str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("val step 4") == 1
    assert read_model(tmp_path / "out" / "model.ckpt").provenance["best_step"] == 4
