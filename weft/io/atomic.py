"""Files that exist whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on a clean exit it is synced to disk and renamed to `target`.

    On an exception nothing is left. So it is on SIGTERM, which batch systems send: while the block runs in
    the main thread, the default action of SIGTERM is replaced by ``SystemExit(143)``. A SIGKILL can leave a
    hidden ``.<name>.<host>.<pid>.partial``; the next writer of the same target on that host removes it.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    _remove_stale(target, host)
    temporary = target.with_name(f".{target.name}.{host}.{os.getpid()}.partial")
    restore = _exit_on_sigterm()
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    finally:
        if restore:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new, empty folder beside `target`; on a clean exit it takes the place of `target`, as `atomic_path` does.

    A folder that was there before is removed once the new one is complete.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    _remove_stale(target, host)
    temporary = target.with_name(f".{target.name}.{host}.{os.getpid()}.partial")
    restore = _exit_on_sigterm()
    try:
        temporary.mkdir()
        yield temporary
        for path in temporary.iterdir():
            _sync(path)
        _sync(temporary)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        os.replace(temporary, target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        if restore:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_on_sigterm() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    return True


def _remove_stale(target: Path, host: str) -> None:
    pattern = re.compile(re.escape(f".{target.name}.{host}.") + r"(\d+)\.partial")
    for path in target.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not Path(f"/proc/{match[1]}").exists() and Path("/proc/self").exists():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
