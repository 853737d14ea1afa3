"""Which event a loader was reading when it failed: by an error, or by the death of its process."""

from __future__ import annotations

import mmap
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from torch.utils.data import get_worker_info

from weft.engine.corpus import TRUTH, Corpus
from weft.errors import WeftError

_PROCESSES = 1024
_at = np.frombuffer(mmap.mmap(-1, _PROCESSES * 24), np.int64).reshape(_PROCESSES, 3)
"""(process, micro-batch, event) of each loader process, in memory shared with it: the dead cannot tell."""

_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: (\w[\w ]*)|exited)")
_CAUGHT = re.compile(r"Caught \w+ in DataLoader worker process \d+\.")
_HINTS = {
    "Killed": "the system has most likely run out of memory: ask for fewer training.workers or more resources.mem_mb",
    "Bus error": "the shared memory of the machine (/dev/shm) is most likely full: ask for fewer training.workers",
    "Segmentation fault": "a library crashed; training.workers=0 shows where",
    "Aborted": "a library gave up; training.workers=0 shows where",
}


class EventFailed(WeftError):
    """An event could not be read or made into a sample."""


def event_name(corpus: Corpus, file: int, row: int) -> str:
    """``<file>, event <row> (run r, subrun s, event e)``."""
    return f"{file_name(corpus, file)}, event {row_name(corpus, file, row)}"


def file_name(corpus: Corpus, file: int) -> str:
    """The file that has the event's truth."""
    files = corpus.shards[file]
    return str(files.get(TRUTH) or next(iter(files.values())))


def row_name(corpus: Corpus, file: int, row: int) -> str:
    """``<row> (run r, subrun s, event e)``."""
    with suppress(Exception):  # it is in an error that this is said; a second one would hide the first
        ids = corpus.store(file).events[row]
        return f"{row} (run {ids['run']}, subrun {ids['subrun']}, event {ids['event']})"
    return str(row)


@contextmanager
def reading(corpus: Corpus, index: int, t: int) -> Iterator[None]:
    """Read event ``index`` for micro-batch ``t``: an error inside becomes an :class:`EventFailed` that names both."""
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
        raise EventFailed(f"micro-batch {t}, {event_name(corpus, *corpus.locate(index))}: {reason}") from error


def from_loader(error: Exception, corpus: Corpus) -> WeftError | None:
    """What a loader process has died of or raised, as one line; None if ``error`` is of another kind."""
    text = str(error)
    if isinstance(error, WeftError) and _CAUGHT.match(text):
        return WeftError(text.strip().splitlines()[-1].partition(": ")[2])
    found = _DEATH.search(text)
    if found is None:
        return None
    process, killed = int(found[1].split(",")[0]), (found[2] or "").strip()
    reading_it = ""
    for number, t, index in _at.tolist():
        if number == process:
            reading_it = f" while making micro-batch {t}, at {event_name(corpus, *corpus.locate(index))}"
    cause = f"was ended by a signal: {killed}" if killed else "ended without a word"
    hint = _HINTS.get(killed, "training.workers=0 shows why")
    return WeftError(f"training.workers: loader process {process} {cause}{reading_it}; {hint}")
