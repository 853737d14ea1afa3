"""One image in the report: the picture, what is true, what was predicted, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.engine.task import Store
from weft.io.mask_colors import mask_colors
from weft.report.figure import Figure
from weft.report.pictures import Layer, picture_viewer


def event_figures(store: Store, index: int, note: str, classes: Sequence[str]) -> list[Figure]:
    """The viewer of image `index`; note: why this one."""
    row = store.events[index]
    truth = np.asarray(store["truth/mask"][index])
    predicted = np.asarray(store["prediction/mask"][index])
    wrong = np.where((truth >= 0) & (truth != predicted), predicted, -1)
    layers = [Layer("truth", truth), Layer("prediction", predicted), Layer("errors, as predicted", wrong)]
    judged = int((truth >= 0).sum())
    share = f"{(wrong >= 0).sum() / judged:.1%} of its judged pixels are wrong." if judged else "None of it is judged."
    caption = f"Image {row['run']}/{row['subrun']}/{row['event']}, {note}. {share}"
    colors = mask_colors(len(classes))
    return [
        picture_viewer("image", "An image", caption, np.asarray(store["truth/picture"][index]), layers, classes, colors)
    ]
