"""One picture of an event store: what is true, what was predicted of it, and where the two differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.io.mask_colors import mask_colors
from weft.io.store import EventStore
from weft.report.class_names import class_names
from weft.report.figure import Figure
from weft.report.pictures import Layer, picture_viewer

TRUTH = "truth"


def can_show_picture(store: EventStore) -> bool:
    """Whether the events of a store are pictures."""
    return f"{TRUTH}/picture" in store


def picture_figure(store: EventStore, index: int) -> Figure:
    """The viewer of picture `index` of a store opened as ``truth``, beside as many predictions as there are."""
    sides = list(store.files)
    row = store.events[index]
    caption = f"Image {row['run']}/{row['subrun']}/{row['event']}{_name(store, index)}."
    masks = _masks(store, index, sides)
    predicted = [side for side in masks if side != TRUTH]
    if TRUTH in masks:
        for side in predicted:
            caption += (f" {side}: " if len(predicted) > 1 else " ") + share_wrong(masks[TRUTH], masks[side])
    return view_picture(store, index, caption, masks, class_names(store, sides, "mask"))


def view_picture(
    store: Any, index: int, caption: str, masks: Mapping[str, np.ndarray], classes: Sequence[str]
) -> Figure:
    """The viewer of one picture.

    masks: int [Y, X] by what they are, the truth as ``truth``. classes: names of the classes; where a mask is beyond
    them, its number stands for its name.
    """
    highest = max((int(mask.max(initial=-1)) for mask in masks.values()), default=-1)
    named = [*classes, *map(str, range(len(classes), highest + 1))]
    layers = [Layer(name, mask) for name, mask in masks.items()]
    for name, mask in masks.items():
        if name != TRUTH and TRUTH in masks:
            several = "" if len(masks) == 2 else f" of {name}"
            layers.append(Layer(f"errors{several}, as predicted", errors(masks[TRUTH], mask)))
    picture = np.asarray(store[f"{TRUTH}/picture"][index])
    return picture_viewer("image", "An image", caption, picture, layers, named, mask_colors(len(named)))


def errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The predicted class where it is not the true one, −1 elsewhere; int [Y, X]."""
    return np.where((truth >= 0) & (truth != predicted), predicted, -1)


def share_wrong(truth: np.ndarray, predicted: np.ndarray) -> str:
    """How much of what is judged is wrong, as a sentence. Around a middle that alone is predicted nothing is judged."""
    judged = (truth >= 0) & (predicted >= 0)
    if not judged.any():
        return "None of it is judged."
    return f"{(truth != predicted)[judged].mean():.1%} of its judged pixels are wrong."


def _masks(store: EventStore, index: int, sides: Sequence[str]) -> dict[str, np.ndarray]:
    """Of every side that has masks; a true one without any label says nothing and is left out."""
    found = {side: np.asarray(store[f"{side}/mask"][index]) for side in sides if f"{side}/mask" in store}
    return {side: mask for side, mask in found.items() if side != TRUTH or (mask >= 0).any()}


def _name(store: EventStore, index: int) -> str:
    """``, street_01``, where the store says it."""
    if f"{TRUTH}/origin" not in store:
        return ""
    product = store[f"{TRUTH}/origin"]
    return f", {product.schema.codes['image'][int(product[index][0]['image'])]}"
