"""Labels of faces smoothed over faces that share an edge (spec §14): a Markov random field.

Its energy is the sum over faces of -log p(label), and over pairs of neighbours with different labels of ``strength``
times their weight, which falls with the angle between them (:mod:`weft.meshes.adjacency`): labels change at creases
and not within walls. It is lowered by min-sum belief propagation, exact where the mesh has no loops (Pearl 1988), then
face by face (iterated conditional modes, Besag, J. R. Stat. Soc. B 48 (1986) 259).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from weft.errors import WeftError
from weft.meshes.adjacency import Neighbours

_LEAST = 1e-6  # probability, so that no label is impossible
_DAMPING = 0.5
_ROUNDS = 50


def smooth_labels(probabilities: np.ndarray, near: Neighbours, strength: float) -> NDArray[np.int16]:
    """int16 [M], labels of low energy, never more than that of the most probable labels, which ``strength`` 0 gives.

    probabilities: [M, C], of each class. strength: at least 0; the cost in units of -log p of two neighbours in one
    plane with different labels. Raises WeftError for a negative strength, and where pairs name faces beyond M.
    """
    if strength < 0:
        raise WeftError(f"smoothing of labels: strength must be 0 or more, got {strength:g}")
    if len(near.pairs) and near.pairs.max() >= len(probabilities):
        raise WeftError(f"smoothing of labels: {len(probabilities)} faces, but neighbours name {near.pairs.max()}")
    costs = -np.log(np.maximum(probabilities, _LEAST).astype(np.float64))
    labels = costs.argmin(axis=1)
    if strength and len(near.pairs):
        tied = Neighbours(near.pairs, strength * near.weights)
        found = [_one_by_one(costs, tied, start) for start in (labels, _propagated(costs, tied))]
        labels = min(found, key=lambda each: energy(costs, tied, each))
    return labels.astype(np.int16)


def energy(costs: np.ndarray, near: Neighbours, labels: np.ndarray) -> float:
    """Costs [M, C] of the labels, and the weights of neighbours whose labels differ."""
    differ = labels[near.pairs[:, 0]] != labels[near.pairs[:, 1]]
    return float(costs[np.arange(len(labels)), labels].sum() + near.weights[differ].sum())


def _propagated(costs: np.ndarray, near: Neighbours) -> NDArray[np.int64]:
    """Labels of least belief after rounds of messages, half of each message being the last one."""
    source = np.concatenate([near.pairs[:, 0], near.pairs[:, 1]])
    target = np.concatenate([near.pairs[:, 1], near.pairs[:, 0]])
    back = np.roll(np.arange(len(source)), len(near.pairs))
    weight = np.tile(near.weights, 2)[:, None]
    arriving = sparse.csr_array((np.ones(len(target)), (target, np.arange(len(target)))), (len(costs), len(target)))
    messages = np.zeros((len(source), costs.shape[1]))
    beliefs = costs
    for _ in range(_ROUNDS):
        told = beliefs[source] - messages[back]
        told -= told.min(axis=1, keepdims=True)
        told = np.minimum(told, weight)
        changed = float(np.abs(told - messages).max())
        messages += (1 - _DAMPING) * (told - messages)
        beliefs = costs + arriving @ messages
        if changed < 1e-4:
            break
    return beliefs.argmin(axis=1)


def _one_by_one(costs: np.ndarray, near: Neighbours, labels: np.ndarray) -> NDArray[np.int64]:
    """Labels changed where a change of one face lowers the energy, those with the largest gain around them first."""
    n, classes = costs.shape
    labels = labels.copy()
    source = np.concatenate([near.pairs[:, 0], near.pairs[:, 1]])
    target = np.concatenate([near.pairs[:, 1], near.pairs[:, 0]])
    graph = sparse.csr_array((np.tile(near.weights, 2), (target, source)), (n, n))
    rows = np.arange(n)
    while True:
        same = np.zeros((n, classes))
        same[rows, labels] = 1
        total = costs - graph @ same  # up to what does not depend on the label
        better = total.argmin(axis=1)
        gain = total[rows, labels] - total[rows, better]
        gain[gain < 1e-9] = 0
        # No two neighbours at a time: only who gains more than all of them, the first where two gain the same.
        best = np.zeros(n)
        np.maximum.at(best, target, gain[source])
        ties = np.full(n, n)
        equal = gain[source] == gain[target]
        np.minimum.at(ties, target[equal], source[equal])
        moves = (gain > 0) & ((gain > best) | ((gain == best) & (rows < ties)))
        if not moves.any():
            return labels
        labels[moves] = better[moves]
