"""Splits of a curated dataset: whose images, which segmentation of them becomes labels, and who decides."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict


class Acceptance(Strict):
    """What a segmentation must be like to be kept where nobody has decided."""

    min_confidence: float | None = Field(
        None, ge=0, le=1, description="mean probability of the class of a voxel, over the voxels that have one"
    )
    min_foreground: float | None = Field(None, ge=0, le=1, description="share of the voxels that have a class")
    max_foreground: float | None = Field(None, ge=0, le=1, description="share of the voxels that have a class")
    min_agreement: float | None = Field(
        None, ge=0, le=1, description="Dice of two segmentations, of those that are merged"
    )


class CurationOptions(Strict):
    """How a segmentation becomes labels and a cost map."""

    threshold: float = Field(0.5, ge=0, lt=1, description="of files of probabilities: above it a voxel has class 1")
    one_class: bool = Field(False, description="of files of numbered objects: every number above 0 is class 1")
    min_probability: float | None = Field(
        None, gt=0, le=1, description="of the class of a voxel, either class of two; below it its cost is 0"
    )


class Segmentation(Strict):
    """Predictions of a stage of an experiment, or of its baseline."""

    experiment: str = Field(description="name of a file in config/experiments, or its path")
    stage: str | None = Field(None, description="may be left out if there is only one")
    variant: str | None = Field(None, description="seedK, seedK-POINT of a sweep, or baseline; null: the first")


class CuratedSplit(Strict):
    """Images of one split of another dataset with labels that were curated."""

    how: Literal["takeall", "select", "merge"] = Field(
        description="takeall: every image; select: those with a score; merge: the same, of two segmentations"
    )
    split: str = Field(description="whose images: a split of the dataset, or of that of the experiment")
    dataset: str | None = Field(None, description="take its truth: name of a file in config/datasets, or its path")
    segmentation: Segmentation | None = Field(None, description="what becomes the labels, instead of a truth")
    other: Segmentation | None = Field(None, description="what is merged in where the merging masks are 1")
    decisions: str | None = Field(
        None, description="CSV with image, score, excluding_mask, merging_mask; see docs/curation.md"
    )
    accept: Acceptance | None = Field(None, description="decides about images that have no score")
    min_probability: float | None = Field(
        None, gt=0, le=1, description="of the class of a voxel, either class of two; below it its cost is 0"
    )

    @model_validator(mode="after")
    def _consistent(self) -> CuratedSplit:
        if (self.dataset is None) == (self.segmentation is None):
            raise ValueError("give either dataset, for its truth, or segmentation")
        if self.dataset is not None and self.how != "takeall":
            raise ValueError(f"how: a truth is taken whole (takeall), {self.how} needs a segmentation")
        if self.dataset is not None and self.min_probability is not None:
            raise ValueError("min_probability: a truth has no probabilities")
        if (self.other is not None) != (self.how == "merge"):
            raise ValueError("other: two segmentations are for merge, and merge needs them")
        if self.how == "takeall" and self.accept is not None:
            raise ValueError("accept: takeall takes every image; use select")
        if self.how != "takeall" and self.accept is None and self.decisions is None:
            raise ValueError(f"{self.how} needs decisions or accept: nobody says which images are kept")
        if self.how == "merge" and self.decisions is None:
            raise ValueError("merge needs decisions, with the merging masks")
        if self.accept is not None and self.accept.min_agreement is not None and self.how != "merge":
            raise ValueError("accept.min_agreement: there is one segmentation only; use merge")
        return self
