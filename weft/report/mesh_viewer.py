"""Meshes in a report: one that can be turned, its faces coloured by what is known of them.

The fragment carries its data and its script; it asks nothing of the network. Of a mesh with too many faces for a page
the middle is shown, and the caption says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from weft.errors import WeftError
from weft.report.display import asset, json_for_script, packed
from weft.report.figure import Figure

#: Faces of a mesh on the page, about 12 bytes each.
MOST_FACES = 60_000


@dataclass(frozen=True)
class FaceLayer:
    """One way to colour faces: by class, or each in a colour of its own.

    Attributes:
        name: what the viewer calls it.
        values: integers [M], with `classes`; or uint8 [M, 3], RGB.
        classes: name and colour ("#rrggbb") of each value that occurs, from −128 to 127.
    """

    name: str
    values: np.ndarray
    classes: Mapping[int, tuple[str, str]] | None = None


def mesh_viewer(
    key: str, title: str, caption: str, vertices: np.ndarray, faces: np.ndarray, layers: Sequence[FaceLayer]
) -> Figure:
    """A mesh to be turned, in two panels that turn together.

    vertices: float64 [V, 3], m. faces: [M, 3]. layers: the first is shown to the left, the second to the right; others
    can be chosen. Raises WeftError for a layer that does not fit, naming it.
    """
    if not layers:
        raise WeftError(f"mesh viewer {key!r}: no layer to show")
    for layer in layers:
        _check(key, layer, len(faces))
    shown = middle_faces(vertices, faces, MOST_FACES)
    if len(shown) < len(faces):
        counts = f" Of the {len(faces):,} faces the {len(shown):,} nearest the middle are shown."
        caption += counts.replace(",", "\u2009")
    used, corners = np.unique(faces[shown], return_inverse=True)
    points = vertices[used]
    low = points.min(axis=0) if len(points) else np.zeros(3)
    extent = np.maximum(points.max(axis=0) - low, 1e-6) if len(points) else np.ones(3)
    wide = len(used) > 1 << 16
    payload: dict[str, Any] = {
        "extent": extent.tolist(),
        "vertices": packed(np.rint((points - low) / extent * 65535), "<u2"),
        "wide": wide,
        "faces": packed(corners, "<u4" if wide else "<u2"),
        "layers": [_encoded(layer, shown) for layer in layers],
    }
    return Figure(key, title, caption, html=_fragment(payload))


def middle_faces(vertices: np.ndarray, faces: np.ndarray, most: int) -> np.ndarray:
    """int64, increasing: all faces, or the `most` whose centroids lie in the smallest square around the middle."""
    if len(faces) <= most:
        return np.arange(len(faces))
    centroids = vertices[faces].mean(axis=1)[:, :2]
    middle = (centroids.min(axis=0) + centroids.max(axis=0)) / 2
    away = np.abs(centroids - middle).max(axis=1)
    return np.sort(np.argsort(away, kind="stable")[:most])


def _check(key: str, layer: FaceLayer, count: int) -> None:
    shape = (count,) if layer.classes is not None else (count, 3)
    if layer.values.shape != shape:
        raise WeftError(f"mesh viewer {key!r}: {layer.name} has shape {layer.values.shape}, expected {shape}")
    if layer.classes is not None:
        unknown = sorted(set(np.unique(layer.values).tolist()) - set(layer.classes))
        if unknown:
            raise WeftError(f"mesh viewer {key!r}: {layer.name} has the value {unknown[0]}, none of its classes")


def _encoded(layer: FaceLayer, shown: np.ndarray) -> dict[str, Any]:
    values = layer.values[shown]
    if layer.classes is None:
        return {"name": layer.name, "colours": packed(values, "u1")}
    classes = [{"id": k, "name": name, "color": color} for k, (name, color) in layer.classes.items()]
    return {"name": layer.name, "labels": packed(values, "i1"), "classes": classes}


def _fragment(payload: Mapping[str, Any]) -> str:
    script = Markup("\n").join(asset(name) for name in ("inflate.js", "mesh.js"))
    return str(
        Markup(
            '<div class="mesh-view"><noscript>The mesh viewer needs JavaScript.</noscript>'
            '<script type="application/json">{}</script></div>'
            '<script>(() => {{\n"use strict";\n{}}})();</script>'
        ).format(json_for_script(payload), script)
    )
