"""Charge that arrived at a wire plane as the pulses that a deconvolved readout shows of it."""

from __future__ import annotations

import math

import numpy as np

from weft.compiled import kernel

#: Pulses end at this many widths; the first and last pixel hold what is beyond.
_REACH = 4.0


def shares_across(width: float) -> np.ndarray:
    """float64 (2k+1,): shares of the charge of a wire in it and in k wires to each side, of sum one.

    Args:
        width: of the Gaussian, in wires; 0: all stays in the wire.
    """
    k = math.ceil(_REACH * width)
    wire = np.arange(-k, k + 1)
    weight = np.exp(-0.5 * (wire / width) ** 2) if width > 0 else np.ones(1)
    return weight / weight.sum()


@kernel
def add_pulses(
    image: np.ndarray, wire: np.ndarray, row: np.ndarray, charge: np.ndarray, width: float, across: np.ndarray
) -> None:
    """Add a pulse for each point charge: a Gaussian in time, integrated over the rows, shared among wires.

    A pulse's pixels add up to its charge, less what lies outside the image.

    Args:
        image: float64 (wires, rows), added to.
        wire: int64 (n,), nearest wire; −1: none.
        row: float64 (n,), when it arrives: real-valued rows, row r is r … r+1.
        charge: float64 (n,).
        width: of the Gaussian in time, in rows; 0: all is in one row.
        across: shares among wires, `shares_across`.
    """
    wires, rows = image.shape
    half = len(across) // 2
    for i in range(len(wire)):
        if wire[i] < 0:
            continue
        first, last = math.floor(row[i] - _REACH * width), math.floor(row[i] + _REACH * width)
        before = 0.0
        for r in range(first, last + 1):
            until = 1.0 if r == last else 0.5 * math.erfc((row[i] - r - 1) / (width * math.sqrt(2.0)))
            share = charge[i] * (until - before)
            before = until
            if 0 <= r < rows:
                for k in range(len(across)):
                    w = wire[i] + k - half
                    if 0 <= w < wires:
                        image[w, r] += share * across[k]


@kernel
def pulse_shares(first: np.ndarray, last: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
    """float64 (n,): what of Gaussian pulses lies between two times.

    Args:
        first, last: float64 (n,), in rows. centre: float64 (n,). width: float64 (n,), above 0.
    """
    shares = np.empty(len(centre), np.float64)
    for i in range(len(centre)):
        scale = 1.0 / (width[i] * math.sqrt(2.0))
        shares[i] = 0.5 * (math.erf((last[i] - centre[i]) * scale) - math.erf((first[i] - centre[i]) * scale))
    return shares
