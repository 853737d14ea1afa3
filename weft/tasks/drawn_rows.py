"""Training rows for trees, drawn from a stream of events: memory is bounded whatever the number of events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class DrawnRows:
    """Of each class an event gives at most `per_event` rows, weighted by how many they stand for: rare classes are kept
    whole and large things do not fill the memory. When there are more than `most`, each stays with probability 1/2, and
    so do those that come later.
    """

    def __init__(self, per_event: int, most: int, n_features: int, seed: int) -> None:
        self._per_event, self._most, self._n_features = per_event, most, n_features
        self._rng = np.random.default_rng(seed)
        self._rows: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
        self._n, self._keep = 0, 1.0

    def add(self, features: NDArray[np.float32], labels: np.ndarray) -> None:
        """Rows of one event: features [N, F] and labels [N], −1 for those that nobody learns from."""
        chosen, weights = [], []
        for label in np.unique(labels[labels >= 0]):
            rows = np.flatnonzero(labels == label)
            drawn = self._rng.permutation(rows)[: self._per_event]
            chosen.append(np.sort(drawn))
            weights.append(np.full(len(drawn), len(rows) / len(drawn)))
        if not chosen:
            return
        rows = np.concatenate(chosen)
        block = (features[rows], labels[rows].astype(np.int64), np.concatenate(weights), self._rng.random(len(rows)))
        self._rows.append(self._thinned(block))
        self._n += len(self._rows[-1][1])
        while self._n > self._most:
            self._keep /= 2
            self._rows = [self._thinned(block) for block in self._rows]
            self._n = sum(len(block[1]) for block in self._rows)

    def _thinned(self, block: tuple[Any, ...]) -> tuple[Any, ...]:
        kept = block[3] < self._keep
        return tuple(column[kept] for column in block)

    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
        """Features, labels and weights of the rows kept."""
        if not self._rows:
            return np.zeros((0, self._n_features), np.float32), np.zeros(0, np.int64), np.zeros(0)
        features, labels, weights, _ = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        return features, labels, weights
