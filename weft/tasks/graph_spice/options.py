"""Options of the Graph-SPICE task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.tasks.fragmenting_options import EmbedderOptions, FragmentingOptions

Positive = Literal["softplus", "exp"]


class GraphOptions(Strict):
    """Which voxels of a class are joined by an edge."""

    kind: Literal["radius", "knn"] = Field("radius", description="all within a radius, or the k nearest")
    radius: float = Field(1.9, gt=0, description="voxels; with 1.9 the 26 that touch one")
    k: int = Field(8, ge=1, description="neighbours of each voxel, with knn")


class ClusteringOptions(Strict):
    """From scores of edges to fragments."""

    edge_threshold: float = Field(
        0.1, ge=0, le=1, description="inverted: edges with at most this probability of a cut stay; else: at least this"
    )
    min_size: int = Field(3, ge=0, description="components with fewer voxels are orphans, which their neighbours adopt")
    orphan_radius: float = Field(1.9, gt=0, description="voxels; how far a neighbour may be")
    assign_all: bool = Field(
        True, description="orphans without neighbours make fragments of those that touch; else they are dropped"
    )


class ModelOptions(EmbedderOptions):
    """U-ResNet, features of voxels, and a kernel that judges pairs of them. Defaults: SPINE's graph_spice.cfg."""

    features: Literal["raw", "heads"] = Field(
        "raw", description="raw: what the U-ResNet gives; heads: place, features, covariance and occupancy made of it"
    )
    feature_dim: int = Field(16, ge=1, description="features of a voxel, with heads")
    covariance: Positive = Field("softplus", description="what makes the covariance positive, with heads")
    occupancy: Positive = Field("softplus", description="what makes the occupancy positive, with heads")
    kernel: Literal["bilinear", "mlp", "default"] = Field(
        "bilinear", description="bilinear: x·W·y; mlp: a small network; default: distance over covariance, needs heads"
    )
    kernel_bias: bool = Field(False, description="a constant in the bilinear or mlp kernel")
    mlp_width: int = Field(32, ge=1, description="hidden channels of the mlp kernel")
    mlp_depth: int = Field(2, ge=1, description="hidden layers of the mlp kernel")
    graph: GraphOptions = GraphOptions()
    invert: bool = Field(True, description="a high score means that an edge is cut, not that it stays")
    clustering: ClusteringOptions = ClusteringOptions()

    @model_validator(mode="after")
    def _distances(self) -> ModelOptions:
        if self.kernel == "default" and self.features != "heads":
            raise ValueError(
                "kernel: default compares places, features, covariances and occupancies: it needs features: heads"
            )
        return self


class LossOptions(Strict):
    """dice_weight · (−log Dice) + bce_weight · cross-entropy of edges (spec §1.5)."""

    dice_weight: float = Field(0.8, ge=0, description="of −log of the Dice coefficient of all edges of a micro-batch")
    bce_weight: float = Field(0.2, ge=0, description="of the cross-entropy")
    balance: bool = Field(False, description="edges that stay and that are cut weigh the same in the cross-entropy")
    equal_sampling: bool = Field(False, description="learn from as many edges of either kind, drawn at random")
    min_sample_edges: int = Field(
        1000, ge=1, description="least number drawn of each kind, with equal_sampling; some repeatedly if need be"
    )

    @model_validator(mode="after")
    def _one_balance(self) -> LossOptions:
        if self.balance and self.equal_sampling:
            raise ValueError("balance: equal_sampling leaves nothing to balance, choose one")
        return self


class Options(FragmentingOptions):
    """Fragments as connected components of a graph whose edges a network judges."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
