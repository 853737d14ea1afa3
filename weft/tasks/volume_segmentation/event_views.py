"""One stack in the report: its planes with what is true and what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.engine.task import Store
from weft.io.volume_products import UNCERTAINTIES, spacing_of
from weft.report.figure import Figure
from weft.report.palette import SERIES_COLORS
from weft.report.slices import Outline, slice_viewer
from weft.volumes.lazy import LazyVolume
from weft.volumes.normalise import channel

TRUTH_COLOR, PREDICTED_COLOR = SERIES_COLORS[4], SERIES_COLORS[1]


def event_figures(store: Store, index: int, note: str, classes: Sequence[str], shown: int = 0) -> list[Figure]:
    """The viewer of stack `index`; note: why this one. shown: the channel of the image that is drawn."""
    row = store.events[index]
    caption = (
        f"Stack {row['run']}/{row['subrun']}/{row['event']}, {note}. Outlines: borders of objects where both have "
    )
    caption += "them, else of classes; drag in a plane to move the other two."
    maps: dict[str, Any] = {"image": channel(store["truth/image"][index], shown)}
    if "prediction/probabilities" in store:
        probabilities = store["prediction/probabilities"][index]
        maps |= {f"probability of {name}": channel(probabilities, c) for c, name in enumerate(classes) if c}
    if "prediction/uncertainty" in store:
        maps |= _uncertainties(store["prediction/uncertainty"][index])
    by_object = all(f"{side}/instances" in store for side in ("truth", "prediction"))
    # A shard has instances as soon as one of its images has them: of the others none are known.
    by_object = by_object and bool((np.asarray(store["truth/instances"][index]) >= 0).any())
    product = "instances" if by_object else "labels"
    outlines = [
        Outline("truth", store[f"truth/{product}"][index], TRUTH_COLOR),
        Outline("prediction", store[f"prediction/{product}"][index], PREDICTED_COLOR),
    ]
    spacing = spacing_of(store["truth/spacing"][index])
    start = busiest(np.asarray(store["truth/labels"][index]))
    return [slice_viewer("slices", "A stack", caption, maps, outlines, spacing, start)]


def _uncertainties(uncertainty: LazyVolume) -> Mapping[str, LazyVolume]:
    return {name.replace("_", " "): channel(uncertainty, k) for k, name in enumerate(UNCERTAINTIES)}


def busiest(labels: np.ndarray) -> tuple[int, int, int]:
    """The voxel of the planes that cut most of what is labelled; the middle of a stack without any."""
    inside = labels > 0
    if not inside.any():
        z, y, x = (n // 2 for n in labels.shape)
        return z, y, x
    counts = [inside.sum(axis=tuple(k for k in range(3) if k != axis)) for axis in range(3)]
    z, y, x = (int(count.argmax()) for count in counts)
    return z, y, x
