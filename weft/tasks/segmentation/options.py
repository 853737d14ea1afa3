"""Options of the segmentation task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from weft.config.strict import Strict


class ModelOptions(Strict):
    """U-ResNet (spec §1.2). The defaults are those of SPINE's uresnet.cfg: 10,956,229 parameters."""

    filters: int = Field(32, ge=1, description="channels at full resolution; level l has filters·(l+1)")
    depth: int = Field(5, ge=1, description="resolution levels")
    reps: int = Field(2, ge=1, description="residual blocks a level")
    input_kernel: int = Field(3, ge=1, description="kernel size of the stem")
    leak: float = Field(0.33, ge=0, description="negative slope of the leaky ReLU; 0 is a ReLU")
    norm_eps: float = Field(1e-4, gt=0, description="batch normalisation, epsilon")
    norm_momentum: float = Field(0.01, gt=0, le=1, description="batch normalisation, weight of the new batch")
    ghost: bool = Field(False, description="a second head that tells ghost points from real ones (spec §1.1)")
    engine: Literal["auto", "numba", "torch", "minkowski"] = Field(
        "auto", description="sparse convolution engine; auto: numba on CPU, torch elsewhere (docs/sparse.md)"
    )


class LossOptions(Strict):
    """Cross-entropy over voxels, alpha·L_semantic + beta·L_ghost (spec §1.1-1.2)."""

    balance: float = Field(
        0.0, ge=0, le=1, description="a class weighs (N/(classes·n_c))^balance: 0 as it comes, 1 each the same"
    )
    upweight_points: bool = Field(False, description="give voxels near label points the weight of all others")
    point_radius: float = Field(20.0, gt=0, description="voxels; how near that is")
    semantic_weight: float = Field(1.0, ge=0, description="alpha")
    ghost_weight: float = Field(1.0, ge=0, description="beta, with a ghost head")


class DataOptions(Strict):
    """What the network sees, and how it is varied in training."""

    charge: Literal["log", "linear"] = Field(
        "log", description="log: 0.01 to 20 MeV mapped to -1 to 1 on a logarithmic scale; linear: MeV"
    )
    flip: bool = Field(True, description="mirror each axis at random")
    rotate: bool = Field(True, description="permute the axes at random")
    shift: int = Field(16, ge=0, description="move by up to so many voxels: another phase of the strided grid")
    charge_jitter: float = Field(0.05, ge=0, description="relative spread of a common factor on the charge")


class BaselineOptions(Strict):
    """Gradient-boosted trees on local features."""

    iterations: int = Field(100, ge=1, description="boosting iterations; each adds one tree per class")
    learning_rate: float = Field(0.12, gt=0, description="shrinkage of each tree")
    leaves: int = Field(31, ge=2, description="most leaves of a tree")
    min_leaf: int = Field(40, ge=1, description="fewest training voxels of a leaf")
    l2: float = Field(1.0, ge=0, description="L2 regularisation of the leaf values")
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class weighs the same in the fit, which trades precision for recall"
    )
    max_voxels: int = Field(200_000, ge=1, description="most training voxels; more are thinned at random")
    per_event: int = Field(
        100, ge=1, description="most training voxels of one class in one event; each stands for those left out"
    )


class Options(Strict):
    """Voxel-wise semantic segmentation."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @property
    def classes(self) -> int:
        """Classes that are told apart: 5."""
        return 5
