"""Which triplets are true: those at whose wires and row charge really arrived."""

from __future__ import annotations

import numpy as np

from weft.io.deposits import CELL, arrived
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET, TRIPLET_TRUTH, UNKNOWN_TRIPLET


def label_triplets(
    pixels: np.ndarray, triplets: np.ndarray, deposits: np.ndarray, known: np.ndarray | None = None
) -> np.ndarray:
    """`TRIPLET_TRUTH`, a row per triplet, from exact truth (specs/larmatch.md §2.6, third rule).

    A triplet is good if any electron arrived at its three wires and its row. Else it is a ghost, unless what made one
    of its live pixels is not known: then so is its truth.

    Args:
        pixels, triplets: `PIXELS` and `TRIPLETS` of an event.
        deposits: `WIRE_DEPOSITS`, several rows per cell where several particles share it, in any order. Those that a
            plane or the readout does not see belong to no triplet.
        known: bool (pixels,): whether it is known what made a pixel; None: of all. Dead pixels do not count.
    """
    truth = np.zeros(len(triplets), TRIPLET_TRUTH.dtype)
    truth["good"], truth["particle"], truth["class"] = GHOST_TRIPLET, -1, -1
    members = [triplets[f"pixel_{p}"] for p in range(3)]
    if known is not None:
        clear = np.asarray(known, bool) | (pixels["dead"] != 0)
        truth["good"][~(clear[members[0]] & clear[members[1]] & clear[members[2]])] = UNKNOWN_TRIPLET
    deposits = arrived(deposits)
    if not len(deposits) or not len(triplets):
        return truth
    ours = [pixels["tpc"][members[0]], pixels["row"][members[0]], *(pixels["wire"][m] for m in members)]
    theirs = [deposits[name] for name in CELL]
    key, cell_of = cell_keys(ours, theirs)
    # Cells in increasing order of key, their deposits with the most electrons last; ties go to the lower particle.
    order = np.lexsort([-deposits["particle"].astype(np.int64), deposits["electrons"], cell_of])
    deposits, cell_of = deposits[order], cell_of[order]
    cells, first = np.unique(cell_of, return_index=True)
    last = np.append(first[1:], len(cell_of)) - 1
    at = np.minimum(np.searchsorted(cells, key), len(cells) - 1)
    good = np.flatnonzero(cells[at] == key)
    at = at[good]
    truth["good"][good] = GOOD_TRIPLET
    for name in ("electrons", "energy"):
        truth[name][good] = np.add.reduceat(deposits[name].astype(np.float64), first)[at]
    for name in ("particle", "class"):
        truth[name][good] = deposits[name][last][at]
    return truth


def cell_keys(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tuples of numbers ≥ 0 as single numbers of the same order: int64 (n,) and (m,) for n and m of them.

    Args:
        ours, theirs: the first numbers of all tuples, the second ones, …; both as many.
    """
    mine = np.zeros(len(ours[0]), np.int64)
    other = np.zeros(len(theirs[0]), np.int64)
    total = 1
    for a, b in zip(ours, theirs, strict=True):
        size = int(max(a.max(initial=0), b.max(initial=0))) + 1
        total *= size
        mine, other = mine * size + a, other * size + b
    if total >= 2**63:
        raise ValueError("cells are too many for 64 bits")
    return mine, other
