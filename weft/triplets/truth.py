"""Which triplets are true: those at whose wires and row charge really arrived."""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel
from weft.io.deposits import CELL, arrived
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET, TRIPLET_TRUTH, UNKNOWN_TRIPLET


def label_triplets(
    pixels: np.ndarray,
    triplets: np.ndarray,
    deposits: np.ndarray,
    min_electrons: float,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """`TRIPLET_TRUTH`, a row per triplet, from exact truth (specs/larmatch.md §2.6, third rule).

    A triplet is good if at least `min_electrons` arrived at its three wires and its row. If fewer did, its truth is
    unknown: nobody could see them, and how many such cells there are is a matter of how the simulation follows the
    tails of diffusion. If none did it is a ghost, unless what made one of its live pixels is not known: then so is its
    truth. Electrons, energy, particle and class are stated wherever electrons arrived.

    Args:
        pixels, triplets: `PIXELS` and `TRIPLETS` of an event.
        deposits: `WIRE_DEPOSITS`, several rows per cell where several particles share it, in any order. Those that a
            plane or the readout does not see belong to no triplet.
        min_electrons: ≥ 0; 0: any electron makes a triplet good (`weft.triplets.label_options.TruthOptions`).
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
    key, cell = cell_keys(ours, [deposits[name] for name in CELL])
    if (cell[1:] < cell[:-1]).any():  # stores have them in order
        order = np.argsort(cell, kind="stable")
        deposits, cell = deposits[order], cell[order]
    at, electrons, energy, most = _sum_cells(
        key, cell, *(np.ascontiguousarray(deposits[name]) for name in ("electrons", "energy", "particle"))
    )
    truth["good"][at] = np.where(electrons >= min_electrons, GOOD_TRIPLET, UNKNOWN_TRIPLET)
    truth["electrons"][at], truth["energy"][at] = electrons, energy
    for name in ("particle", "class"):
        truth[name][at] = deposits[name][most]
    return truth


def true_cells(deposits: np.ndarray, min_electrons: float) -> np.ndarray:
    """Those rows of `WIRE_DEPOSITS` in whose cell at least `min_electrons`, and at least one, arrived, all particles
    together, in the order given."""
    deposits = arrived(deposits)
    cell, _ = cell_keys([deposits[name] for name in CELL], [deposits[name][:0] for name in CELL])
    _, which = np.unique(cell, return_inverse=True)
    total = np.bincount(which, deposits["electrons"].astype(np.float64))
    return deposits[total[which] >= min_electrons]


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


@kernel
def _sum_cells(key, cell, electrons, energy, particle):
    """What the triplets `key` hold that are cells: which triplets, sums of electrons and of energy, and the deposit of
    the most electrons, of equal ones that of the lower particle. `cell` (d,) is sorted."""
    room = len(key)
    at = np.empty(room, np.int64)
    total = np.empty(room, np.float64)
    total_energy = np.empty(room, np.float64)
    most = np.empty(room, np.int64)
    n = 0
    for t in range(room):
        first = np.searchsorted(cell, key[t])
        if first == len(cell) or cell[first] != key[t]:
            continue
        at[n], most[n] = t, first
        total[n] = total_energy[n] = 0.0
        k = first
        while k < len(cell) and cell[k] == key[t]:
            total[n] += electrons[k]
            total_energy[n] += energy[k]
            best = most[n]
            if electrons[k] > electrons[best] or (electrons[k] == electrons[best] and particle[k] < particle[best]):
                most[n] = k
            k += 1
        n += 1
    return at[:n], total[:n], total_energy[:n], most[:n]
