"""ROOT's member-wise vectors, decoded from a branch's raw bytes (uproot does not read them).

Layout, big endian (seen in real files; specs/spine_full_chain.md §4.2): uint32 byte count with bit 30 set, not
counting itself; uint16 version of the vector with bit 14 set ("member-wise"); uint16 class version of the elements,
followed by a uint32 checksum of the class where it is 0; then, for each element of the enclosing split vector, int32 n
and all n values of the first member, all n of the second, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.errors import WeftError

_BYTE_COUNT_BIT = 0x40000000
_MEMBERWISE_BIT = 0x4000

#: C++ types of members as ROOT's streamer info spells them.
_TYPES: Mapping[str, str] = {
    "bool": "?",
    "char": ">i1",
    "unsigned char": ">u1",
    "short": ">i2",
    "unsigned short": ">u2",
    "int": ">i4",
    "unsigned int": ">u4",
    "long": ">i8",
    "unsigned long": ">u8",
    "long long": ">i8",
    "unsigned long long": ">u8",
    "float": ">f4",
    "double": ">f8",
}

Members = Sequence[tuple[str, np.dtype]]


def members_of(streamers: Mapping[str, Mapping[int, Any]], name: str, version: int, checksum: int | None) -> Members:
    """(member, type) of a class of plain numbers, from the file's own streamer info.

    Args:
        streamers: ``file.streamers`` of uproot.
        name: the class.
        version: as found before the data; 0 means that `checksum` identifies the class.

    Raises:
        WeftError: the streamer info lacks the class or version, or a member is not a plain number.
    """
    versions = streamers.get(name, {})
    for number, streamer in versions.items():
        if number == version or (version == 0 and streamer.member("fCheckSum") == checksum):
            break
    else:
        raise WeftError(f"streamer info has no {name} of version {version} (checksum {checksum}): it has {[*versions]}")
    members = []
    for element in streamer.elements:
        if element.typename not in _TYPES:
            raise WeftError(f"{name}.{element.name} is a {element.typename}, expected a plain number")
        members.append((element.name, np.dtype(_TYPES[element.typename])))
    return members


def read_header(data: np.ndarray) -> tuple[int, int | None, int]:
    """(class version, checksum or None, bytes read) of the header of a member-wise vector.

    Raises:
        WeftError: the byte count does not fit `data`, or the vector is not member-wise.
    """
    raw = data.tobytes()
    if len(raw) < 8:
        raise WeftError(f"a member-wise vector has at least 8 bytes, found {len(raw)}")
    count = int.from_bytes(raw[:4], "big")
    if not count & _BYTE_COUNT_BIT or (count & ~_BYTE_COUNT_BIT) != len(raw) - 4:
        raise WeftError(f"byte count is {count & ~_BYTE_COUNT_BIT}, expected {len(raw) - 4}")
    if not int.from_bytes(raw[4:6], "big") & _MEMBERWISE_BIT:
        raise WeftError("the vector is not written member-wise")
    version = int.from_bytes(raw[6:8], "big")
    if version:
        return version, None, 8
    if len(raw) < 12:
        raise WeftError(f"a class without version has a checksum, but only {len(raw)} bytes are there")
    return 0, int.from_bytes(raw[8:12], "big"), 12


def read_vectors(data: np.ndarray, position: int, outer: int, members: Members) -> tuple[list[np.ndarray], np.ndarray]:
    """The vectors of `outer` elements that follow a header, end to end.

    Returns:
        One array per member, over all vectors, and int64 offsets (outer + 1,).

    Raises:
        WeftError: the sizes do not add up to exactly the bytes that are there.
    """
    size = sum(dtype.itemsize for _, dtype in members)
    buffer = np.ascontiguousarray(data).data
    parts: list[list[np.ndarray]] = [[] for _ in members]
    offsets = np.zeros(outer + 1, np.int64)
    for k in range(outer):
        if position + 4 > len(data):
            raise WeftError(f"vector {k} of {outer} starts at byte {position}, beyond the {len(data)} bytes")
        n = int.from_bytes(bytes(buffer[position : position + 4]), "big", signed=True)
        position += 4
        if n < 0 or position + n * size > len(data):
            raise WeftError(f"vector {k} of {outer} claims {n} elements, more than the {len(data)} bytes can hold")
        for part, (_, dtype) in zip(parts, members, strict=True):
            part.append(np.frombuffer(buffer, dtype, n, position))
            position += n * dtype.itemsize
        offsets[k + 1] = offsets[k] + n
    if position != len(data):
        raise WeftError(f"{len(data) - position} bytes are left over after {outer} vectors")
    columns = [
        np.concatenate(part).astype(dtype.newbyteorder("=")) if part else np.empty(0, dtype.newbyteorder("="))
        for part, (_, dtype) in zip(parts, members, strict=True)
    ]
    return columns, offsets
