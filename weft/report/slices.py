"""Stacks in a report: three planes through a point of the volume, with outlines of labels over them.

The fragment carries its data and its script; it asks nothing of the network. A volume that is too large for a page is
thinned, and the caption says so.
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

#: Voxels of a volume on the page: about a byte each, once for every map. A simulated stack has 1,179,648.
MOST_VOXELS = 1_200_000
#: Percentiles of the intensity that are black and white.
WINDOW = (0.5, 99.8)


@dataclass(frozen=True)
class Outline:
    """Labels [Z, Y, X] whose borders are drawn; -1 is drawn as a border too, as voxels that are not judged."""

    name: str
    labels: Any
    color: str


def slice_viewer(
    key: str,
    title: str,
    caption: str,
    maps: Mapping[str, Any],
    outlines: Sequence[Outline],
    spacing: tuple[float, float, float],
    start: tuple[int, int, int] | None = None,
) -> Figure:
    """Planes xy, xz and yz of a stack, to be moved through.

    maps: what is shown in grey, the first one at first: lazy volumes [Z, Y, X] of one shape, such as the image and a
    probability; each is scaled from black to white by its own percentiles. outlines: of labels of that shape.
    spacing: of voxels along z, y, x, µm; NaN: drawn as cubes. start: the voxel that the planes go through at first,
    default the middle. Raises WeftError for shapes that differ.
    """
    if not maps:
        raise WeftError(f"slice viewer {key!r}: no map to show")
    shape = tuple(next(iter(maps.values())).shape)
    for name, volume in [*maps.items(), *((outline.name, outline.labels) for outline in outlines)]:
        if tuple(volume.shape) != shape or len(shape) != 3:
            raise WeftError(f"slice viewer {key!r}: {name} has shape {tuple(volume.shape)}, expected {shape} [Z, Y, X]")
    steps = thinning(shape, spacing)
    every = tuple(slice(None, None, step) for step in steps)
    known = bool(np.isfinite(spacing).all())
    size = spacing if known else (1.0, 1.0, 1.0)
    middle = start or tuple(n // 2 for n in shape)
    payload = {
        "shape": [len(range(0, n, step)) for n, step in zip(shape, steps, strict=True)],
        "size": [length * step for length, step in zip(size, steps, strict=True)],
        "steps": list(steps),
        "unit": "µm" if known else "voxels",
        "start": [place // step for place, step in zip(middle, steps, strict=True)],
        "maps": [{"name": name, **_grey(np.asarray(volume[every]))} for name, volume in maps.items()],
        "outlines": [
            {"name": outline.name, "color": outline.color, "labels": packed(_small(outline.labels[every]), "u1")}
            for outline in outlines
        ],
    }
    if max(steps) > 1:
        caption += (
            f" Of the {' × '.join(map(str, shape))} voxels every {' × '.join(map(str, steps))} is shown (z × y × x)."
        )
    return Figure(key, title, caption, html=_fragment(payload))


def thinning(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> tuple[int, ...]:
    """Every how many voxels along each axis are shown: the finest axes are thinned first, those that are equally fine
    together, until at most MOST_VOXELS."""
    size = np.asarray(spacing) if np.isfinite(spacing).all() else np.ones(3)
    steps = np.ones(3, np.int64)
    while np.prod(shown := -(-np.asarray(shape) // steps)) > MOST_VOXELS:
        fine = np.where(shown > 1, size * steps, np.inf)
        steps += np.isclose(fine, fine.min())
    return tuple(steps.tolist())


def _grey(volume: np.ndarray) -> dict[str, Any]:
    """A volume as bytes between two of its percentiles."""
    low, high = np.percentile(volume, WINDOW) if volume.size else (0.0, 1.0)
    width = float(high - low) or 1.0
    grey = np.rint(np.clip((volume.astype(np.float32) - low) / width, 0, 1) * 255)
    return {"grey": packed(grey, "u1"), "low": float(low), "high": float(high)}


def _small(labels: np.ndarray) -> np.ndarray:
    """uint8 with borders where the labels have them: 0 stays, -1 becomes 255, others a number from 1 to 254.

    Numbers repeat beyond 254 objects; neighbours of the same number then look like one.
    """
    labels = np.asarray(labels)
    return np.where(labels > 0, (labels - 1) % 254 + 1, np.where(labels < 0, 255, 0)).astype(np.uint8)


def _fragment(payload: Mapping[str, Any]) -> str:
    script = Markup("\n").join(asset(name) for name in ("inflate.js", "slices.js"))
    return str(
        Markup(
            '<div class="slices"><noscript>The slice viewer needs JavaScript.</noscript>'
            '<script type="application/json">{}</script></div>'
            '<script>(() => {{\n"use strict";\n{}}})();</script>'
        ).format(json_for_script(payload), script)
    )
