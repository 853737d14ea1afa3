"""Faces that share an edge, and by how much the mesh is creased there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.meshes.geometry import areas


class Neighbours(NamedTuple):
    """Pairs of faces that share an edge, each pair once."""

    pairs: NDArray[np.int64]
    """[P, 2], first < second, in order"""
    weights: NDArray[np.float64]
    """[P], 1 of two in a plane and less over a crease; summed over the edges that the two share"""


def neighbours(vertices: np.ndarray, faces: np.ndarray, crease: float = 30.0) -> Neighbours:
    """Faces that share an edge: two corners at the same places, whether or not they are the same vertices.

    Where an edge has more than two faces, each is a neighbour of the next in the order of the file, and the last of the
    first. Which way faces are turned round does not matter.

    vertices: float64 [V, 3]. faces: [M, 3].
    crease: degrees; a fold by so much has the weight exp(-1/2), one by none 1, in between a Gaussian. Faces with the
    same corners count as in one plane, and so does a face without area with its neighbours.
    """
    corners = np.unique(vertices + 0.0, axis=0, return_inverse=True)[1].reshape(-1)[faces].reshape(-1, 3)
    sides = np.sort(np.stack([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    side = np.flatnonzero(sides[:, 0] != sides[:, 1])
    side = side[np.lexsort((side, sides[side, 1], sides[side, 0]))]  # side k is that of face k // 3 from corner k % 3
    first = np.flatnonzero(np.append(True, (sides[side[1:]] != sides[side[:-1]]).any(axis=1))[: len(side)])
    counts = np.diff(np.append(first, len(side)))
    after = np.arange(1, len(side) + 1)
    after[first + counts - 1] = first  # the last face of an edge is followed by its first
    keep = np.repeat(counts > 2, counts)  # two would be each other's next, and one its own
    keep[first[counts == 2]] = True
    a, b = side[keep], side[after[keep]]
    a, b = (both[a // 3 != b // 3] for both in (a, b))
    weights = np.exp(-0.5 * (_folds(vertices, faces, corners, a, b) / crease) ** 2)
    pairs, which = np.unique(np.sort(np.stack([a // 3, b // 3], axis=1), axis=1), axis=0, return_inverse=True)
    return Neighbours(pairs, np.bincount(which.reshape(-1), weights, len(pairs)).astype(np.float64))


def _folds(vertices: np.ndarray, faces: np.ndarray, corners: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 [K], degrees from 0 (one plane) to 180, between the faces of sides a and b, which lie on each other."""
    points = vertices[faces]
    into = []
    for side in (a, b):
        start, end, tip = (points[side // 3, (side + step) % 3] for step in range(3))
        along = end - start
        along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
        inwards = tip - start
        inwards = inwards - (inwards * along).sum(axis=1, keepdims=True) * along
        into.append(inwards / np.maximum(np.linalg.norm(inwards, axis=1, keepdims=True), 1e-300))
    fold = 180 - np.degrees(np.arccos(np.clip((into[0] * into[1]).sum(axis=1), -1, 1)))
    flat = areas(points) == 0
    same = (np.sort(corners[a // 3], axis=1) == np.sort(corners[b // 3], axis=1)).all(axis=1)
    return np.where(same | flat[a // 3] | flat[b // 3], 0, fold)
