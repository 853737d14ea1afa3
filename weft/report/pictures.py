"""Pictures in a report: an image, and masks over it to be looked at one by one.

The fragment carries its pictures and asks nothing of the network; without JavaScript the first layer is shown. A
picture that is too large for a page is thinned, and the caption says so.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from weft.errors import WeftError
from weft.io.png import png_bytes
from weft.report.display import asset
from weft.report.figure import Figure

#: Pixels of a picture on the page.
MOST_PIXELS = 1 << 19
#: Percentiles of the intensity that are black and white, of pictures that are not uint8.
WINDOW = (0.5, 99.5)


@dataclass(frozen=True)
class Layer:
    """A mask int [Y, X] over the picture; −1 shows the picture."""

    name: str
    mask: np.ndarray


def picture_viewer(
    key: str,
    title: str,
    caption: str,
    picture: np.ndarray,
    layers: Sequence[Layer],
    classes: Sequence[str],
    colors: np.ndarray,
) -> Figure:
    """A picture with buttons for its layers, a slider for how much they cover, and a legend; without layers, alone.

    picture: [C, Y, X] of 1 or 3 channels. colors: uint8 [classes, 3]. Raises WeftError for shapes that differ.
    """
    size = tuple(picture.shape[1:])
    for layer in layers:
        if layer.mask.shape != size:
            raise WeftError(f"picture viewer {key!r}: {layer.name} has shape {layer.mask.shape}, the picture {size}")
    step = 1
    while np.prod(-(-np.array(size) // step)) > MOST_PIXELS:
        step += 1
    if step > 1:
        caption += f" One of every {step} rows and columns of {size[0]} × {size[1]} is shown."
    seen = _bytes_of(picture[:, ::step, ::step])
    shown = [(layer.name, _over(layer.mask[::step, ::step], colors)) for layer in layers]
    return Figure(key, title, caption, html=_fragment(seen, shown, classes, colors))


def _bytes_of(picture: np.ndarray) -> np.ndarray:
    """uint8 [Y, X, 3]"""
    if picture.dtype != np.uint8:
        low, high = np.percentile(picture, WINDOW) if picture.size else (0.0, 1.0)
        scaled = (picture.astype(np.float32) - low) / (float(high - low) or 1.0)
        picture = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    three = np.repeat(picture, 3, axis=0) if picture.shape[0] == 1 else picture[:3]
    return np.ascontiguousarray(three.transpose(1, 2, 0))


def _over(mask: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """uint8 [Y, X, 4]: colours of the classes, nothing where the mask is −1."""
    made = np.zeros((*mask.shape, 4), np.uint8)
    known = (mask >= 0) & (mask < len(colors))
    made[known, :3] = colors[mask[known]]
    made[known, 3] = 255
    return made


def _source(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")


def _fragment(
    picture: np.ndarray, layers: Sequence[tuple[str, np.ndarray]], classes: Sequence[str], colors: np.ndarray
) -> str:
    images = Markup("").join(
        Markup('<img alt="{}" src="{}"{}>').format(name, _source(image), Markup("" if k == 0 else " hidden"))
        for k, (name, image) in enumerate(layers)
    )
    if not layers:
        return str(Markup('<div class="picture" data-ready>{}</div>').format(_stage(picture, Markup(""))))
    buttons = Markup("").join(
        Markup('<button type="button" aria-pressed="{}">{}</button>').format("true" if k == 0 else "false", name)
        for k, (name, _) in enumerate([*layers, ("picture", picture)])
    )
    legend = Markup("").join(
        Markup('<span><i style="background:rgb({},{},{})"></i>{}</span>').format(*colors[k].tolist(), name)
        for k, name in enumerate(classes)
    )
    return str(
        Markup(
            '<div class="picture"><div class="controls">{}<label>cover <input type="range" min="0" max="100" '
            'value="65"></label></div>{}<div class="legend">{}</div></div>'
            '<script>(() => {{\n"use strict";\n{}}})();</script>'
        ).format(buttons, _stage(picture, images), legend, asset("pictures.js"))
    )


def _stage(picture: np.ndarray, over: Markup) -> Markup:
    # One that is higher than wide is no higher than what is seen of a page.
    share = f"{80 * picture.shape[1] / max(picture.shape[0], 1):.1f}vh"
    return Markup('<div class="stage" style="max-width:{}"><img alt="picture" src="{}">{}</div>').format(
        share, _source(picture), over
    )
