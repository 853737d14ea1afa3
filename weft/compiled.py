"""Compiled kernels of array code, cached on disk so that only the first run on a machine waits for the compiler."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

#: Rooms that have kernels; one may call those of rooms before it.
_ROOMS = ("metrics", "detector", "meshes", "simulation", "triplets", "sparse", "graph", "reco", "tasks")

#: Numba's settings; its type stubs do not list them.
_config: Any = numba.config


def kernel(function: F, **options: Any) -> F:
    """`function` compiled by numba on first call, and kept in the user's cache directory.

    Numba notices a change in the file of a kernel, not in the files of the kernels that it calls: a stale mixture
    could run unseen. So the cache directory is named by a hash of the sources of the kernel's room and of those whose
    kernels it may call. It is outside the package, which may be installed read-only; where no directory can be
    written, nothing is cached.

    A signal that comes while a kernel is compiled or loaded waits until that is done (:func:`_signals_held`).

    options: further ones of ``numba.njit``.
    """
    directory = _cache_directory(_room(function.__module__))
    if directory is None:
        return cast(F, _undisturbed(numba.njit(nogil=True, **options)(function)))
    before = _config.CACHE_DIR
    _config.CACHE_DIR = directory
    try:
        return cast(F, _undisturbed(numba.njit(cache=True, nogil=True, **options)(function)))
    finally:
        _config.CACHE_DIR = before


def _undisturbed(dispatcher: Any) -> Any:
    """A kernel whose compiling, for whatever types and from whichever kernel it is called, no signal interrupts."""
    compile_ = dispatcher.compile

    @wraps(compile_)
    def held(signature: Any) -> Any:
        with _signals_held():
            return compile_(signature)

    dispatcher.compile = held
    return dispatcher


@contextmanager
def _signals_held() -> Iterator[None]:
    """Call the Python handlers of signals that come meanwhile at the end, in the order in which they came.

    LLVM hands its machine code over in a callback. A signal that comes while it works is heard there, and what its
    handler raises, such as KeyboardInterrupt, is lost with the code: numba then fails with "no compiled object yet".
    """
    if threading.current_thread() is not threading.main_thread():  # where no handler is called
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    left = [(number, handler) for number, handler in handlers.items() if callable(handler)]
    first: BaseException | None = None
    try:
        for number, _ in left:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        # What a handler raises that is back already, or is called then, does not keep the others from being so.
        while left:
            try:
                signal.signal(*left[-1])
                left.pop()
            except BaseException as error:
                first = first or error
        for one in came:
            try:
                signal.raise_signal(one)
            except BaseException as error:
                first = first or error
        if first is not None:
            raise first


def _room(module: str) -> str:
    """The room of a module of the library; the last one, which sees all others, for modules of anybody else."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return room if package == "weft" and room in _ROOMS else _ROOMS[-1]


@cache
def _cache_directory(room: str = _ROOMS[-1]) -> str | None:
    root = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weft"
    )
    path = os.path.join(root, f"kernels-{_digest(room)}")
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError:
        return None


def _digest(room: str) -> str:
    """Of every Python source of a room and of those before it."""
    package = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for name in _ROOMS[: _ROOMS.index(room) + 1]:
        for source in sorted((package / name).rglob("*.py")):
            digest.update(str(source.relative_to(package)).encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]
