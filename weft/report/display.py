"""Rotatable three-dimensional event displays for a page: a small viewer of our own and compact event payloads."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from markupsafe import Markup

from weft.errors import WeftError
from weft.report.overlays import Layer, Markers
from weft.report.palette import CLASS_COLORS, CLASS_NAMES


@dataclass(frozen=True)
class Grid:
    """The detector box of an event: ``origin`` [cm] is its lower corner, ``size`` [cm] a voxel, ``shape`` in voxels."""

    origin: tuple[float, float, float]
    size: tuple[float, float, float]
    shape: tuple[int, int, int]


def packed(values: np.ndarray, dtype: str) -> str:
    """The numbers in memory order, deflated; read by ``decode`` of ``event.js``."""
    if not np.size(values):
        return ""
    deflate = zlib.compressobj(wbits=-15)
    deflated = deflate.compress(np.ascontiguousarray(values, dtype=dtype).tobytes()) + deflate.flush()
    return base64.b64encode(deflated).decode("ascii")


def _steps(voxels: np.ndarray) -> np.ndarray:
    """Each voxel less the one before it, modulo 65536: neighbours in the store are neighbours in space."""
    last = np.concatenate([np.zeros((1, 3), np.uint16), voxels[:-1].astype(np.uint16)])[: len(voxels)]
    return voxels.astype(np.uint16) - last


def _rounded(values: np.ndarray) -> np.ndarray:
    """float32 with the last 12 of 23 bits rounded away, which leaves more digits than are shown."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x800)) & np.uint32(0xFFFFF000)).view(np.float32)


def event_payload(
    voxels: np.ndarray,
    charge: np.ndarray,
    truth: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
    score: np.ndarray | None = None,
    *,
    grid: Grid,
    title: str,
    subtitle: str = "",
    label: str = "",
    layers: Sequence[Layer] = (),
    markers: Sequence[Markers] = (),
    color: str | None = None,
    classes: Mapping[int, tuple[str, str]] | None = None,
    things: str = "voxels",
    unit: str = "MeV",
) -> dict:
    """One event for :func:`event_display`, about 6 bytes a voxel on the page.

    ``voxels`` int [N, 3] are voxel indices (x, y, z), ``charge`` [N] or [N, 1] in MeV (kept to 1 in 4000), ``truth``
    and ``predicted`` class indices [N] (-1: no valid label), ``score`` [N] the probability in [0, 1] of the predicted
    class. ``label``
    is a word for the list of events, such as "worst 1". ``layers`` are further ways to colour the voxels, ``markers``
    are drawn over them; ``color`` is the layer that is looked at first, in place of the classes. ``classes`` are name
    and colour of each class index where these are not the semantic ones, ``things`` and ``unit`` words for what is
    drawn and for its charge. Raises `WeftError` where lengths disagree or a voxel lies outside of ``grid``.
    """
    voxels = np.asarray(voxels)
    n = len(voxels)
    columns = {"charge": charge, "truth": truth, "predicted": predicted, "score": score}
    rows = {name: np.asarray(column).reshape(-1) for name, column in columns.items() if column is not None}
    for name, column in rows.items():
        if len(column) != n:
            raise WeftError(f"event display {title!r}: {name} has {len(column)} rows, expected one per voxel ({n})")
    if n and (voxels.min() < 0 or (voxels >= np.asarray(grid.shape)).any() or max(grid.shape) > 65535):
        raise WeftError(f"event display {title!r}: voxel indices outside of the grid {tuple(grid.shape)}")
    payload: dict = {
        "title": title,
        "subtitle": subtitle,
        "label": label,
        "origin": [float(x) for x in grid.origin],
        "size": [float(x) for x in grid.size],
        "shape": [int(x) for x in grid.shape],
        "things": things,
        "unit": unit,
        "voxels": packed(_steps(voxels.reshape(n, 3)), "<u2"),
        "charge": packed(_rounded(rows["charge"]), "<f4"),
    }
    if classes is not None:
        payload["classes"] = _classes(classes)
    for name in ("truth", "predicted"):
        if name in rows:
            payload[name] = packed(rows[name], "i1")
    if "score" in rows:
        payload["score"] = packed(np.rint(np.clip(rows["score"], 0, 1) * 255), "u1")
    if layers:
        payload["layers"] = [_layer(layer, n, title) for layer in layers]
    if color is not None:
        payload["color"] = color
    if markers:
        payload["markers"] = [
            {
                "kind": marked.name,
                "source": marked.source,
                "positions": packed(marked.positions, "<f4"),
                "classes": packed(marked.classes, "i1"),
            }
            for marked in markers
        ]
    return payload


def _classes(classes: Mapping[int, tuple[str, str]]) -> list[dict[str, object]]:
    return [{"id": k, "name": name, "color": color} for k, (name, color) in classes.items()]


def _layer(layer: Layer, n: int, title: str) -> dict[str, str]:
    encoded = {"name": layer.name}
    for side, labels in (("truth", layer.truth), ("predicted", layer.predicted)):
        if labels is None:
            continue
        if len(labels) != n:
            raise WeftError(f"event display {title!r}: {layer.name} of {len(labels)} voxels, expected {n}")
        encoded[side] = packed(labels, "<i2")
    return encoded


def json_for_script(value: object) -> Markup:
    """JSON that is safe inside a ``<script>`` element whatever strings it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def event_display(
    events: Sequence[Mapping], names: Mapping[int, str] = CLASS_NAMES, colors: Mapping[int, str] = CLASS_COLORS
) -> Markup:
    """The HTML of one display of ``events`` (from :func:`event_payload`), the first of them shown.

    Classes are those that the payloads bring, the same in all, else ``names`` and ``colors``. The page carries
    :func:`viewer_script` once, and the styles of ``report.css``.
    """
    if not events:
        raise ValueError("an event display needs at least one event")
    classes = events[0].get("classes") or _classes({k: (names[k], colors[k]) for k in names})
    shown = [{key: value for key, value in event.items() if key != "classes"} for event in events]
    config = json_for_script({"classes": classes, "events": shown})
    return (
        Markup('<div class="event-display"><noscript>The event display needs JavaScript.</noscript>')
        + Markup('<script type="application/json">')
        + config
        + Markup("</script></div>")
    )


def viewer_script() -> Markup:
    """What draws all event displays of a page: the files of the viewer, in a scope of their own."""
    parts = Markup("\n").join(asset(name) for name in ("inflate.js", "event.js", "raster.js", "viewer.js"))
    return Markup('(() => {{\n"use strict";\n{}}})();').format(parts)


def asset(name: str) -> Markup:
    """The text of a file of ``weft/report/assets``."""
    return Markup(files("weft.report").joinpath("assets", name).read_text(encoding="utf-8"))
