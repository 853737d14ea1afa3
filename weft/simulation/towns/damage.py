"""From clean surfaces to what photographs give: welded, noisy, torn, doubled, partly without a class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.simulation.towns.classes import UNCLASSIFIED
from weft.simulation.towns.settings import Damage

#: Vertices are one where they agree to this, m.
_WELD = 1e-3


class Surface(NamedTuple):
    """A mesh with one row for each face.

    Attributes:
        vertices: float64 [V, 3], m.
        faces: int64 [M, 3].
        coordinates: float64 [M, 3, 2], of the texture, at each corner.
        texture: int64 [M], number of the page; −1 none.
        labels: int64 [M], class in the file.
        segments: int64 [M], which piece of surface.
    """

    vertices: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray
    texture: np.ndarray
    labels: np.ndarray
    segments: np.ndarray

    def of(self, chosen: np.ndarray) -> Surface:
        """Some faces of it, by number or by mask."""
        return Surface(self.vertices, *(part[chosen] for part in self[1:]))


def damaged(surface: Surface, options: Damage, rng: np.random.Generator) -> Surface:
    """A welded mesh as a file would have it: faces in no particular order."""
    noise = options.noise * rng.standard_normal(surface.vertices.shape)
    surface = surface._replace(vertices=surface.vertices + noise)
    surface = surface.of(rng.uniform(size=len(surface.faces)) >= options.holes)
    surface = split(surface, rng.uniform(size=len(surface.faces)) < options.junctions)
    surface = surface._replace(
        labels=np.where(_patches(surface, options, rng), UNCLASSIFIED, surface.labels),
        texture=np.where(rng.uniform(size=len(surface.faces)) < options.untextured, -1, surface.texture),
    )
    surface = doubled(surface, rng.uniform(size=len(surface.faces)) < options.duplicates, rng)
    return surface.of(rng.permutation(len(surface.faces)))


def welded(surface: Surface) -> Surface:
    """Vertices at one place are one vertex; faces that this leaves with two corners are no more."""
    _, first, number = np.unique(
        np.rint(surface.vertices / _WELD).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = number.ravel()[surface.faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return surface._replace(vertices=surface.vertices[first], faces=faces).of(whole)


def split(surface: Surface, chosen: np.ndarray) -> Surface:
    """The chosen faces cut in two at the middle of their longest edge, their neighbours not: junctions like a T.

    Both halves stand where the face stood.
    """
    corners = surface.vertices[surface.faces]
    longest = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2).argmax(axis=1)
    times = np.where(chosen, 2, 1)
    out = surface.of(np.repeat(np.arange(len(surface.faces)), times))
    at = np.cumsum(times)[chosen] - 2
    which = np.flatnonzero(chosen)
    edge = longest[which]
    order = (edge[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(surface.faces[which], order, 1).T
    middle = len(surface.vertices) + np.arange(len(which))
    vertices = np.vstack([surface.vertices, (surface.vertices[a] + surface.vertices[b]) / 2])
    of_a, of_b, of_c = (surface.coordinates[which, order[:, k]] for k in range(3))
    halfway = (of_a + of_b) / 2
    faces, coordinates = out.faces.copy(), out.coordinates.copy()
    faces[at], faces[at + 1] = np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)
    coordinates[at], coordinates[at + 1] = np.stack([of_a, halfway, of_c], 1), np.stack([halfway, of_b, of_c], 1)
    return out._replace(vertices=vertices, faces=faces, coordinates=coordinates)


def doubled(surface: Surface, chosen: np.ndarray, rng: np.random.Generator) -> Surface:
    """The chosen faces once more, half of them beginning at another corner: the same triangles, other rows."""
    copies = surface.of(chosen)
    begin = np.where(rng.uniform(size=len(copies.faces)) < 0.5, 1, 0)
    order = (begin[:, None] + np.arange(3)) % 3
    copies = copies._replace(
        faces=np.take_along_axis(copies.faces, order, 1),
        coordinates=np.take_along_axis(copies.coordinates, order[..., None], 1),
    )
    return Surface(surface.vertices, *(np.concatenate(pair) for pair in zip(surface[1:], copies[1:], strict=True)))


def _patches(surface: Surface, options: Damage, rng: np.random.Generator) -> np.ndarray:
    """bool [M]: faces around random ones, until the share is reached."""
    found = np.zeros(len(surface.faces), bool)
    centroids = surface.vertices[surface.faces].mean(axis=1)
    while found.sum() < options.unlabelled * len(found):
        centre = centroids[int(rng.integers(len(found)))]
        found |= np.linalg.norm(centroids - centre, axis=1) < options.patch / 2
    return found
