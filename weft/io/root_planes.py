"""Wire-plane images, channel status and true deposits as trees of our ROOT files.

uproot writes no lists of lists. So the images of an event lie end to end, as the clusters do (`weft.io.root_write`),
with their sizes in ``_n``; `weft.io.root_images` reads both forms back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weft.io.root_write import RootWriter

#: Bytes of dense images that are held at a time.
_BLOCK_BYTES = 32 << 20


class PlaneMeta(NamedTuple):
    """Rows and columns of one plane's image, and the ticks and wires that they span."""

    rows: int
    cols: int
    min_tick: float
    max_tick: float
    min_wire: float
    max_wire: float


class Pixels(NamedTuple):
    """The pixels of one event that are not zero: plane, row and column int64 (n,), value float32 (n,)."""

    plane: np.ndarray
    row: np.ndarray
    col: np.ndarray
    value: np.ndarray


def write_images(
    writer: RootWriter,
    tree: str,
    identity: Mapping[str, np.ndarray],
    planes: Sequence[PlaneMeta],
    events: Sequence[Pixels],
) -> None:
    """Append one ``image2d`` per event: dense float32 of all planes, column by column, row 0 at the lower edge.

    Args:
        tree: ``image2d_<producer>_tree``.
        identity: the columns ``_run``, ``_subrun`` and ``_event`` of the events, (events,).
        planes: the same in every event; plane k is number k.
    """
    sizes = np.array([p.rows * p.cols for p in planes], np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.array([p.rows for p in planes], np.int64)
    run = max(1, int(_BLOCK_BYTES // (4 * max(1, starts[-1]))))
    for first in range(0, len(events), run):
        block = events[first : first + run]
        images = np.zeros((len(block), starts[-1]), np.float32)
        for image, event in zip(images, block, strict=True):
            image[starts[event.plane] + event.col * rows[event.plane] + event.row] = event.value
        n = len(block)
        each = np.full(n, len(planes))
        members: dict[str, np.ndarray] = {
            "._plane": np.arange(len(planes), dtype=np.uint16),
            "._row_count": rows.astype(np.uint64),
            "._col_count": np.array([p.cols for p in planes], np.uint64),
            "._p1._x": np.array([p.min_wire for p in planes], np.float64),
            "._p1._y": np.array([p.min_tick for p in planes], np.float64),
            "._p2._x": np.array([p.max_wire for p in planes], np.float64),
            "._p2._y": np.array([p.max_tick for p in planes], np.float64),
        }
        writer.extend(
            tree,
            {name: column[first : first + n] for name, column in identity.items()},
            {
                "_image_v._img": (np.full(n, starts[-1]), {"": images.reshape(-1)}),
                "_image_v._n": (each, {"": np.tile(sizes, n)}),
                "_image_v._meta": (each, {name: np.tile(values, n) for name, values in members.items()}),
            },
        )


def write_status(
    writer: RootWriter, tree: str, identity: Mapping[str, np.ndarray], planes: Sequence[np.ndarray]
) -> None:
    """Append one ``chstatus`` per event, the same in all.

    Args:
        tree: ``chstatus_<producer>_tree``.
        planes: LArCV's status code of each wire, by plane.
    """
    n = len(identity["_event"])
    counts = np.array([len(status) for status in planes], np.int64)
    status = np.concatenate(planes).astype(np.int16)
    writer.extend(
        tree,
        identity,
        {
            "_status_m": (np.full(n, len(planes)), {"._plane": np.tile(np.arange(len(planes), dtype=np.uint16), n)}),
            "_status_m._n": (np.full(n, len(planes)), {"": np.tile(counts, n)}),
            "_status_m._status_v": (np.full(n, len(status)), {"": np.tile(status, n)}),
        },
    )


def write_rows(
    writer: RootWriter, tree: str, identity: Mapping[str, np.ndarray], vector: str, events: Sequence[np.ndarray]
) -> None:
    """Append a vector of plain records per event: a branch ``<vector>._<field>`` per field of the structured arrays."""
    rows = np.concatenate(events)
    members = {f"._{name}": np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}
    writer.extend(tree, identity, {vector: (np.array([len(e) for e in events]), members)})
