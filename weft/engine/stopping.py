"""SIGINT and SIGTERM: a request to stop at the end of the step, and a second one to stop at once."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType

_ONE_REQUEST = 5.0
"""s; signals this close are one request: a terminal, Slurm and Snakemake each pass it on"""
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopAtOnce(BaseException):
    """The second request. No ``Exception``, so that nothing on the way takes it for an error that it can mend."""


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
        self._before = {number: signal.getsignal(number) for number in _NUMBERS}
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
