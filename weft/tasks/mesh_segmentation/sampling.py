"""From a mesh to what the network sees of some of its faces: features, pixels, labels (spec §4 to §6, §10)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.colours.jitter import jittered
from weft.io.products import Ragged
from weft.meshes.augment import kept, vary_geometry
from weft.meshes.clusters import cluster_faces
from weft.meshes.feature_options import FeatureOptions
from weft.meshes.features import Frame, face_features, mesh_frame, needs_frame
from weft.meshes.geometry import areas, centroids
from weft.meshes.texture import sample_pixels
from weft.tasks.mesh_segmentation.clustered import Clustered
from weft.tasks.mesh_segmentation.options import DataOptions
from weft.tasks.mesh_segmentation.tile import Reads, Tile

Arrays = dict[str, np.ndarray]
"""of one sample, see :func:`weft.tasks.mesh_segmentation.batch.of_samples`"""


def draw_sample(mesh: Clustered, turn: int, data: DataOptions, places: Reads, rng: np.random.Generator) -> Arrays:
    """Training sample ``turn`` of a mesh, varied at random."""
    tile, augment = mesh.tile, data.augment
    chosen = mesh.sample(turn, data.clusters.per_sample)
    if augment is not None:
        chosen = chosen[kept(len(chosen), augment.cluster_drop, rng)]
    rows = mesh.rows(chosen)
    if augment is not None:
        rows = rows[kept(len(rows), augment.face_drop, rng)]
    part = _varied(tile, rows, data, rng)
    clusters = without_gaps(mesh.clusters[rows])
    if data.clusters.recluster:
        middles, seed = centroids(part.vertices[part.faces]), int(rng.integers(2**63))
        clusters = cluster_faces(middles, data.clusters.faces, method=data.clusters.method, seed=seed)
    made = _seen(part, clusters, data.features) | {"face": rows}
    if tile.labels is not None:
        made |= {"labels": tile.labels[rows], "area": areas(part.vertices[part.faces])}
    if tile.pixels is not None:
        textured = _textured(tile, rows)
        if augment is not None:
            textured = textured[kept(len(textured), augment.texture_drop, rng)]
        made |= _pixels(tile, rows, textured, data.pixels, places, rng)
        if part.mirrored and places == "bary":  # corners 1 and 2 are swapped
            made["places"] = made["places"][:, ::-1]
        if augment is not None and augment.colour is not None:
            colours = np.asarray(made["pixels"], np.float32) / np.float32(255)
            made["pixels"] = _bytes(jittered(colours, augment.colour, rng))
    return made


def fixed_sample(mesh: Clustered, chosen: np.ndarray, data: DataOptions, places: Reads) -> Arrays:
    """Some clusters of a mesh as they are predicted: nothing is random; without labels."""
    tile, rows = mesh.tile, mesh.rows(chosen)
    part = _part(tile, rows, tile.frame if needs_frame(data.features) else None)
    made = _seen(part, without_gaps(mesh.clusters[rows]), data.features) | {"face": rows}
    if tile.pixels is not None:
        made |= _pixels(tile, rows, _textured(tile, rows), data.pixels, places, None)
    return made


class _Part(NamedTuple):
    """Some faces of a mesh, with vertices of their own."""

    vertices: NDArray[np.float64]
    faces: np.ndarray
    surface: np.ndarray | None
    mirrored: bool
    frame: Frame | None
    """of the whole mesh, where features depend on it"""


def _part(tile: Tile, rows: np.ndarray, frame: Frame | None) -> _Part:
    used, faces = np.unique(tile.faces[rows], return_inverse=True)
    surface = None if tile.surface is None else tile.surface[rows]
    return _Part(tile.vertices[used], faces.reshape(-1, 3), surface, False, frame)


def _varied(tile: Tile, rows: np.ndarray, data: DataOptions, rng: np.random.Generator) -> _Part:
    needs = needs_frame(data.features)
    if data.augment is None:
        return _part(tile, rows, tile.frame if needs else None)
    if needs:  # the whole mesh is turned, and measured anew
        whole = vary_geometry(tile.vertices, tile.faces, tile.surface, data.augment, rng)
        frame = mesh_frame(whole.vertices, whole.faces)
        made = _part(Tile(whole.vertices, whole.faces, whole.surface, None, None, None), rows, frame)
        return made._replace(mirrored=whole.mirrored)
    part = _part(tile, rows, None)
    return _Part(*vary_geometry(part.vertices, part.faces, part.surface, data.augment, rng), None)


def _seen(part: _Part, clusters: np.ndarray, features: FeatureOptions) -> Arrays:
    middles = centroids(part.vertices[part.faces])
    return {
        "cluster": clusters,
        "geometry": face_features(
            part.vertices, part.faces, part.surface, features, clusters=clusters, frame=part.frame
        ),
        "centroids": middles - middles.mean(axis=0) if len(middles) else middles,
    }


def _textured(tile: Tile, rows: np.ndarray) -> NDArray[np.int64]:
    """Which of the faces ``rows`` have a texture."""
    assert tile.pixels is not None
    return np.flatnonzero(tile.pixels.counts[rows] > 0)


def _pixels(
    tile: Tile, rows: np.ndarray, textured: np.ndarray, most: int, places: Reads, rng: np.random.Generator | None
) -> Arrays:
    """At most so many pixels of each textured face; with a generator drawn at random."""
    pixels = tile.pixels
    assert isinstance(pixels, Ragged)
    faces = rows[textured]
    inside, counts = sample_pixels(pixels.counts[faces], most, rng)
    owner = np.repeat(faces, counts)
    values = pixels.values[pixels.offsets[owner] + inside]
    weights = np.stack([values["w1"], values["w2"]], axis=1).astype(np.float32)
    if places == "uv":
        assert tile.texcoords is not None
        corners = tile.texcoords[owner].reshape(-1, 3, 2)
        weights = corners[:, 0] + np.einsum("nk,nkd->nd", weights, corners[:, 1:] - corners[:, :1])
    return {
        "textured": textured,
        "pixel_counts": counts,
        "pixels": np.stack([values["r"], values["g"], values["b"]], axis=1),
        "places": weights,
    }


def without_gaps(numbers: np.ndarray) -> NDArray[np.int32]:
    """The same groups, numbered 0, 1, …"""
    return np.unique(numbers, return_inverse=True)[1].reshape(-1).astype(np.int32)


def _bytes(colours: np.ndarray) -> NDArray[np.uint8]:
    return np.rint(255 * colours).astype(np.uint8)
