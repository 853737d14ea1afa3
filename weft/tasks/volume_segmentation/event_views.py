"""One stack in the report: its planes with what is true and what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.engine.task import Store
from weft.io.volume_products import spacing_of
from weft.report.figure import Figure
from weft.report.slices import slice_viewer
from weft.report.stack_view import busiest, outlines_of, predicted_maps
from weft.volumes.normalise import channel


def event_figures(store: Store, index: int, note: str, classes: Sequence[str], shown: int = 0) -> list[Figure]:
    """The viewer of stack `index`; note: why this one. shown: the channel of the image that is drawn."""
    row = store.events[index]
    caption = (
        f"Stack {row['run']}/{row['subrun']}/{row['event']}, {note}. Outlines: borders of objects where both have "
    )
    caption += "them, else of classes; drag in a plane to move the other two."
    maps: dict[str, Any] = {"image": channel(store["truth/image"][index], shown)}
    maps |= predicted_maps(store, "prediction", index, classes)
    outlines, _ = outlines_of(store, [("truth", "truth"), ("prediction", "prediction")], index)
    spacing = spacing_of(store["truth/spacing"][index])
    start = busiest(np.asarray(store["truth/labels"][index]))
    return [slice_viewer("slices", "A stack", caption, maps, outlines, spacing, start)]
