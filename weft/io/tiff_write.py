"""OME-TIFF out: volumes written plane by plane, with voxel size, names of channels and provenance."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.provenance import canonical_json
from weft.io.tiff import NAMESPACE, ROLES, LazyArray

_DTYPES = {np.dtype(name) for name in ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")}
#: Bytes read from a lazy volume at a time.
_SLAB_BYTES = 32 << 20
#: Offsets of a classic TIFF have 32 bits; some are left for headers.
_CLASSIC_BYTES = 2**32 - 2**25


def write_ome_tiff(
    path: str | Path,
    volume: LazyArray,
    axes: str = "ZYX",
    *,
    spacing: Sequence[float] = (math.nan, math.nan, math.nan),
    channels: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
    compress: bool = True,
) -> Path:
    """Write a volume as OME-TIFF, whole or not at all; the values keep their type.

    The same volume, voxel size, names and record give the same bytes. Files of 4 GiB and more are BigTIFF.

    Args:
        volume: an array, or anything with a shape, a type and slices; it is read some planes at a time.
        axes: of the volume, some of T, C, Z, Y, X in this order, the last two always.
        spacing: (z, y, x) of a voxel, µm; NaN where unknown.
        channels: their names, one for each.
        record: provenance, kept as JSON in a comment of the OME-XML.
        compress: with zlib; without it a reader can map the file into memory.

    Raises:
        WeftError: axes or names that do not fit the volume, or a type that OME-TIFF does not have.
    """
    path, dtype = Path(path), np.dtype(volume.dtype)
    if axes != "".join(a for a in ROLES if a in axes) or not axes.endswith("YX") or len(axes) != len(volume.shape):
        raise WeftError(f"{path}: axes {axes} for a volume of shape {volume.shape}: expected some of {ROLES} in order")
    count = volume.shape[axes.index("C")] if "C" in axes else 1
    if channels and len(channels) != count:
        raise WeftError(f"{path}: {len(channels)} names of channels for {count} channels")
    if dtype not in _DTYPES:
        raise WeftError(f"{path}: OME-TIFF has no type {dtype}: expected one of {', '.join(sorted(map(str, _DTYPES)))}")
    if 0 in volume.shape:
        raise WeftError(f"{path}: a volume of shape {tuple(volume.shape)} has no voxels")
    size = math.prod(volume.shape) * dtype.itemsize
    said = canonical_json(dict(record or {}))
    metadata: dict[str, Any] = {
        "axes": axes,
        "Name": path.name.partition(".")[0],
        # The default is drawn anew for every file; this one says what the file holds.
        "UUID": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'weft:{path.name}:{said}')}",
        "Creator": "weft",
    }
    for axis, length in zip("ZYX", spacing, strict=True):
        if math.isfinite(length):
            metadata |= {f"PhysicalSize{axis}": float(length), f"PhysicalSize{axis}Unit": "µm"}
    if channels:
        metadata["Channel"] = {"Name": list(channels)}
    if record:
        metadata["CommentAnnotation"] = {"Namespace": NAMESPACE, "Value": said}
    with (
        atomic_path(path) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=size > _CLASSIC_BYTES, ome=True, byteorder="<") as writer,
    ):
        writer.write(
            _planes(volume, dtype.newbyteorder("<")),
            shape=tuple(volume.shape),
            dtype=dtype.newbyteorder("<"),
            photometric="minisblack",
            compression="zlib" if compress else None,
            metadata=metadata,
            software="weft",
            maxworkers=1,
        )
    return path


def _planes(volume: LazyArray, dtype: np.dtype) -> Iterator[np.ndarray]:
    """[Y, X] one after another; along the axis before them as many are read at a time as fit a slab."""
    *outer, rows, columns = volume.shape
    if not outer:
        yield np.ascontiguousarray(volume[:], dtype)
        return
    *leading, depth = outer
    step = max(1, _SLAB_BYTES // (rows * columns * dtype.itemsize))
    for where in np.ndindex(*leading):
        for start in range(0, depth, step):
            yield from np.ascontiguousarray(volume[(*where, slice(start, start + step))], dtype)
