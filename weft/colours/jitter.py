"""Colours varied at random as by torchvision: brightness, contrast, saturation and hue, in a random order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft.colours.hue import turned_hue
from weft.colours.jitter_options import Widths
from weft.colours.luma import grey

Colours = NDArray[np.float32]


def jittered(colours: Colours, widths: Widths, rng: np.random.Generator, *, cut: bool = True) -> Colours:
    """float32 [..., C], colours of that shape, all varied alike; the mean grey is that of all of them.

    Where C is not 3, only brightness and contrast are varied, and the mean grey is the mean.
    cut: whether each change is cut to [0, 1], for colours in units of full scale.
    """
    steps = {"brightness": _bright, "contrast": _contrast, "saturation": _saturated, "hue": turned_hue}
    for name in rng.permutation(list(steps)):
        width = getattr(widths, name)
        if not width or not colours.size or (colours.shape[-1] != 3 and name in ("saturation", "hue")):
            continue
        amount = rng.uniform(-width, width)
        colours = steps[str(name)](colours, amount if name == "hue" else 1 + amount)
        if cut:
            colours = np.clip(colours, 0, 1)
    return colours


def _bright(colours: Colours, factor: float) -> Colours:
    return colours * np.float32(factor)


def _contrast(colours: Colours, factor: float) -> Colours:
    mean = np.float32((grey(colours) if colours.shape[-1] == 3 else colours).mean(dtype=np.float64))
    return mean + (colours - mean) * np.float32(factor)


def _saturated(colours: Colours, factor: float) -> Colours:
    own = grey(colours)[..., None]
    return own + (colours - own) * np.float32(factor)
