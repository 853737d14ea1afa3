"""SIGINT and SIGTERM: a request to stop at the end of the step, and a second one to stop at once.

Before a training and after it, when there is nothing to save, the first one is enough.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from weft.engine.logs import Interrupted

_ONE_REQUEST = 5.0
"""s; signals this close are one request: a terminal, Slurm and Snakemake each pass it on"""
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopAtOnce(BaseException):
    """A request to stop that is not to wait.

    No ``Exception``, so that nothing on the way takes it for an error that it can mend.
    """


class StopRequest:
    """``asked`` is the name of the signal that came, if one did.

    As a context manager it takes signals from the beginning, before the first step too, and in the end puts back the
    handlers that were there before, in place of Lightning's too.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._when = 0.0

    def listen(self) -> None:
        """Take the signals over, also from Lightning, which would raise in the middle of its loop."""
        for number in _NUMBERS:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        name, now = signal.Signals(number).name, time.monotonic()
        if self.asked is None:
            self.asked, self._when = name, now
        elif now - self._when > _ONE_REQUEST:
            raise StopAtOnce(name)

    def __enter__(self) -> StopRequest:
        self._signals = signals_to(self._hear)
        self._signals.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._signals.__exit__(*error)


@contextmanager
def signals_to(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have a handler called on SIGINT and SIGTERM; in another than the main thread, which hears none, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def left_at_once() -> Iterator[None]:
    """Raise :class:`weft.engine.logs.Interrupted` at a signal, unless something inside takes the signals over."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise StopAtOnce(signal.Signals(number).name)

    try:
        with signals_to(leave):
            yield
    except StopAtOnce as name:
        raise Interrupted(f"{name}: left at once, there was nothing to save; run again") from None
