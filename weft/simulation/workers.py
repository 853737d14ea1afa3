"""What files of events and folders of stacks have in common: the numbers that are possible, and several processes."""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from weft.errors import WeftError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Of everything that is simulated; the subrun is the seed.
RUN = 1


class SimulationError(WeftError):
    """Numbers of events, seeds or processes that make no sense."""


def require_possible(seed: int, first: int, count: int, processes: int) -> None:
    """Raise SimulationError for an impossible number."""
    if count < 1 or first < 0:
        raise SimulationError(f"simulate: first {first} and count {count}: expected first >= 0 and count >= 1")
    if not 0 <= seed < 2**32:
        raise SimulationError(f"simulate: seed {seed}: expected 0 <= seed < 2**32")
    if processes < 1:
        raise SimulationError(f"simulate: processes {processes}: expected at least 1")


def in_order(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Generator[Result]:
    """What `work` makes of each item, in their order; processes are at most two items each ahead of what is taken.

    To be closed (`contextlib.closing`), so that no process goes on where the caller stops.
    """
    if processes == 1 or len(items) == 1:
        yield from map(work, items)
        return
    # A forked worker does not import the caller's main module again, which a workflow's script must not.
    context = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else "spawn")
    with ProcessPoolExecutor(min(processes, len(items)), context) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > 2 * processes:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BaseException:
            # Who is told to stop does not wait for what has not begun.
            pool.shutdown(cancel_futures=True)
            raise
