"""Options of the point proposal task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict

#: Classes of points: those of label points, and low-energy, which no label has but every network knows.
CLASSES = 5


class MergeOptions(Strict):
    """From one proposal a voxel to points (spec §1.3, post-processing). The defaults are SPINE's."""

    score: float = Field(0.5, ge=0, lt=1, description="proposals below are dropped")
    enforce_class: bool = Field(
        True, description="keep a proposal only in a voxel of its class, and near one, as segmented"
    )
    class_score: float = Field(0.5, ge=0, lt=1, description="least probability of the class of the voxel")
    class_distance: float = Field(
        1.999, gt=0, description="voxels; how near a point is to a proposing voxel of its class"
    )
    anchor: Literal["centre", "corner"] = Field(
        "centre", description="what of a voxel class_distance is measured from; SPINE: corner"
    )
    select: Literal["merge", "nms"] = Field(
        "merge", description="merge: groups of near proposals (DBSCAN); nms: the best of overlapping boxes"
    )
    distance: float = Field(1.999, gt=0, description="voxels; merge: proposals so near are one point")
    pool: Literal["max", "mean"] = Field("max", description="merge: scores of a point from those of its proposals")
    nms_half_side: float = Field(4.0, gt=0, description="voxels; nms: half the side of the box around a proposal")
    nms_iou: float = Field(0.8, gt=0, lt=1, description="nms: boxes that overlap more are one point")


class ModelOptions(Strict):
    """U-ResNet with a point proposal network on its feature maps (spec §1.2-1.3)."""

    form: Literal["every_scale", "scales3"] = Field(
        "every_scale", description="every_scale: SPINE's second decoder; scales3: the three fixed scales of 2020"
    )
    semantic: bool = Field(False, description="a segmentation head on the trunk, which makes semantics too")
    filters: int = Field(32, ge=1, description="channels at full resolution; level l has filters·(l+1)")
    depth: int = Field(5, ge=2, description="resolution levels")
    reps: int = Field(2, ge=1, description="residual blocks a level")
    input_kernel: int = Field(3, ge=1, description="kernel size of the stem")
    leak: float = Field(0.33, ge=0, description="negative slope of the leaky ReLU; 0 is a ReLU")
    norm_eps: float = Field(1e-4, gt=0, description="batch normalisation of the trunk, epsilon")
    norm_momentum: float = Field(0.01, gt=0, le=1, description="batch normalisation of the trunk, weight of a batch")
    ppn_norm_eps: float = Field(1e-5, gt=0, description="every_scale: batch normalisation of its decoder, epsilon")
    ppn_norm_momentum: float = Field(
        0.1, gt=0, le=1, description="every_scale: batch normalisation of its decoder, weight of a batch"
    )
    propagate_all: bool = Field(False, description="every_scale: hand features on undamped")
    use_binary_mask: bool = Field(False, description="every_scale: damp to 0 or 1 instead of the probability")
    mask_score_threshold: float = Field(
        0.5, ge=0, lt=1, description="every_scale: probability of a binary mask, and the least of a point"
    )
    ends: bool = Field(False, description="every_scale: a head that tells ends of tracks from starts")
    spatial_size: int = Field(768, ge=2, description="scales3: voxels along an axis, of which the two sizes are shares")
    ppn1_size: int | None = Field(None, ge=1, description="scales3: cells along an axis, coarsest; default 1/16 of it")
    ppn2_size: int | None = Field(None, ge=1, description="scales3: cells along an axis, middle; default 1/4 of it")
    ppn_num_conv: int = Field(1, ge=0, description="scales3: convolutions before the scores, at each scale")
    use_true_masks: bool = Field(False, description="scales3: in training true points are never masked")
    points: MergeOptions = MergeOptions()
    engine: Literal["auto", "numba", "torch", "minkowski"] = Field(
        "auto", description="sparse convolution engine; auto: numba on CPU, torch elsewhere (docs/sparse.md)"
    )

    @property
    def levels(self) -> tuple[int, int]:
        """scales3: the levels of the two coarse scales, the coarser first: log2(spatial_size / size)."""
        sizes = (self.ppn1_size or self.spatial_size // 16, self.ppn2_size or self.spatial_size // 4)
        first, second = (_log2(self.spatial_size, size) for size in sizes)
        return first, second

    @model_validator(mode="after")
    def _fits(self) -> ModelOptions:
        if self.form == "every_scale":
            return self
        if self.ends:
            raise ValueError("ends: only the form every_scale has a head for the ends of tracks")
        first, second = self.levels
        if not 0 < second < first < self.depth:
            raise ValueError(
                f"ppn1_size, ppn2_size: scales at levels {first} and {second} of a trunk with levels 0 to "
                f"{self.depth - 1}; expected 0 < second < first < depth"
            )
        return self


def _log2(whole: int, part: int) -> int:
    ratio, rest = divmod(whole, part)
    if rest or ratio & (ratio - 1) or not ratio:
        raise ValueError(f"spatial_size {whole} is not a power of two times {part} (ppn1_size, ppn2_size)")
    return ratio.bit_length() - 1


class LossOptions(Strict):
    """Scores at every scale, and class, position and end at the voxels near a true point (spec §1.3)."""

    radius: float = Field(5.0, gt=0, description="voxels; a voxel whose centre is nearer to a label point is positive")
    same_particle: bool = Field(False, description="only points of the particle that owns the voxel count")
    balance_mask: float = Field(
        1.0, ge=0, le=1, description="every_scale: either answer weighs (N/2n)^balance; 1 alike, 0.5 the square root"
    )
    balance_class: float = Field(
        1.0, ge=0, le=1, description="every_scale: class c weighs (P/5p_c)^balance, of P label points p_c of class c"
    )
    mask_weight: float = Field(1.0, ge=0, description="of the scores")
    ppn1_weight: float = Field(1.0, ge=0, description="scales3: of the scores of the coarsest scale, times mask_weight")
    class_weight: float = Field(1.0, ge=0, description="of the classes")
    position_weight: float = Field(1.0, ge=0, description="of the positions")
    end_weight: float = Field(1.0, ge=0, description="of the ends, with model.ends")
    semantic_weight: float = Field(1.0, ge=0, description="of the segmentation, with model.semantic; 0 leaves it out")


class DataOptions(Strict):
    """What the network sees, what it should find, and how events are varied in training."""

    charge: Literal["log", "linear"] = Field(
        "log", description="log: 0.01 to 20 MeV mapped to -1 to 1 on a logarithmic scale; linear: MeV"
    )
    min_voxels: int = Field(1, ge=0, description="label points are of particles with so many voxels; 2020: 5")
    min_energy: float = Field(0.0, ge=0, description="label points are of particles that left so much, MeV")
    flip: bool = Field(True, description="mirror each axis at random")
    rotate: bool = Field(True, description="permute the axes at random")
    shift: int = Field(16, ge=0, description="move by up to so many voxels: another phase of the strided grid")
    charge_jitter: float = Field(0.05, ge=0, description="relative spread of a common factor on the charge")


class BaselineOptions(Strict):
    """Tips and forks of the skeletons of connected voxels, and starts of showers."""

    reach: float = Field(2.5, gt=1, description="voxels; how near neighbours of one component are")
    max_branches: int = Field(6, ge=0, description="most side branches looked for in one component")
    min_branch: tuple[float, ...] = Field(
        (4.0, 8.0, 16.0), min_length=1, description="voxels; shortest side branch of a track, chosen in the fit"
    )
    min_size: tuple[int, ...] = Field(
        (1, 2, 3, 5, 10),
        min_length=1,
        description="fewest voxels of a component with points, chosen in the fit by class",
    )
    end_range: float = Field(8.0, gt=0, description="voxels; where the charge near either end of a track is compared")
    max_events: int = Field(100, ge=1, description="training events that the choices are made on")


class Options(Strict):
    """Starts and ends of particles."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @model_validator(mode="after")
    def _fits_form(self) -> Options:
        if self.model.form == "scales3":
            for key in ("balance_mask", "balance_class"):
                if getattr(self.loss, key) != 1.0:
                    raise ValueError(f"loss.{key}: the form scales3 weighs by the share of positives in an event")
        return self
