"""Options of the triplets task."""

from __future__ import annotations

from pydantic import Field

from weft.config.detector import NamedDetector
from weft.config.strict import Strict
from weft.triplets.label_options import TruthOptions
from weft.triplets.options import TripletOptions


class ModelOptions(TripletOptions):
    """Which detector, how candidates are searched, and which pixels are left out."""

    detector: NamedDetector = Field(
        description="name of a file in config/detectors, its path, or what it would say; that of the images"
    )
    mask: str | None = Field(
        None,
        description="an image product of the same shape, such as one of pixels tagged as cosmic; pixels where it is "
        "not 0 are left out of the search; null: none",
    )


class DataOptions(Strict):
    """What the candidates are judged by."""

    labels: TruthOptions = Field(TruthOptions(), description="what makes a cell a true one, as in later stages")


class Options(Strict):
    """Triplets of pixels of three wire planes."""

    model: ModelOptions
    data: DataOptions = DataOptions()
