"""PNG out, for what is made where no drawing library is."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from weft.io.atomic import atomic_path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """Write uint8 [Y, X] (grey) or [Y, X, 3] (red, green, blue); the same values give the same bytes."""
    path, image = Path(path), np.ascontiguousarray(image, np.uint8)
    rows, columns = image.shape[:2]
    colour = 0 if image.ndim == 2 else 2
    # Each row begins with the number of its filter: none.
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), image.reshape(rows, -1)], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, 0)
    with atomic_path(path) as temporary:
        parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
        temporary.write_bytes(_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
