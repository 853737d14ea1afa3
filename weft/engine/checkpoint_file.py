"""Files of tensors that know whether they are whole.

A file is what ``torch.save`` makes, a zip archive, with the SHA-256 of all its bytes in the archive's comment: one
file, so the sum cannot be of another version of it, and ``torch.load`` and ``unzip -z`` read it as it is. The checksum
is there because torch does not notice a flipped bit when it loads.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from weft.errors import WeftError
from weft.io.atomic import atomic_path

_COMMENT = b"weft sha256 "
_HEX = 64
_ENDING = (len(_COMMENT) + _HEX).to_bytes(2, "little") + _COMMENT
"""what comes before the digits of the sum: the last field of a zip archive is the length of its comment, and that"""
_FULL = {errno.ENOSPC, errno.EDQUOT}


class DamagedFile(WeftError):
    """A file that is not what was written, or not of the kind that was expected."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type[DamagedFile], tuple[Path, str]]:
        return DamagedFile, (self.path, self.reason)  # one rank reads, all raise


class DiskFull(WeftError):
    """A file could not be written for want of space; what was there before is untouched."""


def write_checked(path: Path, content: Any, keep_as: str | None = None) -> None:
    """Write tensors and plain data atomically, with a checksum.

    keep_as: the file that was at ``path`` gets this name in the same folder, once the new one is on the disk.
    Raises :class:`DiskFull`; no temporary file is left.
    """
    memory = io.BytesIO()
    torch.save(content, memory)
    data = memory.getbuffer()
    digits = hashlib.sha256(data).hexdigest().encode()
    with full_disk_named(path), atomic_path(path) as temporary:
        with open(temporary, "wb") as stream:
            stream.write(data[:-2])  # without the length of the comment, there being none
            stream.write(_ENDING + digits)
            stream.flush()
            os.fsync(stream.fileno())
        if keep_as is not None and path.exists():
            os.replace(path, path.with_name(keep_as))


def read_checked(path: Path, map_location: Any = "cpu", require_sum: bool = True) -> Any:
    """What :func:`write_checked` wrote; only tensors and plain data are ever unpickled.

    require_sum: refuse a file without a checksum, which is also what most damage looks like.
    Raises :class:`DamagedFile`, and FileNotFoundError.
    """
    data = path.read_bytes()
    start = len(data) - _HEX - len(_ENDING)
    if start >= 0 and data[start:-_HEX] == _ENDING:
        found = hashlib.sha256(memoryview(data)[:start])
        found.update(bytes(2))
        if found.hexdigest().encode() != data[-_HEX:]:
            raise DamagedFile(path, "damaged, its bytes do not have the checksum written with them")
    elif require_sum:
        raise DamagedFile(path, "cut short or not a checkpoint of weft, there is no checksum at its end")
    try:
        return torch.load(io.BytesIO(data), map_location=map_location, weights_only=True)
    except Exception as error:
        raise DamagedFile(path, f"not a file of tensors and plain data ({type(error).__name__})") from None


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Make :class:`DiskFull` of what the system says when there is no room, or no quota, for ``path`` or below it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            f"{path}: no space left to write; what was saved before is untouched: make room and run again to go on"
        ) from None
