"""The search for triplets: per row, all wires of three planes that see a common point.

Two live pixels of one row give a line of wires in the third plane where they can meet (`weft.detector.wires.Closure`).
A wire there that has a pixel, or that is dead, completes a triplet. Each triplet is found from one pair only: from
planes 0 and 1, else, with plane 1 dead, from 0 and 2, else, with plane 0 dead, from 1 and 2. So there are no copies to
remove, and no order of planes or pixels that matters (specs/larmatch.md §2.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from weft.compiled import kernel
from weft.detector.wires import Tpc
from weft.triplets.options import TripletOptions

#: Wires by which cells must overlap, so that rounding does not decide where they only touch.
_TOUCH = 1e-6

#: State of a wire in a row; 0 where it is neither.
_LIVE, _DEAD = 1, 2


@dataclass(frozen=True)
class Rows:
    """Wires of the live pixels of a plane, row by row.

    Attributes:
        wires: int32 (n,), increasing within a row.
        offsets: int64 (rows + 1,).
    """

    wires: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, row: np.ndarray, wire: np.ndarray, rows: int) -> Rows:
        """Of unique pixels, sorted by row and wire."""
        offsets = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
        return cls(np.ascontiguousarray(wire, np.int32), offsets)


@dataclass(frozen=True)
class Found:
    """Triplets of one drift volume, sorted by row and wires.

    Attributes:
        wires: int32 (n, 3), in planes 0, 1, 2.
        row: int32 (n,).
        found: int64 (rows,), how many there are in each row, before the cap.
    """

    wires: np.ndarray
    row: np.ndarray
    found: np.ndarray


def find_triplets(
    tpc: Tpc, live: tuple[Rows, Rows, Rows], dead: tuple[np.ndarray, np.ndarray, np.ndarray], options: TripletOptions
) -> Found:
    """All triplets of a drift volume.

    Args:
        live: pixels of each plane.
        dead: bool (wires,) of each plane. A pixel on a dead wire counts as live.
        options: see there. A cap keeps triplets without a dead wire before others, and among equals a choice that
            depends on nothing but the triplets.
    """
    closure = tpc.closure
    reach = closure.reach * (1.0 + 2.0 * options.slack)
    matrix, constant = tpc.yz_map
    margin = np.inf if options.margin is None else options.margin
    box = np.array([tpc.lower[1] - margin, tpc.upper[1] + margin, tpc.lower[2] - margin, tpc.upper[2] + margin])
    rows = len(live[0].offsets) - 1
    if any(len(plane.offsets) != rows + 1 for plane in live):
        raise ValueError("planes of different numbers of rows")
    masks = [np.ascontiguousarray(mask if options.use_dead else np.zeros(len(mask)), np.bool_) for mask in dead]
    keys, offsets, found = _search(
        (live[0].wires, live[1].wires, live[2].wires),
        (live[0].offsets, live[1].offsets, live[2].offsets),
        (masks[0], masks[1], masks[2]),
        np.array([closure.slope0, closure.slope1, closure.offset, reach - _TOUCH]),
        np.concatenate([matrix, constant[:, None]], axis=1),
        box,
        -1 if options.max_per_row is None else options.max_per_row,
    )
    wires = np.empty((len(keys), 3), np.int32)
    rest, wires[:, 2] = np.divmod(keys, len(masks[2]))
    wires[:, 0], wires[:, 1] = np.divmod(rest, len(masks[1]))
    return Found(wires, np.repeat(np.arange(rows, dtype=np.int32), np.diff(offsets)), found)


@kernel
def _search(wires, offsets, dead, closure, yz, box, cap):
    """Keys (w0·n1 + w1)·n2 + w2 of triplets, sorted within rows; offsets of the rows; how many were found in each."""
    w0, w1, w2 = wires
    o0, o1, o2 = offsets
    dead0, dead1, dead2 = dead
    rows = len(o0) - 1
    a, b, c, reach = closure
    one = np.int64(1)
    stride1 = one * len(dead2)
    stride0 = stride1 * len(dead1)
    state0, state1, state2 = dead0 * _DEAD, dead1 * _DEAD, dead2 * _DEAD
    any0, any1, any2 = dead0.any(), dead1.any(), dead2.any()
    keys = np.empty(1 << 16, np.int64)
    ends = np.zeros(rows + 1, np.int64)
    found = np.zeros(rows, np.int64)
    n = 0
    for row in range(rows):
        first = n
        u, v, w = w0[o0[row] : o0[row + 1]], w1[o1[row] : o1[row + 1]], w2[o2[row] : o2[row + 1]]
        _mark(state0, u)
        _mark(state1, v)
        _mark(state2, w)
        if len(w) > 0 or any2:
            line = (a, b, c, reach)
            keys, n = _pairs(keys, n, u, v, state2, _LIVE | _DEAD, line, (stride0, stride1, one), (0, 1, 2), yz, box)
        if any1:
            line = (-a / b, 1 / b, -c / b, reach / abs(b))
            keys, n = _pairs(keys, n, u, w, state1, _DEAD, line, (stride0, one, stride1), (0, 2, 1), yz, box)
        if any0:
            line = (-b / a, 1 / a, -c / a, reach / abs(a))
            keys, n = _pairs(keys, n, v, w, state0, _DEAD, line, (stride1, one, stride0), (1, 2, 0), yz, box)
        keys[first:n].sort()
        found[row] = n - first
        if 0 <= cap < n - first:
            keys[first : first + cap] = _choice(keys[first:n], row, cap, stride0, stride1, state0, state1, state2)
            n = first + cap
        ends[row + 1] = n
        _clear(state0, dead0, u)
        _clear(state1, dead1, v)
        _clear(state2, dead2, w)
    return keys[:n].copy(), ends, found


@kernel
def _pairs(keys, n, first, second, state, accepted, line, strides, planes, yz, box):
    """Append the keys of each pair of `first` and `second` wires with a third whose state is one of `accepted`.

    line: the third wire is within `reach` of slope1·first + slope2·second + offset.
    strides, planes: what the first, second and third wire weigh in the key, and which columns of `yz` are theirs.
    """
    slope1, slope2, offset, reach = line
    stride1, stride2, stride3 = strides
    p1, p2, p3 = planes
    last = len(state) - 1
    bounded = box[0] > -np.inf
    for i in first:
        for j in second:
            middle = slope1 * i + slope2 * j + offset
            for k in range(max(0, math.ceil(middle - reach)), min(last, math.floor(middle + reach)) + 1):
                if not state[k] & accepted:
                    continue
                if bounded:
                    y = yz[0, p1] * i + yz[0, p2] * j + yz[0, p3] * k + yz[0, 3]
                    z = yz[1, p1] * i + yz[1, p2] * j + yz[1, p3] * k + yz[1, 3]
                    if y < box[0] or y > box[1] or z < box[2] or z > box[3]:
                        continue
                if n == len(keys):
                    longer = np.empty(2 * n, np.int64)
                    longer[:n] = keys
                    keys = longer
                keys[n] = i * stride1 + j * stride2 + k * stride3
                n += 1
    return keys, n


@kernel
def _mark(state, wires):
    for wire in wires:
        state[wire] = _LIVE


@kernel
def _clear(state, dead, wires):
    for wire in wires:
        state[wire] = _DEAD if dead[wire] else 0


@kernel
def _choice(keys, row, cap, stride0, stride1, state0, state1, state2):
    """`cap` of sorted keys, sorted: those without a dead wire first, then by a hash of row and key."""
    rank = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        rest = keys[i] % stride0
        live = state0[keys[i] // stride0] & state1[rest // stride1] & state2[rest % stride1] & _LIVE
        rank[i] = _hash(np.uint64(keys[i]) ^ _hash(np.uint64(row))) >> np.uint64(1)
        if not live:
            rank[i] |= np.uint64(1) << np.uint64(63)
    chosen = keys[np.argsort(rank)[:cap]]
    chosen.sort()
    return chosen


@kernel
def _hash(x):
    """The mixer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
