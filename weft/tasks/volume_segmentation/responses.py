"""What the classical segmentation thresholds: answers of filters to a normalised stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weft.tasks.volume_segmentation.baseline_options import BaselineOptions, Filter
from weft.volumes import filters
from weft.volumes.lazy import LazyVolume
from weft.volumes.normalise import normalised
from weft.volumes.recipes import Background, Step

_OF_CURVATURE = {"log": filters.blobness, "vesselness": filters.vesselness, "plateness": filters.plateness}
#: Filters that see the surroundings of a voxel: a background that changes slowly says nothing to them.
_LOCAL: tuple[Filter, ...] = ("log", "vesselness", "plateness", "top_hat")


class Response(NamedTuple):
    """A filter at a size, after a background subtraction or not."""

    filter: Filter
    scale: float | None
    """µm; None: the intensity itself"""
    background: float | None
    """voxels; None: not subtracted"""

    @property
    def words(self) -> str:
        """For a report: ``vesselness of 0.4 µm``."""
        text = self.filter if self.scale is None else f"{self.filter} of {self.scale:g} µm"
        return text if self.background is None else f"{text}, background of {self.background:g} voxels subtracted"


def responses(options: BaselineOptions) -> list[Response]:
    """All that are tried."""
    made = []
    for background in dict.fromkeys((None, options.background)):
        for name in options.filters:
            if background is not None and name in _LOCAL:
                continue
            scales: Sequence[float | None] = (None,) if name == "intensity" else options.scales
            made += [Response(name, scale, background) for scale in scales]
    return made


def answers(
    wanted: Sequence[Response],
    image: LazyVolume,
    recipe: Sequence[Step],
    spacing: tuple[float, float, float],
) -> Iterator[tuple[Response, NDArray[np.float32]]]:
    """Each response to an image [Z, Y, X], float32 of its shape; the stack is held in memory.

    recipe: of the normalisation; a background is subtracted before it.
    """
    for background in dict.fromkeys(response.background for response in wanted):
        before = () if background is None else (Background(name="background", sigma=background),)
        volume = normalised(image, (*before, *recipe))[:]
        here = [response for response in wanted if response.background == background]
        for scale in dict.fromkeys(response.scale for response in here):
            yield from _at_scale([response for response in here if response.scale == scale], volume, spacing)


def _at_scale(
    wanted: Sequence[Response], volume: NDArray[np.float32], spacing: tuple[float, float, float]
) -> Iterator[tuple[Response, NDArray[np.float32]]]:
    curvature = None
    for response in wanted:
        if response.scale is None:
            yield response, volume
            continue
        size = filters.in_voxels(response.scale, spacing)
        if response.filter in _OF_CURVATURE:
            curvature = curvature or filters.curvature(volume, size)
            yield response, _OF_CURVATURE[response.filter](curvature)
        elif response.filter == "top_hat":
            yield response, filters.top_hat(volume, size)
        else:
            yield response, filters.gaussian(volume, size)
