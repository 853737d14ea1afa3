"""One stack of an event store: its planes, with outlines of what is true and of what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.io.store import EventStore
from weft.io.volume_products import UNCERTAINTIES, spacing_of
from weft.report.figure import Figure
from weft.report.palette import SERIES_COLORS
from weft.report.slices import Outline, slice_viewer
from weft.volumes.lazy import LazyVolume
from weft.volumes.normalise import channel

TRUTH = "truth"
TRUTH_COLOR = SERIES_COLORS[4]
#: Of the prediction that is judged, then of further ones.
PREDICTED_COLORS = (SERIES_COLORS[1], *(color for k, color in enumerate(SERIES_COLORS) if k not in (1, 4)))


def can_show_stack(store: EventStore) -> bool:
    """Whether the events of a store are dense stacks."""
    return f"{TRUTH}/image" in store


def stack_figure(store: EventStore, index: int) -> Figure:
    """The slice viewer of stack `index` of a store opened as ``truth``, beside as many predictions as there are."""
    image = store[f"{TRUTH}/image"][index]
    only = image.shape[0] == 1
    maps: dict[str, Any] = {"image" if only else f"channel {c}": channel(image, c) for c in range(image.shape[0])}
    sides = list(store.files)
    for side in sides[1:]:
        several = "" if len(sides) == 2 else f", {side}"
        maps |= {f"{name}{several}": volume for name, volume in predicted_maps(store, side, index).items()}
    outlines, by_object = outlines_of(store, [(side, side) for side in sides], index)
    row = store.events[index]
    caption = f"Stack {row['run']}/{row['subrun']}/{row['event']}{_name(store, index)}."
    if outlines:
        caption += f" Outlines: borders of {'objects' if by_object else 'classes'}."
    first = next((np.asarray(outline.labels) for outline in outlines), None)
    spacing = spacing_of(store[f"{TRUTH}/spacing"][index])
    start = None if first is None else busiest(first)
    caption += " Drag in a plane to move the other two."
    return slice_viewer("slices", "A stack", caption, maps, outlines, spacing, start)


def predicted_maps(store: Any, side: str, index: int, classes: Sequence[str] = ()) -> dict[str, LazyVolume]:
    """Probabilities of each class but the background, and uncertainties, of what a store has of them.

    classes: names, background first; default: those of the product.
    """
    maps: dict[str, LazyVolume] = {}
    if f"{side}/probabilities" in store:
        product = store[f"{side}/probabilities"]
        names = classes or [column.name for column in product.schema.columns]
        maps |= {f"probability of {name}": channel(product[index], c) for c, name in enumerate(names) if c}
    if f"{side}/uncertainty" in store:
        uncertainty = store[f"{side}/uncertainty"][index]
        maps |= {name.replace("_", " "): channel(uncertainty, k) for k, name in enumerate(UNCERTAINTIES)}
    return maps


def outlines_of(store: Any, sides: Sequence[tuple[str, str]], index: int) -> tuple[list[Outline], bool]:
    """An outline of each side, (its alias in the store, what it is called), that has labels; and whether these are of
    objects, which they are where all of them have objects."""
    there = [side for side in sides if f"{side[0]}/labels" in store or f"{side[0]}/instances" in store]
    by_object = all(f"{alias}/instances" in store for alias, _ in there)
    if by_object and any(alias == TRUTH for alias, _ in there):
        # A shard has instances as soon as one of its images has them: of the others none are known.
        by_object = bool((np.asarray(store[f"{TRUTH}/instances"][index]) >= 0).any())
    product = "instances" if by_object else "labels"
    made, colors = [], iter(PREDICTED_COLORS * len(there))
    for alias, name in there:
        if f"{alias}/{product}" in store:
            color = TRUTH_COLOR if alias == TRUTH else next(colors)
            made.append(Outline(name, store[f"{alias}/{product}"][index], color))
    return made, by_object


def busiest(labels: np.ndarray) -> tuple[int, int, int]:
    """The voxel of the planes that cut most of what is labelled; the middle of a stack without any."""
    inside = labels > 0
    if not inside.any():
        z, y, x = (n // 2 for n in labels.shape)
        return z, y, x
    counts = [inside.sum(axis=tuple(k for k in range(3) if k != axis)) for axis in range(3)]
    z, y, x = (int(count.argmax()) for count in counts)
    return z, y, x


def _name(store: EventStore, index: int) -> str:
    """``, img_001, time point 2``, where the store says it."""
    if f"{TRUTH}/origin" not in store:
        return ""
    product = store[f"{TRUTH}/origin"]
    (row,) = product[index]
    time = f", time point {row['time']}" if row["time"] else ""
    return f", {product.schema.codes['image'][int(row['image'])]}{time}"
