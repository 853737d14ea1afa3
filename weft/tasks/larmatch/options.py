"""Options of the LArMatch task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from weft.config.strict import Strict
from weft.tasks.larmatch.baseline_options import BaselineOptions
from weft.tasks.larmatch.loss_options import TERMS, LossOptions, TermName
from weft.tasks.larmatch.sampling_options import SamplingOptions
from weft.triplets.label_options import LabelOptions

Head = TermName
#: In the order of the network; each has its term of the loss.
HEADS: tuple[Head, ...] = TERMS
_Width = Annotated[int, Field(ge=1)]


def _scores(heads: dict[Head, list[int]]) -> dict[Head, list[int]]:
    if "larmatch" not in heads:
        raise ValueError(
            f"only {', '.join(heads) or 'none'} given, without larmatch, by whose score triplets are kept; heads that "
            "are given take the place of the default, so name all that the network is to have"
        )
    return heads


class ModelOptions(Strict):
    """A sparse U-Net on the pixels of each plane and perceptrons on triplets of them (spec §4).

    The defaults are the sizes of the first generation. Those of the second: stem_width 32, stem_blocks 3, widths
    [16, 16, 32, 64, 128, 256, 512], input_kernel 5, final_blocks 0, features 32, heads larmatch [64, 64], semantics
    [64, 64], key_points [32]. Of it the following is not the same: its blocks are activated after the sum, here before
    the convolutions; it has no blocks at full resolution on the way down; its coarser stages begin with a block that
    strides, here with a 2×2 convolution; it judges good and bad by two logits, here by one; and its instance norm is
    replaced by one whose result does not depend on what else is in an event.
    """

    stem_width: int = Field(16, ge=1, description="channels of the stem")
    stem_blocks: int = Field(0, ge=0, description="residual blocks of the stem; 0: two plain 3×3 convolutions")
    widths: list[_Width] = Field(
        [16, 32, 48, 64, 80], min_length=1, description="channels of the U-Net by level, the grid halves between them"
    )
    blocks: int = Field(2, ge=1, description="residual blocks a level, on the way down and on the way up")
    input_kernel: int = Field(3, ge=1, description="kernel size of the first convolution of the U-Net")
    final_blocks: int = Field(1, ge=0, description="residual blocks after the U-Net")
    features: int = Field(16, ge=1, description="features of a pixel that triplets are judged by")
    plane_embedding: int = Field(4, ge=0, description="learned numbers that tell the network the plane; 0: it cannot")
    norm: Literal["batch", "layer"] = Field(
        "batch", description="batch: over all pixels of a step, fixed in a deploy; layer: over the channels of a pixel"
    )
    norm_eps: float = Field(1e-4, gt=0, description="normalisation, epsilon")
    norm_momentum: float = Field(0.1, gt=0, le=1, description="batch normalisation, weight of the new batch")
    leak: float = Field(0.01, ge=0, description="negative slope of the leaky ReLU; 0 is a ReLU")
    multiplicity: bool = Field(
        True,
        description="the network also sees how many triplets of the event lead through a pixel; false: as LArMatch",
    )
    charges: bool = Field(True, description="heads also see of the three pixels what the network sees of one")
    heads: Annotated[dict[Head, list[_Width]], AfterValidator(_scores)] = Field(
        {"larmatch": [32, 32], "key_points": [32, 32], "semantics": [32, 32], "affinity": [64, 64]},
        description="what is said of a triplet, and the hidden layers of each perceptron that says it; key_points has "
        "one for each kind; those that are given are all that there are. There are: " + ", ".join(HEADS),
    )
    engine: Literal["auto", "numba", "torch", "minkowski"] = Field(
        "auto", description="sparse convolution engine; auto: numba on CPU, torch elsewhere (docs/sparse.md)"
    )


class DataOptions(Strict):
    """What the network sees, what it is taught, and how it is varied in training."""

    labels: LabelOptions = Field(LabelOptions(), description="how triplets are labelled")
    charge_scale: float = Field(50.0, gt=0, description="ADC that are 1 to the network: about a minimal ionisation")
    charge_clip: float = Field(10.0, gt=0, description="the most that a pixel has to the network, in these")
    sampling: SamplingOptions = Field(SamplingOptions(), description="triplets of an event that a step learns from")
    flip: bool = Field(
        True, description="mirror time, and turn by 180° about the drift direction, each in half of the views"
    )
    shift: int = Field(
        16,
        ge=0,
        description="move rows and wires by up to so many: another phase of the coarser grids, whose "
        "largest has 2^(levels − 1) pixels; 0: not at all",
    )
    charge_jitter: float = Field(
        0.05, ge=0, description="relative spread of a factor on the charge, one for each plane: gains differ"
    )
    prior: Literal["balanced", "events"] = Field(
        "balanced",
        description="how many triplets are good before anything is known of one: half, as the network is taught, or "
        "the share in the training events, which makes scores probabilities, lower ones",
    )
    min_score: float = Field(0.2, ge=0, le=1, description="triplets with a lower score are not written")
    chunk: int = Field(30_000, ge=1, description="triplets that are judged at a time in a deploy")


class Options(Strict):
    """Triplets of wire pixels that are points, and what they say of themselves."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @model_validator(mode="after")
    def _all_phases(self) -> Options:
        grid = 2 ** (len(self.model.widths) - 1)
        if 0 < self.data.shift < grid - 1:
            raise ValueError(
                f"data.shift: {self.data.shift} moves images by less than the coarsest grid of a network of "
                f"{len(self.model.widths)} levels, {grid} pixels, so that it would learn some of its phases only; "
                f"expected 0 or at least {grid - 1}"
            )
        return self

    @model_validator(mode="after")
    def _taught(self) -> Options:
        for head in ("affinity", "shift"):
            if self.data.labels.truth == "triplets" and head in self.model.heads:
                raise ValueError(f"labels of triplets in a file have no {head}: leave the head out of model.heads")
        return self
