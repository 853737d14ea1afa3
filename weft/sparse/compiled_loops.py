"""Loops of the compiled engine over tiles of output rows, kernel offsets and blocks of registers.

Output rows are handled in tiles whose inputs stay in the second-level cache: within every kernel offset the pairs of
a map are sorted by both rows (:class:`weft.sparse.kernel_map.Pairs`), so a tile's pairs are one range per offset.
Every output element sums its terms in the order of the pairs whatever the tiles and the number of threads.

Arguments are as in :mod:`weft.sparse.microkernel`; ``bounds`` int64 [tiles + 1, K] holds the first pair of each tile
in each offset. Importing this module imports numba.
"""

# numba types these functions itself: mypy sees neither their arguments nor what an intrinsic takes.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg,untyped-decorator,misc"

from __future__ import annotations

from functools import partial

import numpy as np

from weft.compiled import kernel
from weft.sparse.microkernel import (
    MOST_VECTORS,
    VECTOR_BYTES,
    WIDE,
    clear,
    gathered_outer,
    gathered_product,
    transposed_square,
)

TILE = 256
PAIRS = 64  # gradient rows of this many pairs stay in the first-level cache
# Rows of a block: rows x vectors sums, the panel's vectors and one broadcast fit the registers.
TALL1, TALL2 = 12, 12 if WIDE else 6

compiled = partial(kernel, error_model="numpy")


@compiled
def tile_bounds(out_rows, counts, n_out):
    """First pair of every tile in every offset, [tiles + 1, K], of sorted ``out_rows`` int32 [P]."""
    tiles = max(1, (n_out + TILE - 1) // TILE)
    bounds = np.empty((tiles + 1, len(counts)), np.int64)
    start = 0
    for k in range(len(counts)):
        stop = start + counts[k]
        for tile in range(tiles):
            bounds[tile, k] = start
            end = (tile + 1) * TILE
            while start < stop and out_rows[start] < end:
                start += 1
        bounds[tiles, k] = stop
        start = stop
    return bounds


@compiled
def width(vectors):
    """Vectors of the next block of columns, so that all blocks are about equally wide."""
    blocks = (vectors + MOST_VECTORS - 1) // MOST_VECTORS
    return (vectors + blocks - 1) // blocks


@compiled
def match_sorted(keys, cells, low, extents, offsets, rows, positions):
    """Rows in ``keys`` of sorted ``cells`` [M, D] displaced by each of ``offsets`` [K, D]; counts [K] are returned.

    Both sides ascend, so one walk along the keys answers all the queries of an offset.
    """
    counts = np.zeros(len(offsets), np.int64)
    n = 0
    for k in range(len(offsets)):
        j, before = 0, n
        for i in range(len(cells)):
            query, inside = np.int64(0), True
            for c in range(cells.shape[1]):
                step = cells[i, c] - low[c] + offsets[k, c]
                inside &= (step >= 0) & (step < extents[c])
                query = query * extents[c] + step
            if inside:
                while j < len(keys) and keys[j] < query:
                    j += 1
                if j < len(keys) and keys[j] == query:
                    rows[n], positions[n] = j, i
                    n += 1
        counts[k] = n - before
    return counts


@compiled
def transpose(zero, w, out, first, last):
    """``out[k] = w[k]^T`` of contiguous arrays for the offsets ``first`` to ``last``."""
    _, n_in, n_out = w.shape
    size = w.itemsize
    lanes = VECTOR_BYTES // size
    whole_in, whole_out = n_in - n_in % lanes, n_out - n_out % lanes
    for k in range(first, last):
        source, target = w[k].ctypes.data, out[k].ctypes.data
        for left in range(0, whole_out, lanes):
            for top in range(0, whole_in, lanes):
                corner, mirrored = top * n_out + left, left * n_in + top
                transposed_square(zero, source + corner * size, n_out * size, target + mirrored * size, n_in * size)
        for i in range(n_in):
            for j in range(whole_out if i < whole_in else 0, n_out):
                out[k, j, i] = w[k, i, j]


@compiled
def convolve_tiles(zero, size, x, w, out, in_rows, out_rows, n_in, n_out, total, bounds, first, last):
    """Products of the tiles ``first`` to ``last`` of ``total`` output rows; ``n_out`` columns fill whole vectors."""
    xs, ws = n_in * size, n_out * size
    for tile in range(first, last):
        clear(out + tile * TILE * ws, min(TILE, total - tile * TILE) * ws)
        for k in range(bounds.shape[1]):
            start, count = bounds[tile, k], bounds[tile + 1, k] - bounds[tile, k]
            if count == 0:
                continue
            ins, outs = in_rows + 4 * start, out_rows + 4 * start
            column = 0
            while column < ws:
                v = width((ws - column) // VECTOR_BYTES)
                panel, target = w + k * n_in * ws + column, out + column
                if v == 4:
                    _product4(zero, x, xs, ins, panel, ws, n_in, target, ws, outs, count)
                elif v == 3:
                    _product3(zero, x, xs, ins, panel, ws, n_in, target, ws, outs, count)
                elif v == 2:
                    _product2(zero, x, xs, ins, panel, ws, n_in, target, ws, outs, count)
                else:
                    _product1(zero, x, xs, ins, panel, ws, n_in, target, ws, outs, count)
                column += v * VECTOR_BYTES


@compiled
def _product4(zero, x, xs, ins, w, ws, depth, out, os, outs, count):
    while count >= 6:
        gathered_product(6, 4, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 24, outs + 24, count - 6
    if count >= 3:
        gathered_product(3, 4, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 12, outs + 12, count - 3
    if count == 2:
        gathered_product(2, 4, zero, x, xs, ins, w, ws, depth, out, os, outs)
    elif count == 1:
        gathered_product(1, 4, zero, x, xs, ins, w, ws, depth, out, os, outs)


@compiled
def _product3(zero, x, xs, ins, w, ws, depth, out, os, outs, count):
    while count >= 8:
        gathered_product(8, 3, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 32, outs + 32, count - 8
    if count >= 4:
        gathered_product(4, 3, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 16, outs + 16, count - 4
    if count >= 2:
        gathered_product(2, 3, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 8, outs + 8, count - 2
    if count == 1:
        gathered_product(1, 3, zero, x, xs, ins, w, ws, depth, out, os, outs)


@compiled
def _product2(zero, x, xs, ins, w, ws, depth, out, os, outs, count):
    while count >= TALL2:
        gathered_product(TALL2, 2, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 4 * TALL2, outs + 4 * TALL2, count - TALL2
    if count >= 6:
        gathered_product(6, 2, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 24, outs + 24, count - 6
    if count >= 3:
        gathered_product(3, 2, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 12, outs + 12, count - 3
    if count == 2:
        gathered_product(2, 2, zero, x, xs, ins, w, ws, depth, out, os, outs)
    elif count == 1:
        gathered_product(1, 2, zero, x, xs, ins, w, ws, depth, out, os, outs)


@compiled
def _product1(zero, x, xs, ins, w, ws, depth, out, os, outs, count):
    while count >= TALL1:
        gathered_product(TALL1, 1, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 4 * TALL1, outs + 4 * TALL1, count - TALL1
    while count >= 4:
        gathered_product(4, 1, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 16, outs + 16, count - 4
    while count >= 1:
        gathered_product(1, 1, zero, x, xs, ins, w, ws, depth, out, os, outs)
        ins, outs, count = ins + 4, outs + 4, count - 1


@compiled
def weight_gradient(zero, size, x, g, out, in_rows, out_rows, n_in, n_out, total, bounds, first, last):
    """Gradients of the offsets ``first`` to ``last``; ``n_out`` columns fill whole vectors."""
    xs, gs = n_in * size, n_out * size
    for tile in range(bounds.shape[0] - 1):
        for k in range(first, last):
            if tile == 0:
                clear(out + k * n_in * gs, n_in * gs)
            start, end = bounds[tile, k], bounds[tile + 1, k]
            while start < end:
                count = min(end - start, PAIRS)
                ins, outs = in_rows + 4 * start, out_rows + 4 * start
                column = 0
                while column < gs:
                    v = width((gs - column) // VECTOR_BYTES)
                    right, target = g + column, out + k * n_in * gs + column
                    if v == 4:
                        _outer4(zero, x, xs, ins, right, gs, outs, count, target, gs, n_in)
                    elif v == 3:
                        _outer3(zero, x, xs, ins, right, gs, outs, count, target, gs, n_in)
                    elif v == 2:
                        _outer2(zero, x, xs, ins, right, gs, outs, count, target, gs, n_in)
                    else:
                        _outer1(zero, x, xs, ins, right, gs, outs, count, target, gs, n_in)
                    column += v * VECTOR_BYTES
                start += count


@compiled
def _outer4(zero, x, xs, ins, g, gs, outs, count, out, os, n_in):
    size = xs // n_in
    while n_in >= 6:
        gathered_outer(6, 4, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + 6 * size, out + 6 * os, n_in - 6
    while n_in >= 2:
        gathered_outer(2, 4, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + 2 * size, out + 2 * os, n_in - 2
    if n_in >= 1:
        gathered_outer(1, 4, zero, x, xs, ins, g, gs, outs, count, out, os)


@compiled
def _outer3(zero, x, xs, ins, g, gs, outs, count, out, os, n_in):
    size = xs // n_in
    while n_in >= 8:
        gathered_outer(8, 3, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + 8 * size, out + 8 * os, n_in - 8
    while n_in >= 1:
        gathered_outer(1, 3, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + size, out + os, n_in - 1


@compiled
def _outer2(zero, x, xs, ins, g, gs, outs, count, out, os, n_in):
    size = xs // n_in
    while n_in >= TALL2:
        gathered_outer(TALL2, 2, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + TALL2 * size, out + TALL2 * os, n_in - TALL2
    while n_in >= 4:
        gathered_outer(4, 2, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + 4 * size, out + 4 * os, n_in - 4
    while n_in >= 1:
        gathered_outer(1, 2, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + size, out + os, n_in - 1


@compiled
def _outer1(zero, x, xs, ins, g, gs, outs, count, out, os, n_in):
    size = xs // n_in
    while n_in >= TALL1:
        gathered_outer(TALL1, 1, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + TALL1 * size, out + TALL1 * os, n_in - TALL1
    while n_in >= 4:
        gathered_outer(4, 1, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + 4 * size, out + 4 * os, n_in - 4
    while n_in >= 1:
        gathered_outer(1, 1, zero, x, xs, ins, g, gs, outs, count, out, os)
        x, out, n_in = x + size, out + os, n_in - 1
