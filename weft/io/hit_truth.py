"""From which hits simulated particles made to what made each pixel: `PIXEL_TRUTH`.

Pixels of the same wire have the origin of a hit as far as the hit reaches, as the notebook WireImage.ipynb of
github.com/uboone/OpenSamples proposes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.detector.pulses import pulse_shares
from weft.io.wire_products import PIXEL_TRUTH

#: Widths to either side of its centre that a pulse reaches.
WIDTHS = 3.0


#: A hit is known where its simulated energy explains at least this share of its charge.
EXPLAINED = 0.5


class Hits(NamedTuple):
    """Gaussian pulses: plane and wire int (h,), centre and width float (h,) in rows of the images, charge (h,) ADC."""

    plane: np.ndarray
    wire: np.ndarray
    row: np.ndarray
    width: np.ndarray
    charge: np.ndarray


def pixel_truth(
    hits: Hits, hit: np.ndarray, particle: np.ndarray, energy: np.ndarray, rows: int, adc_per_mev: float
) -> np.ndarray:
    """`PIXEL_TRUTH` without classes (−1), of one drift volume.

    A pixel is of all particles that made a hit which reaches it, with the share of their energy that the pulse has in
    its row. Its origin is known unless a hit reaches it that no particle made, or of whose charge particles made less
    than the share EXPLAINED: then there is charge of which nothing is known, as where a few simulated electrons fall
    into the pulse of a real cosmic ray.

    Args:
        hits: of an event.
        hit, particle: int (d,), rows of `hits` and of `particles` of each deposit. energy: float (d,), MeV.
        rows: of the images; what lies beyond them is left out.
        adc_per_mev: the most charge that a MeV makes: that of weak ionisation, of which least recombines.
    """
    first, last = _seen(hits, rows)
    made = np.bincount(hit, energy, len(hits.row))
    explained = (made > 0) & (adc_per_mev * made >= EXPLAINED * hits.charge)
    owner, row = _rows(first, last, np.flatnonzero(~explained))
    strange = _place(hits, owner, row, rows)

    which, row = _rows(first[hit], last[hit], np.arange(len(hit)))
    owner = hit[which]
    place = _place(hits, owner, row, rows)
    share = (energy[which] / _inside(hits, *_reach(hits))[owner]) * _inside(hits, row, row + 1.0, owner)
    order = np.lexsort([particle[which], place])
    place, whose, share = place[order], particle[which][order], share[order]
    new = np.ones(len(place), bool)
    new[1:] = (place[1:] != place[:-1]) | (whose[1:] != whose[:-1])
    starts = np.flatnonzero(new)
    truth = np.zeros(len(starts), PIXEL_TRUTH.dtype)
    wires = _wires(hits)
    truth["plane"], rest = np.divmod(place[starts], rows * wires)
    truth["row"], truth["wire"] = np.divmod(rest, wires)
    truth["particle"], truth["class"] = whose[starts], -1
    if len(starts):
        truth["energy"] = np.add.reduceat(share, starts)
    truth["known"] = ~np.isin(place[starts], strange)
    return truth


def _wires(hits: Hits) -> int:
    return int(hits.wire.max(initial=0)) + 1


def _place(hits: Hits, owner: np.ndarray, row: np.ndarray, rows: int) -> np.ndarray:
    """int64: numbers of pixels, in the order of plane, row, wire."""
    return (hits.plane[owner].astype(np.int64) * rows + row) * _wires(hits) + hits.wire[owner]


def _reach(hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """float64 (h,): first row that a hit reaches, and the one after the last; they may lie outside the image."""
    half = WIDTHS * _width(hits)
    return np.floor(hits.row - half), np.floor(hits.row + half) + 1.0


def _width(hits: Hits) -> np.ndarray:
    """float64 (h,): a pulse without a width is in the row of its centre alone."""
    return np.where(hits.width > 0, hits.width, 1e-6).astype(np.float64)


def _inside(hits: Hits, first: np.ndarray, last: np.ndarray, owner: np.ndarray | slice = slice(None)) -> np.ndarray:
    """float64: what of pulses lies from the start of one row to that of another."""
    return pulse_shares(first, last, hits.row[owner].astype(np.float64), _width(hits)[owner])


def _seen(hits: Hits, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 (h,): the same within the image; no row for pulses whose time is not a number."""
    seen = np.isfinite(hits.row)
    first, last = (np.where(seen, np.clip(edge, 0, rows), 0).astype(np.int64) for edge in _reach(hits))
    return first, last


def _rows(first: np.ndarray, last: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`which`, each repeated for all rows from its first to its last; and these rows."""
    counts = np.maximum(last[which] - first[which], 0)
    owner = np.repeat(which, counts)
    row = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts) + first[owner]
    return owner, row
