"""Whole stacks through a network: probabilities, labels, objects, how uncertain they are (spec §7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from weft.dense.folding import folded
from weft.dense.size_law import Size, SizeLaw
from weft.dense.uncertainty import uncertain_windows
from weft.dense.views import views
from weft.dense.windows import sliding_windows
from weft.engine.task import Products, Sample
from weft.io.volume_products import UNCERTAINTIES
from weft.tasks.volume_segmentation.options import InferenceOptions
from weft.volumes.lazy import LazyVolume, scratch, slabs
from weft.volumes.objects import decided, find_objects
from weft.volumes.resize import resized_slabs


@torch.inference_mode()
def predict_stack(body: nn.Module, law: SizeLaw, size_in: Size, classes: int, sample: Sample,
                  options: InferenceOptions) -> Products:  # fmt: skip
    """``labels``, ``probabilities``, and as asked for ``instances`` and ``objects``, ``uncertainty``.

    body: takes volumes [B, C, Z, Y, X]. sample: arrays ``image`` [C, Z, Y, X] normalised, ``raw`` as in the file,
    ``spacing`` (3,) µm, any of which may be lazy. An image of another size than ``raw`` has been resized: probabilities
    and uncertainty are resized back, before any threshold. The arrays of the answer lie in scratch files where they are
    large.
    """
    image: LazyVolume = sample.arrays["image"]
    shape, seen = tuple(sample.arrays["raw"].shape), tuple(image.shape[1:])
    probabilities = scratch((classes, *shape), np.float32, options.memory)
    made: Products = {}
    if options.uncertainty is None:
        for z, slab in resized_slabs(_windows(body, image, law, size_in, options), seen, shape):
            probabilities[:, z : z + slab.shape[1]] = slab
    else:
        unsure = scratch((len(UNCERTAINTIES), *shape), np.float32, options.memory)
        passes, seed = options.uncertainty.passes, options.uncertainty.seed
        given = _given(body, options)
        windows = uncertain_windows(folded(body), image, law, size_in, passes=passes, seed=seed, **given)
        together = ((z, np.concatenate((slab, maps))) for z, slab, maps in windows)
        for z, slab in resized_slabs(together, seen, shape):
            probabilities[:, z : z + slab.shape[1]] = slab[:classes]
            unsure[:, z : z + slab.shape[1]] = slab[classes:]
        made["uncertainty"] = unsure
    labels = decided(probabilities, options.threshold)
    if options.objects is None:
        found = scratch(shape, np.int16, options.memory)
        for z, slab in slabs(labels):
            found[z : z + len(slab)] = slab
        return {"labels": found, "probabilities": probabilities} | made
    dz, dy, dx = (float(n) for n in sample.arrays["spacing"])
    objects = find_objects(labels, options.objects, (dz, dy, dx), sample.arrays["raw"], probabilities, options.memory)
    return made | {
        "labels": objects.labels,
        "probabilities": probabilities,
        "instances": objects.instances,
        "objects": objects.objects,
    }


def _windows(
    body: nn.Module, image: LazyVolume, law: SizeLaw, size_in: Size, options: InferenceOptions
) -> Iterator[tuple[int, np.ndarray]]:
    given = _given(body, options)
    return sliding_windows(folded(body), image, law, size_in, mean=options.mean, **given)


def _given(body: nn.Module, options: InferenceOptions) -> dict[str, Any]:
    return {
        "overlap": options.overlap,
        "weight": options.weight,
        "batch_size": options.batch_size,
        "views": views(options.views),
        "device": next(body.parameters()).device,
        "memory_mib": options.memory,
    }
