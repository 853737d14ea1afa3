"""Training triplets of the baseline: a bounded draw from a stream of events."""

from __future__ import annotations

import numpy as np

from weft.triplets.labels import TripletLabels


class Drawn:
    """Training triplets drawn from a stream of events, with what is known of them: ``drawn[name]``, `features`,
    `weight` and the fields of the labels.

    An event gives at most `per_event`, weighted by how many they stand for. When there are more than `most`, each
    stays with probability ½, and so do those that come later.
    """

    _LABELS = ("semantic", "key_points", "affinity", "shift")

    def __init__(self, per_event: int, most: int, seed: tuple[int, ...]) -> None:
        self._per_event, self._most = per_event, most
        self._rng = np.random.default_rng(seed)
        self._blocks: list[dict[str, np.ndarray]] = []
        self._share = 1.0

    def __len__(self) -> int:
        return sum(len(block["weight"]) for block in self._blocks)

    def __getitem__(self, name: str) -> np.ndarray:
        return np.concatenate([block[name] for block in self._blocks])

    def add(self, rows: np.ndarray, features: np.ndarray, labels: TripletLabels) -> None:
        """Draw from these rows of an event's triplets."""
        chosen = np.sort(self._rng.permutation(rows)[: self._per_event])
        block = {name: getattr(labels, name)[chosen] for name in self._LABELS} | {"features": features[chosen]}
        block["weight"] = np.full(len(chosen), len(rows) / max(len(chosen), 1))
        block["lot"] = self._rng.random(len(chosen))
        self._blocks.append(self._thinned(block))
        while len(self) > self._most:
            self._share /= 2
            self._blocks = [self._thinned(block) for block in self._blocks]

    def _thinned(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        stays = block["lot"] < self._share
        return {name: column[stays] for name, column in block.items()}
