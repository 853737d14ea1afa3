"""Geometric features of faces, for a network that reads clusters of them (spec §3; NoMeFormer, ISPRS Annals X-G-2025).

Columns: the three corners (9, not with ``positions: none``), the angles at them (3), the unit normal (3, ``normals``),
slope, height and roughness (3, ``surface``), the area (1): 16 with positions and normals, 19 with the surface, 7 and 10
without positions.

A network sees some faces of a mesh at a time, and with some options features depend on the whole of it
(:func:`needs_frame`): :func:`mesh_frame` measures that once, and :func:`face_features` is then the same for a face
whatever others are asked for with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.errors import WeftError
from weft.meshes.feature_options import FeatureOptions
from weft.meshes.geometry import areas, centroids, corner_angles, normals

#: Columns of the product ``face_surface``, in m.
SURFACE = ("height", "roughness")


class Frame(NamedTuple):
    """What features of one face depend on beyond the face: the whole mesh."""

    low: NDArray[np.float64]
    """[3] m, lower corner of the box around the mesh"""
    high: NDArray[np.float64]
    """[3] m, its upper corner"""
    centre: NDArray[np.float64]
    """[3] m, mean of the corners of all faces: a vertex that no face has does not count"""
    angles: tuple[float, float]
    """smallest and largest angle, radians"""
    areas: tuple[float, float]
    """smallest and largest area, m2"""


def feature_names(options: FeatureOptions) -> tuple[str, ...]:
    """Names of the columns of :func:`face_features`."""
    names: tuple[str, ...] = ()
    if options.positions != "none":
        names += tuple(f"{axis}{corner}" for corner in range(3) for axis in "xyz")
    names += tuple(f"angle{corner}" for corner in range(3))
    if options.normals:
        names += ("normal_x", "normal_y", "normal_z")
    if options.surface:
        names += ("slope", *SURFACE)
    return (*names, "area")


def needs_frame(options: FeatureOptions) -> bool:
    """Whether features of a face depend on the whole mesh, beyond its face and cluster."""
    return options.positions in ("bbox", "mesh") or options.scaling == "mesh"


def mesh_frame(vertices: np.ndarray, faces: np.ndarray) -> Frame:
    """The frame of a mesh: vertices float64 [V, 3] in m, faces [M, 3]. One without faces has the box of one point."""
    if not len(faces):
        zero = np.zeros(3)
        return Frame(zero, zero, zero, (0.0, 0.0), (0.0, 0.0))
    corners = vertices[faces]
    angle, area = corner_angles(corners), areas(corners)
    points = corners.reshape(-1, 3)
    return Frame(
        points.min(axis=0),
        points.max(axis=0),
        points.mean(axis=0),
        (float(angle.min()), float(angle.max())),
        (float(area.min()), float(area.max())),
    )


def face_features(
    vertices: np.ndarray,
    faces: np.ndarray,
    surface: np.ndarray | None,
    options: FeatureOptions,
    *,
    clusters: np.ndarray | None = None,
    frame: Frame | None = None,
) -> NDArray[np.float32]:
    """float32 [M, Dg], the columns of :func:`feature_names`.

    vertices: float64 [V, 3] in m. faces: [M, 3]; may be some of the faces of a mesh, with the ``frame`` of the whole.
    surface: [M, 2] height and roughness in m (:mod:`weft.meshes.surface`), needed with ``options.surface``.
    clusters: [M] numbers of the clusters, whole ones, needed with ``positions: cluster``; its centre is the mean of the
    centroids of its faces.
    frame: read where the options need one (:func:`needs_frame`); default, that of the faces given.
    Raises WeftError where ``surface`` or ``clusters`` are needed and missing, or do not have a row per face.
    """
    if options.surface and (surface is None or surface.shape != (len(faces), len(SURFACE))):
        given = "none" if surface is None else str(list(surface.shape))
        raise WeftError(f"features of faces: expected heights and roughness of shape [{len(faces)}, 2], got {given}")
    if options.positions == "cluster" and (clusters is None or clusters.shape != (len(faces),)):
        given = "none" if clusters is None else str(list(clusters.shape))
        raise WeftError(f"features of faces: expected the clusters of {len(faces)} faces, got {given}")
    corners = vertices[faces].astype(np.float64, copy=False)
    if frame is None and needs_frame(options):
        frame = mesh_frame(vertices, faces)
    columns: list[np.ndarray] = []
    if options.positions != "none":
        columns.append(_positions(corners, options, clusters, frame).reshape(-1, 9))
    angle, area, normal = corner_angles(corners), areas(corners), normals(corners)
    if options.scaling == "mesh":
        assert frame is not None
        angle, size = _share(angle, *frame.angles), _share(area, *frame.areas)
    else:
        angle, size = angle / np.pi, np.log1p(area)
    columns.append(angle)
    if options.normals:
        columns.append(normal)
    if options.surface:
        assert surface is not None
        columns += [np.arccos(np.clip(np.abs(normal[:, 2:]), 0, 1)), surface]
    columns.append(size[:, None])
    return np.concatenate(columns, axis=1).astype(np.float32)


def _positions(
    corners: np.ndarray, options: FeatureOptions, clusters: np.ndarray | None, frame: Frame | None
) -> np.ndarray:
    """float64 [M, 3, 3]"""
    if options.positions == "cluster":
        assert clusters is not None
        return corners - cluster_centres(centroids(corners), clusters)[clusters][:, None]
    assert frame is not None
    return _share(corners, frame.low, frame.high) if options.positions == "bbox" else corners - frame.centre


def cluster_centres(points: np.ndarray, clusters: np.ndarray) -> NDArray[np.float64]:
    """float64 [N, 3], the mean of the points [M, 3] of each of the clusters 0 to N - 1; NaN of an empty one."""
    n = int(clusters.max()) + 1 if len(clusters) else 0
    counts = np.bincount(clusters, minlength=n)
    sums = np.stack([np.bincount(clusters, points[:, axis], n) for axis in range(3)], axis=1)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums / counts[:, None]
    return means


def _share(values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """(values - low) / (high - low), 0 where the range has no width."""
    width = np.asarray(high, np.float64) - low
    return (values - low) / np.where(width > 0, width, 1)
