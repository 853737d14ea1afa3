"""Which event a loader was reading when it failed: by an error, or by the death of its process."""

from __future__ import annotations

import mmap
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from torch.utils.data import get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from weft.errors import WeftError
from weft.reco.feed import TRUTH, Events

_PROCESSES = 1024
_at = np.frombuffer(mmap.mmap(-1, _PROCESSES * 24), np.int64).reshape(_PROCESSES, 3)
"""(process, micro-batch, event) of each loader process, in memory shared with it: the dead cannot tell."""

_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? (\d+)[\d, ]*\) (?:is killed by signal|exited)")
_SIGNAL = re.compile(r"is killed by signal: (\w[\w ]*)")
_CAUGHT = re.compile(r"Caught \w+ in DataLoader worker process \d+\.")
_HINTS = {
    signal.SIGKILL: "most likely the system ran out of memory: ask for fewer training.workers or more resources.mem_mb",
    signal.SIGBUS: "the shared memory of the machine (/dev/shm) is most likely full: ask for fewer training.workers",
    signal.SIGSEGV: "a library crashed; training.workers=0 shows where",
    signal.SIGABRT: "a library gave up; training.workers=0 shows where",
}


class EventFailed(WeftError):
    """An event could not be read or made into a sample."""


def event_name(corpus: Events, file: int, row: int) -> str:
    """``<file>, event <row> (run r, subrun s, event e)``."""
    return f"{file_name(corpus, file)}, event {row_name(corpus, file, row)}"


def file_name(corpus: Events, file: int) -> str:
    """The file that has the event's truth."""
    files = corpus.shards[file]
    return str(files.get(TRUTH) or next(iter(files.values())))


def row_name(corpus: Events, file: int, row: int) -> str:
    """``<row> (run r, subrun s, event e)``."""
    with suppress(Exception):  # it is in an error that this is said; a second one would hide the first
        ids = corpus.store(file).events[row]
        return f"{row} (run {ids['run']}, subrun {ids['subrun']}, event {ids['event']})"
    return str(row)


@contextmanager
def reading(corpus: Events, index: int, purpose: str, t: int = -1) -> Iterator[None]:
    """Read event ``index``: an error inside becomes an :class:`EventFailed` that names it and the ``purpose``.

    t: the micro-batch that it is read for, told should the process die.
    """
    process = get_worker_info()
    if process is not None:
        _at[process.id % _PROCESSES] = os.getpid(), t, index
    try:
        yield
    except Exception as error:
        reason = str(error)
        if not isinstance(error, WeftError):
            traceback.print_exc()  # the log keeps where; the user gets one line
            place = traceback.extract_tb(sys.exc_info()[2])[-1]
            reason = f"{type(error).__name__}: {' '.join(reason.split())} ({place.filename}:{place.lineno})"
        raise EventFailed(f"{purpose}, {event_name(corpus, *corpus.locate(index))}: {reason}") from error


def from_loader(error: Exception, corpus: Events) -> WeftError | None:
    """What a loader process has died of or raised, as one line; None if ``error`` is of another kind."""
    text = str(error)
    if isinstance(error, WeftError) and _CAUGHT.match(text):
        return WeftError(text.strip().splitlines()[-1].partition(": ")[2])
    found = _DEATH.search(text)
    if found is None:
        return None
    process = int(found[1])
    killed = _signal(error, process)
    reading_it = ""
    for number, t, index in _at.tolist():
        if number == process:
            reading_it = f" while making micro-batch {t}, at {event_name(corpus, *corpus.locate(index))}"
    cause = f"was ended by {killed.name} ({signal.strsignal(killed)})" if killed else "ended without a word"
    hint = _HINTS.get(killed, "training.workers=0 shows why") if killed else "training.workers=0 shows why"
    return WeftError(f"training.workers: loader process {process} {cause}{reading_it}; {hint}")


def _signal(error: BaseException, process: int) -> signal.Signals | None:
    """The signal that ended a loader process: as its loader knows, which is among the frames that the error has gone
    through, else as torch says, which it does not always."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        loader = frame.f_locals.get("self")
        for worker in loader._workers if isinstance(loader, _MultiProcessingDataLoaderIter) else ():
            code = worker.exitcode
            if worker.pid == process and code is not None and code < 0:
                return signal.Signals(-code)
    said = _SIGNAL.search(" ".join(str(cause) for cause in _chain(error)))
    known = {signal.strsignal(number): number for number in signal.Signals}
    return known.get(said[1]) if said else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of: torch says the signal in one and the end of the process in another."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
