"""Whole pictures through a network: windows, refinement, masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from weft.dense.size_law import AxisLaw, SizeLaw
from weft.dense.windows import sliding_windows
from weft.engine.task import Products
from weft.images.crf import refined
from weft.images.morphology import closed, opened
from weft.images.normalise import normalised
from weft.images.sizes import Window, centre, cut, resized
from weft.tasks.image_segmentation.network import STEP
from weft.tasks.image_segmentation.options import DataOptions, InferenceOptions

#: A picture is a volume of one plane, whose rows and columns are halved five times.
LAW = SizeLaw(AxisLaw(1), AxisLaw(STEP, STEP), AxisLaw(STEP, STEP), "unet")


@torch.inference_mode()
def predict_picture(body: nn.Module, picture: NDArray[np.float32], classes: int, options: DataOptions) -> Products:
    """``mask`` int16 [Y, X] and ``mask_probabilities`` float32 [K, Y, X].

    body: in evaluation mode, [B, C, Y, X] to logits [B, K, Y, X]. picture: [C, Y, X] in units of full scale. Where only
    the middle is predicted, the mask is −1 around it and the probabilities are equal.
    """
    assert not body.training, "a network in training mode cannot predict"
    size = picture.shape[1:]
    whole = Window(0, 0, *size)
    part = whole if options.size is None or options.fit == "resize" else centre(size, options.size)
    seen = picture if part == whole else cut(picture, part)
    shown = resized(seen, options.size) if options.size is not None and options.fit == "resize" else seen
    probabilities = _windows(body, normalised(shown, options.mean, options.std), options.inference)
    if shown.shape != seen.shape:
        probabilities = resized(probabilities, part.size)
    if options.inference.crf is not None:
        probabilities = refined(probabilities, seen, options.inference.crf)
    return _placed(probabilities, _mask(probabilities, options.inference), part, (size[0], size[1]), classes)


def _windows(body: nn.Module, picture: NDArray[np.float32], options: InferenceOptions) -> NDArray[np.float32]:
    """Probabilities [K, Y, X] of a normalised picture [C, Y, X]."""

    def network(planes: Tensor) -> Tensor:
        return body(planes[:, :, 0])[:, :, None]

    made = sliding_windows(
        network, picture[:, None], LAW, (1, *options.window), overlap=options.overlap, weight=options.weight,
        batch_size=options.batch_size, device=next(body.parameters()).device,
    )  # fmt: skip
    return np.concatenate([slab for _, slab in made], axis=1)[:, 0]


def _mask(probabilities: NDArray[np.float32], options: InferenceOptions) -> NDArray[np.int16]:
    mask = probabilities.argmax(0).astype(np.int16)
    if options.closing:
        mask = closed(mask, options.closing)
    return opened(mask, options.opening, probabilities) if options.opening else mask


def _placed(probabilities: Any, mask: Any, part: Window, size: tuple[int, int], classes: int) -> Products:
    """What was predicted of a part of a picture in its place."""
    if part == Window(0, 0, *size):
        return {"mask": mask, "mask_probabilities": probabilities}
    rows, columns = part.within(size)
    inside = (slice(rows.start - part.top, rows.stop - part.top),
              slice(columns.start - part.left, columns.stop - part.left))  # fmt: skip
    all_of_it = np.full(size, -1, np.int16)
    all_of_it[rows, columns] = mask[inside]
    even = np.full((classes, *size), 1 / classes, np.float32)
    even[:, rows, columns] = probabilities[(slice(None), *inside)]
    return {"mask": all_of_it, "mask_probabilities": even}
