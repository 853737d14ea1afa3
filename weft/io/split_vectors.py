"""Vectors that are members of the elements of a split vector, decoded from a branch's raw bytes.

Layout, big endian (as in LArCV's ``_image_v._img``): uint32 byte count with bit 30 set, not counting itself; uint16
version; then, for each element of the split vector, int32 n and n numbers. Reading it here takes a third of the memory
that uproot's objects take, and needs no streamer info.
"""

from __future__ import annotations

import numpy as np

from weft.errors import WeftError

_BYTE_COUNT_BIT = 0x40000000
_HEADER = 6


def read_split_vectors(data: np.ndarray, outer: int, dtype: np.dtype) -> list[np.ndarray]:
    """The vectors of `outer` elements of one entry.

    Args:
        data: uint8 bytes of the entry.
        dtype: of the numbers.

    Raises:
        WeftError: byte count and sizes do not add up to exactly the bytes that are there.
    """
    if outer == 0:
        return []
    raw = np.ascontiguousarray(data).data
    if len(raw) < _HEADER:
        raise WeftError(f"{outer} vectors in {len(raw)} bytes, expected at least {_HEADER}")
    count = int.from_bytes(raw[:4], "big")
    if not count & _BYTE_COUNT_BIT or (count & ~_BYTE_COUNT_BIT) != len(raw) - 4:
        raise WeftError(f"byte count is {count & ~_BYTE_COUNT_BIT}, expected {len(raw) - 4}")
    big = dtype.newbyteorder(">")
    position, found = _HEADER, []
    for k in range(outer):
        if position + 4 > len(raw):
            raise WeftError(f"vector {k} of {outer} starts at byte {position}, beyond the {len(raw)} bytes")
        n = int.from_bytes(raw[position : position + 4], "big", signed=True)
        position += 4
        if n < 0 or position + n * big.itemsize > len(raw):
            raise WeftError(f"vector {k} of {outer} claims {n} numbers, more than the {len(raw)} bytes can hold")
        found.append(np.frombuffer(raw, big, n, position).astype(dtype))
        position += n * big.itemsize
    if position != len(raw):
        raise WeftError(f"{len(raw) - position} bytes are left over after {outer} vectors")
    return found
