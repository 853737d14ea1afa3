"""Mean and spread of each feature over many meshes, for a network that reads them in these units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.errors import WeftError


class Standard(NamedTuple):
    """What features are shifted and divided by."""

    mean: NDArray[np.float64]
    """[D]"""
    deviation: NDArray[np.float64]
    """[D], 1 of a feature that does not vary"""

    def __call__(self, features: np.ndarray) -> NDArray[np.float32]:
        """float32 [M, D], features [M, D] less their mean, over their deviation."""
        return ((features - self.mean) / self.deviation).astype(np.float32)

    def plain(self) -> dict[str, list[float]]:
        """As plain data, for a model file."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def of(cls, plain: dict[str, Sequence[float]]) -> Standard:
        """From :meth:`plain`."""
        return cls(np.asarray(plain["mean"], np.float64), np.asarray(plain["deviation"], np.float64))


def standard(tables: Iterable[np.ndarray], names: Sequence[str]) -> Standard:
    """Mean and standard deviation (1/n) of each column over the rows of all tables [M, D], read one by one.

    names: of the D columns. Raises WeftError where there is no row at all, and for a value that is not finite, naming
    its column.
    """
    n, mean, square = 0, np.zeros(len(names)), np.zeros(len(names))
    for table in tables:
        if not len(table):
            continue
        values = np.asarray(table, np.float64)
        bad = ~np.isfinite(values)
        if bad.any():
            raise WeftError(f"features of faces: {int(bad.sum())} values are not finite, in {_first(bad, names)}")
        own = values.mean(axis=0)
        both = n + len(values)
        # Chan, Golub and LeVeque (1983): no difference of large sums
        square += np.square(values - own).sum(axis=0) + np.square(own - mean) * n * len(values) / both
        mean += (own - mean) * len(values) / both
        n = both
    if not n:
        raise WeftError("features of faces: there is no face to take a mean over")
    deviation = np.sqrt(square / n)
    return Standard(mean, np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-9), deviation, 1.0))


def _first(bad: np.ndarray, names: Sequence[str]) -> str:
    return f"'{names[int(bad.any(axis=0).argmax())]}'"
