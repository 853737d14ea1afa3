"""One training as several processes of this machine, without ``torchrun``: ranks started, signals and errors passed on.

The ranks are fresh interpreters that get the call to make through a pipe, so the program that asked, a Snakemake script
or a notebook, is not run again. They end when it does, saving what they have done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, ParamSpec

from weft.engine.distributed import launched, ranks_joined
from weft.engine.logs import Interrupted
from weft.engine.stopping import left_at_once, signals_to
from weft.errors import WeftError

P = ParamSpec("P")

_GRACE = 15.0
"""s; after a rank has ended without success the others may take so long, then are told to end, then are killed"""


def over_ranks(train: Callable[P, None]) -> Callable[P, None]:
    """Make a function with an argument ``stage`` one that as many ranks call as ``stage.resources`` asks for.

    In a process that is a rank already, as under ``torchrun``, it meets the others and is called. All arguments must
    pickle. Raises WeftError, with what went wrong in a rank.
    """

    @wraps(train)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        resources = signature(train).bind(*args, **kwargs).arguments["stage"].resources
        if resources.ranks > 1 and not launched():
            _launch(called, args, kwargs, resources.ranks)
        else:
            with left_at_once(), ranks_joined(resources):
                train(*args, **kwargs)

    return called


@dataclass
class _Rank:
    process: subprocess.Popen[bytes]
    pipe: Connection
    outcome: tuple[str, str] | None = None
    """(kind, text) of what it raised; kind is ``interrupted``, ``error`` or ``unforeseen``"""
    told: bool = False
    """to end, after another rank had failed"""

    def listen(self) -> None:
        with suppress(EOFError, OSError):
            while self.pipe.poll():
                self.outcome = self.pipe.recv()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def failed(self) -> bool:
        return self.outcome is not None or self.process.poll() not in (None, 0)


@dataclass
class _Ranks:
    ranks: list[_Rank] = field(default_factory=list)
    asked: str | None = None
    """name of the signal that was passed on"""

    def pass_on(self, number: int, frame: FrameType | None = None) -> None:
        self.asked = signal.Signals(number).name
        for one in self.ranks:
            if one.running:
                one.process.send_signal(number)

    def wait(self) -> None:
        """Until all have ended; a rank that is left waiting for one that is gone is told to end too."""
        since: float | None = None
        while any(one.running for one in self.ranks):
            time.sleep(0.05)
            for one in self.ranks:
                one.listen()
            if since is None and any(one.failed for one in self.ranks):
                since = time.monotonic()
            waited = 0.0 if since is None else time.monotonic() - since
            for one in self.ranks:
                if one.running and waited > 2 * _GRACE:
                    one.process.kill()
                elif one.running and waited > _GRACE and not one.told:
                    one.process.terminate()
                    one.told = True
        for one in self.ranks:
            one.listen()

    def conclude(self) -> None:
        """Raise what explains best why it did not end well: of several ranks most fail because one did."""
        texts: dict[str, str] = {}
        for one in self.ranks:
            if one.outcome is not None:
                texts.setdefault(*one.outcome)
        codes = [one.process.returncode for one in self.ranks]
        if "error" in texts:
            raise WeftError(texts["error"])
        if self.asked and ("interrupted" in texts or any(codes)):
            text = f"{self.asked}: left before anything more was saved; run again to go on from the last checkpoint"
            raise Interrupted(texts.get("interrupted", text))
        for number, (one, code) in enumerate(zip(self.ranks, codes, strict=True)):
            if code and one.outcome is None and not one.told:
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                hint = ": the machine may be out of memory" if code == -signal.SIGKILL else ""
                raise WeftError(f"rank {number} of {len(codes)} was ended by {how}{hint}; run again to go on")
        if "unforeseen" in texts:
            print(texts["unforeseen"], file=sys.stderr, flush=True)
            raise WeftError("a rank failed; its traceback is above")
        if "interrupted" in texts:
            raise Interrupted(texts["interrupted"])


def _launch(function: Callable[..., None], args: Sequence[Any], kwargs: dict[str, Any], world: int) -> None:
    import torch.distributed as dist

    # The ranks meet at a store of this process, on a port that the system gives: one that is free until then is no
    # promise.
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    ranks = _Ranks()
    with signals_to(ranks.pass_on):
        for number in range(world):
            ranks.ranks.append(_start(number, world, store.port))
        for one in ranks.ranks:
            with suppress(BrokenPipeError):  # it has ended already, which wait() sees
                one.pipe.send((function, args, kwargs))
        ranks.wait()
    ranks.conclude()


def _start(number: int, world: int, port: int) -> _Rank:
    ours, theirs = Pipe()
    place = {
        "RANK": number,
        "LOCAL_RANK": number,
        "WORLD_SIZE": world,
        "LOCAL_WORLD_SIZE": world,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        # As torchrun tells its processes that the store is not theirs to open.
        "TORCHELASTIC_USE_AGENT_STORE": True,
        "TORCHELASTIC_RESTART_COUNT": 0,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {name: str(value) for name, value in place.items()}
    command = [sys.executable, "-m", "weft.engine.launch", str(theirs.fileno())]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    theirs.close()
    return _Rank(process, ours)


def _be_a_rank(descriptor: int) -> int:
    pipe = Connection(descriptor)
    function, args, kwargs = pipe.recv()
    threading.Thread(target=_end_with_parent, args=[pipe], daemon=True).start()
    try:
        function(*args, **kwargs)
    except Interrupted as error:
        outcome = "interrupted", str(error)
    except WeftError as error:
        outcome = "error", str(error)
    except Exception:
        outcome = "unforeseen", traceback.format_exc()
    else:
        return 0
    with suppress(OSError):
        pipe.send(outcome)
    return 1


def _end_with_parent(pipe: Connection) -> None:
    """When nobody holds the other end of the pipe any more, stop as at SIGTERM: at the end of the step, and save."""
    with suppress(EOFError, OSError):
        pipe.recv()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_be_a_rank(int(sys.argv[1])))
