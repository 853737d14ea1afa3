"""Faces of one kind everywhere: a mesh made from photographs does not show by its triangles what they lie on."""

from __future__ import annotations

import numpy as np

from weft.simulation.towns.damage import Surface

#: Rounds of cutting; each halves the faces that are too large.
_ROUNDS = 6
#: Vertices slide along the surface where its faces differ by less than this from their mean (cosine).
_PLANE = 0.9


def refined(surface: Surface, edge: float, spread: float, rng: np.random.Generator) -> Surface:
    """Faces cut at their longest edges, together with their neighbours there, until they are small enough.

    edge: m, of a face of the median size. spread: r.m.s. of the logarithm of the largest area that a face may have.
    """
    # Halves of what is larger are about 0.7 of that.
    most = 1.4 * np.sqrt(3) / 4 * edge**2 * np.exp(spread * rng.standard_normal(len(surface.faces)))
    for _ in range(_ROUNDS):
        large = _areas(surface) > most
        if not large.any():
            break
        surface, parent = _cut(surface, large, rng)
        # Another limit for each half, so that sizes do not come in powers of two.
        most = most[parent] * np.exp(0.3 * spread * rng.standard_normal(len(parent)))
    return surface


def loosened(surface: Surface, share: float, rng: np.random.Generator) -> Surface:
    """Vertices moved within their surface, by up to `share` of the mean edge there: no grid is left to be seen.

    Vertices of creases and of the border stay where they are. The picture moves with the vertices.
    """
    vertices, faces = surface.vertices, surface.faces
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    unit = normal / np.maximum(length, 1e-12)
    at, count = faces.ravel(), np.bincount(faces.ravel(), minlength=len(vertices))
    mean = _sums(at, np.repeat(unit, 3, axis=0), len(vertices)) / np.maximum(count, 1)[:, None]
    size = np.linalg.norm(mean, axis=1)
    edges = np.linalg.norm(vertices[faces[:, [1, 2, 0]]] - vertices[faces], axis=2)
    reach = np.bincount(at, edges.ravel(), len(vertices)) / np.maximum(count, 1)
    ends, edge = _edges(faces, len(vertices))
    times = np.bincount(edge.ravel(), minlength=len(ends))
    free = size > _PLANE
    free[ends[times != 2].ravel()] = False
    moves = rng.uniform(-1, 1, vertices.shape) * (share * reach)[:, None]
    up = mean / np.maximum(size, 1e-12)[:, None]
    moves -= (moves * up).sum(axis=1, keepdims=True) * up
    return surface._replace(vertices=vertices + np.where(free[:, None], moves, 0))


def _edges(faces: np.ndarray, n_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [E, 2], the ends of each edge, and [M, 3], those of each face: from corner 0 to 1, 1 to 2, 2 to 0."""
    sides = np.sort(np.stack([faces, faces[:, [1, 2, 0]]], 2), axis=2)
    key, edge = np.unique(sides[..., 0] * n_vertices + sides[..., 1], return_inverse=True)
    return np.stack(np.divmod(key, n_vertices), 1), edge.reshape(faces.shape)


def _areas(surface: Surface) -> np.ndarray:
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _sums(at: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    return np.stack([np.bincount(at, column, count) for column in values.T], 1)


def _cut(surface: Surface, large: np.ndarray, rng: np.random.Generator) -> tuple[Surface, np.ndarray]:
    """Each edge that is the longest of a large face cut in the middle, in all faces that have it; of several edges of
    one face one. Also int64 [M']: the face that each came from."""
    faces = surface.faces
    ends, edge = _edges(faces, len(surface.vertices))
    corners = surface.vertices[faces]
    longest = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2).argmax(axis=1)
    rank = np.full(len(ends), -1.0)
    rank[edge[large, longest[large]]] = rng.random(int(large.sum()))
    # An edge is cut where it outranks the others of all its faces.
    best = rank[edge].max(axis=1)
    beaten = np.zeros(len(ends), bool)
    np.logical_or.at(beaten, edge.ravel(), (rank[edge] < best[:, None]).ravel())
    cut = (rank >= 0) & ~beaten
    which = np.flatnonzero(cut[edge].any(axis=1))
    side = cut[edge[which]].argmax(axis=1)
    number = np.cumsum(cut) - 1 + len(surface.vertices)
    middle = number[edge[which, side]]
    vertices = np.vstack([surface.vertices, surface.vertices[ends[cut]].mean(axis=1)])
    order = (side[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(faces[which], order, 1).T
    of_a, of_b, of_c = (surface.coordinates[which, order[:, k]] for k in range(3))
    halfway = (of_a + of_b) / 2
    whole = np.setdiff1d(np.arange(len(faces)), which)
    parent = np.concatenate([whole, which, which])
    out = surface.of(parent)
    n, m = len(whole), len(which)
    new, uv = out.faces.copy(), out.coordinates.copy()
    new[n : n + m], new[n + m :] = np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)
    uv[n : n + m], uv[n + m :] = np.stack([of_a, halfway, of_c], 1), np.stack([halfway, of_b, of_c], 1)
    return out._replace(vertices=vertices, faces=new, coordinates=uv), parent
