"""One image in the report: the picture, what is true, what was predicted, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.engine.task import Store
from weft.report.figure import Figure
from weft.report.picture_view import TRUTH, share_wrong, view_picture


def event_figures(store: Store, index: int, note: str, classes: Sequence[str]) -> list[Figure]:
    """The viewer of image `index`; note: why this one."""
    row = store.events[index]
    masks = {side: np.asarray(store[f"{side}/mask"][index]) for side in (TRUTH, "prediction")}
    caption = (
        f"Image {row['run']}/{row['subrun']}/{row['event']}, {note}. {share_wrong(masks[TRUTH], masks['prediction'])}"
    )
    return [view_picture(store, index, caption, masks, classes)]
