"""Compiled kernels of array code, cached on disk so that only the first run on a machine waits for the compiler."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

#: Numba's settings; its type stubs do not list them.
_config: Any = numba.config


def kernel(function: F) -> F:
    """`function` compiled by numba on first call, and kept in the user's cache directory.

    Numba notices a change in the file of a kernel, not in the files of the kernels that it calls: a stale mixture
    could run unseen. So the cache directory is named by a hash of the sources of both rooms that have kernels. It is
    outside the package, which may be installed read-only; where no directory can be written, nothing is cached.
    """
    directory = _cache_directory()
    if directory is None:
        return cast(F, numba.njit(nogil=True)(function))
    before = _config.CACHE_DIR
    _config.CACHE_DIR = directory
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    finally:
        _config.CACHE_DIR = before


@cache
def _cache_directory() -> str | None:
    root = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weft"
    )
    path = os.path.join(root, f"kernels-{_digest()}")
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError:
        return None


def _digest() -> str:
    """Of every Python source in `weft/detector` and `weft/simulation`."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for room in ("detector", "simulation"):
        for source in sorted((package / room).glob("*.py")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]
