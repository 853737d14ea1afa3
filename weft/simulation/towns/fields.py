"""Smooth random fields, for heights and for pictures."""

from __future__ import annotations

import numpy as np


def smooth(rows: int, columns: int, cell: float, rng: np.random.Generator) -> np.ndarray:
    """float64 [rows, columns]: random numbers of r.m.s. about 1 on points `cell` apart, cubic curves between them."""
    cell = max(cell, 1.0)
    points = rng.standard_normal((int(np.ceil(rows / cell)) + 2, int(np.ceil(columns / cell)) + 2))
    # Averages of neighbours vary less than they do: 1.35 is the mean loss of the two axes together.
    return 1.35 * _along(_along(points, rows, cell).T, columns, cell).T


def _along(points: np.ndarray, count: int, cell: float) -> np.ndarray:
    at = np.arange(count) / cell
    low = np.floor(at).astype(int)
    part = at - low
    part = (part**2 * (3 - 2 * part))[:, None]
    return points[low] * (1 - part) + points[low + 1] * part


def octaves(rows: int, columns: int, cell: float, rng: np.random.Generator, count: int = 3) -> np.ndarray:
    """float64 [rows, columns]: fields of `cell`, half of it, …, each of half the height of the one before; r.m.s. 1."""
    total = np.zeros((rows, columns))
    for k in range(count):
        total += smooth(rows, columns, cell / 2**k, rng) / 2**k
    return total / np.sqrt(sum(4.0**-k for k in range(count)))
