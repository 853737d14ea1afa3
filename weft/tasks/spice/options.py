"""Options of the SPICE task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.tasks.fragmenting_options import ClassName, EmbedderOptions, FragmentingOptions

Thresholds = float | tuple[float, ...] | dict[ClassName, float]


class ClusteringOptions(Strict):
    """How clusters are read off the embedding (spec §1.4)."""

    rule: Literal["compete", "greedy"] = Field(
        "compete",
        description="compete: in the end every voxel goes to the seed that claims it most (2020); greedy: it stays "
        "with the first seed that took it (SPINE)",
    )
    s_thresholds: Thresholds = Field(
        0.0, description="least seediness of a seed: one number, one for each of `classes` in order, or {class: number}"
    )
    p_thresholds: Thresholds = Field(0.5, description="probability above which a seed takes a voxel, likewise")
    cluster_all: bool = Field(True, description="voxels that no seed takes go to the most probable one; else dropped")
    min_size: int = Field(2, ge=1, description="fewest voxels of a fragment; smaller ones are dropped")
    mean_shift: int = Field(
        0,
        ge=0,
        description="how often the centre and the width of a seed are moved to the mean of all voxels that it claims",
    )
    fresh: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="a seed is none where at most this share of all that it claims is still nobody's (Neven et al.: "
        "0.5). 0: every voxel that nobody took may be one, but with mean_shift at least one of all must be nobody's",
    )
    touching: int = Field(
        0,
        ge=0,
        description="0: a fragment may have parts that do not touch; else these are fragments of their own, as in the "
        "labels with data.break_clusters, and a part of fewer voxels than this joins the one beside it",
    )


class ModelOptions(EmbedderOptions):
    """One encoder, a decoder for embedding and margin, another one for seediness. Defaults: SPINE's spice.cfg."""

    clustering: ClusteringOptions = ClusteringOptions()

    @model_validator(mode="after")
    def _fitting(self) -> ModelOptions:
        for key in ("s_thresholds", "p_thresholds"):
            given = getattr(self.clustering, key)
            if isinstance(given, dict) and set(given) != set(self.classes):
                raise ValueError(
                    f"clustering.{key}: numbers for {', '.join(given)}; classes: {', '.join(self.classes)}"
                )
            if isinstance(given, tuple) and len(given) != len(self.classes):
                raise ValueError(f"clustering.{key}: {len(given)} numbers for {len(self.classes)} classes")
            if not all(0 <= value <= 1 for value in self._by_class(given)):
                raise ValueError(f"clustering.{key}: expected numbers from 0 to 1")
        return self

    def thresholds(self, key: Literal["s_thresholds", "p_thresholds"]) -> dict[int, float]:
        """The threshold of each class, by its number."""
        return dict(zip(self.class_numbers, self._by_class(getattr(self.clustering, key)), strict=True))

    def _by_class(self, given: Thresholds) -> tuple[float, ...]:
        if isinstance(given, dict):
            return tuple(given[name] for name in self.classes)
        return given if isinstance(given, tuple) else (given,) * len(self.classes)


class LossOptions(Strict):
    """Mask, separation, seediness and smoothing (spec §1.4)."""

    form: Literal["se_lovasz_inter", "bce"] = Field(
        "se_lovasz_inter",
        description="se_lovasz_inter: Lovász hinge of each mask, mean over the classes of an event, then over events "
        "(2020); bce: cross-entropy of voxels and clusters, mean over the classes of all events (SPINE)",
    )
    embedding_weight: float = Field(1.0, ge=0, description="of the masks; with se_lovasz_inter of the separation too")
    inter_weight: float = Field(1.0, ge=0, description="of the separation of centroids (2020 always took 1)")
    seediness_weight: float = Field(1.0, ge=0, description="of the seediness")
    smoothing_weight: float = Field(1.0, ge=0, description="of the spread of margins within a cluster")
    inter_margin: float = Field(0.2, ge=0, description="half the distance below which centroids repel each other")
    min_voxels: int = Field(1, ge=1, description="labelled voxels that a class of an event needs to be learned from")


class Options(FragmentingOptions):
    """Dense clustering of voxels into fragments."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
