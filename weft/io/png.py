"""PNG out, for what is made where no drawing library is."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from weft.io.atomic import atomic_path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """Write uint8 [Y, X] (grey), [Y, X, 3] (red, green, blue) or [Y, X, 4] (and opacity); the same values give the same
    bytes."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(image))
    return Path(path)


def png_bytes(image: np.ndarray) -> bytes:
    """What :func:`write_png` writes."""
    image = np.ascontiguousarray(image, np.uint8)
    rows, columns = image.shape[:2]
    colour = 0 if image.ndim == 2 else {3: 2, 4: 6}[image.shape[2]]
    # Each row begins with the number of its filter: none.
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), image.reshape(rows, -1)], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
