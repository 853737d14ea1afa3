"""Options of the segmentation of meshes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.meshes.augment_options import AugmentOptions
from weft.meshes.feature_options import FeatureOptions
from weft.tasks.mesh_segmentation.baseline_options import BaselineOptions
from weft.tasks.mesh_segmentation.loss_options import LossOptions
from weft.tasks.mesh_segmentation.model_options import VALUES_FACES, ModelOptions

#: Of the lowest frequency of positions: no two places of a cluster, or of a tile, look the same.
PERIODS = {"cluster": 64.0, "mesh": 256.0, "bbox": 1.0}

#: Of SUM, the Semantic Urban Meshes of Helsinki.
CLASSES = ("terrain", "high vegetation", "building", "water", "car", "boat")


class ClusterOptions(Strict):
    """Faces in clusters, and clusters in samples: what attends to each other (spec §4)."""

    faces: int = Field(128, ge=2, description="the most of a cluster")
    per_sample: int = Field(16, ge=1, description="clusters of a training sample: one and those nearest to it")
    method: Literal["auto", "split", "kmeans"] = Field(
        "auto", description="recursive cuts (split), k-means, or by the size of the mesh"
    )
    recluster: bool = Field(True, description="cluster the faces of a training sample anew each time, at random")


class SmoothingOptions(Strict):
    """Labels smoothed over faces that share an edge, after the prediction (spec §14)."""

    strength: float = Field(1.0, gt=0, description="cost of two neighbours with different labels, in units of -log p")
    crease: float = Field(
        30.0, gt=0, description="degrees; over a fold by so much that cost is exp(-1/2) of that in a plane"
    )


class InferenceOptions(Strict):
    """How whole meshes are predicted: compact parts of them with clusters around each that are context (spec §14)."""

    clusters: int | None = Field(
        None, ge=1, description="of a part, context included; null: data.clusters.per_sample and the context"
    )
    context: int = Field(4, ge=0, description="of them that are not predicted, but seen")
    shifted: int = Field(1, ge=1, description="clusterings that probabilities are the mean over")
    batch_size: int = Field(4, ge=1, description="parts at a time")
    smoothing: SmoothingOptions | None = Field(None, description="of the labels; {} takes the defaults")

    @model_validator(mode="after")
    def _some_are_predicted(self) -> InferenceOptions:
        if self.clusters is not None and self.context >= self.clusters:
            raise ValueError(f"context {self.context} leaves nothing of {self.clusters} clusters to predict")
        return self


class DataOptions(Strict):
    """What the network sees of a mesh, in training and after."""

    classes: tuple[str, ...] = Field(CLASSES, min_length=2, description="names of the classes of the labels")
    features: FeatureOptions = Field(FeatureOptions(), description="of a face")
    clusters: ClusterOptions = ClusterOptions()
    pixels: int = Field(32, ge=1, description="the most of a face, of those that model.texture reads")
    augment: AugmentOptions | None = Field(AugmentOptions(), description="how training samples are varied")
    turns: int = Field(
        1, ge=1, description="training samples drawn from a mesh before the next: more are read less often"
    )
    held: float = Field(2048.0, ge=0, description="MiB of meshes that a loader process holds")
    inference: InferenceOptions = InferenceOptions()

    @model_validator(mode="after")
    def _each_class_once(self) -> DataOptions:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: each name once")
        return self


class Options(Strict):
    """Segmentation of meshes, face by face."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @property
    def network(self) -> ModelOptions:
        """`model` with what is left open there and follows from `data`."""
        fourier = self.model.fourier
        if fourier is None or fourier.period is not None:
            return self.model
        known = fourier.model_copy(update={"period": PERIODS[self.data.features.positions]})
        return self.model.model_copy(update={"fourier": known})

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        if self.model.fourier is not None and self.data.features.positions == "none":
            raise ValueError("model.fourier is of positions, and data.features.positions is none")
        relative = self.model.relative
        if relative is not None and relative.values and self.data.clusters.faces > VALUES_FACES:
            raise ValueError(
                f"model.relative.values: clusters of {self.data.clusters.faces} faces, at most {VALUES_FACES} expected "
                "(data.clusters.faces)"
            )
        return self
