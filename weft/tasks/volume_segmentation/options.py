"""Options of the segmentation of stacks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.dense.loss_options import LossOptions
from weft.dense.options import NetworkOptions, Spacing, Triple, UNetXYOptions
from weft.tasks.volume_segmentation.baseline_options import BaselineOptions
from weft.volumes.augment_options import Augmentations, AugmentOptions
from weft.volumes.buffer import BufferOptions
from weft.volumes.objects import ObjectOptions
from weft.volumes.recipes import DEFAULT_RECIPE, Steps


class SamplingOptions(Strict):
    """Where training patches lie."""

    foreground: float = Field(
        1 / 3, ge=0, le=1, description="share of patches around a voxel of a class but the background, each as likely"
    )
    least_cost: int = Field(
        0,
        ge=0,
        description="voxels with a cost that a patch has at least, if 50 tries find one; the loader focus has 1000",
    )
    buffer: BufferOptions | None = Field(
        None,
        description="patches from a buffer, as the Trainer's loader, which turns and mirrors stacks itself: of "
        "data.augment only what changes intensities counts then; null: every patch is another one",
    )


class AutoPatch(Strict):
    """What the patches of `patch: auto` have to fit."""

    memory: float = Field(8.0, gt=0, description="GB of the device, for a training step in float32")
    batch_size: int = Field(1, ge=1, description="patches of a step on the device, training.batch_size over processes")
    most: Triple | None = Field(None, description="voxels of the largest stack: no patch gives more than that")


class UncertaintyOptions(Strict):
    """Passes with dropout (spec §7)."""

    passes: int = Field(10, ge=2, description="of each window")
    seed: int = Field(0, ge=0, description="of the channels that are dropped")


class InferenceOptions(Strict):
    """How whole stacks are predicted: windows that overlap, blended (spec §7)."""

    size_in: Triple | None = Field(None, description="voxels of a window; null: those of a patch")
    overlap: float = Field(0.25, ge=0, lt=1, description="of neighbouring windows, share of their output")
    weight: Literal["gaussian", "constant"] = Field("gaussian", description="of a window's voxels in the blend")
    views: Literal["none", "flips", "flips_rot90"] = Field(
        "none", description="mirrored, and turned, windows that a prediction is the mean over: 1, 8 or 16"
    )
    mean: Literal["probabilities", "logits"] = Field("probabilities", description="what the mean of views is of")
    batch_size: int = Field(
        1, ge=1, description="windows at a time; on a CPU, narrow networks are several times as fast with two or more"
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="probability from which a voxel has a class; null: the most probable class"
    )
    objects: ObjectOptions | None = Field(None, description="find and measure objects; {} takes the defaults")
    uncertainty: UncertaintyOptions | None = Field(None, description="maps of it, of a network with dropout")
    memory: float = Field(1024.0, gt=0, description="MiB of a volume that is held; a larger one lies in a scratch file")


class DataOptions(Strict):
    """What the network sees of a stack, in training and after."""

    classes: tuple[str, ...] = Field(
        ("background", "structure"), min_length=2, description="names of the classes of the labels, background first"
    )
    channels: tuple[int, ...] = Field((0,), min_length=1, description="of the image, those that are read; -1: the last")
    normalisation: Steps = Field(
        DEFAULT_RECIPE, description="steps in their order, of every channel; or the number of a recipe of the Trainer"
    )
    normalisations: tuple[Steps, ...] | None = Field(
        None, description="steps for each of the channels, instead of normalisation"
    )
    spacing: Spacing | None = Field(
        None,
        description="µm, voxels z, y, x that stacks are resized to; predictions are resized back; null: as they are",
    )
    patch: Triple | Literal["auto"] = Field(
        "auto", description="voxels z, y, x that the network sees of a patch; auto: the most that fit auto_patch"
    )
    size_out: Triple | None = Field(None, description="voxels that it answers for; follows from patch and is checked")
    auto_patch: AutoPatch = AutoPatch()
    augment: Augmentations = Field(AugmentOptions(), description="how patches are varied; or a list of names")
    sampling: SamplingOptions = SamplingOptions()
    held: float = Field(2048.0, ge=0, description="MiB of normalised stacks that a loader process holds")
    inference: InferenceOptions = InferenceOptions()

    @model_validator(mode="after")
    def _one_recipe_a_channel(self) -> DataOptions:
        if self.normalisations is not None and len(self.normalisations) != len(self.channels):
            raise ValueError(f"normalisations: {len(self.normalisations)} for {len(self.channels)} channels")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: each name once")
        return self


class Options(Strict):
    """Segmentation of dense stacks."""

    model: Annotated[NetworkOptions, Field(description="the network, chosen by its name")] = UNetXYOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        data, model = self.data, self.model
        if model.channels != len(data.channels):
            raise ValueError(f"model.channels is {model.channels}, but data.channels names {len(data.channels)}")
        if model.classes[0] != len(data.classes):
            raise ValueError(f"model.classes is {list(model.classes)}, but data.classes names {len(data.classes)}")
        if len(self.loss.loss_weight) < len(model.classes):
            weights, heads = len(self.loss.loss_weight), len(model.classes)
            raise ValueError(f"loss.loss_weight has {weights} values, but model.classes names {heads} heads")
        if data.inference.uncertainty is not None and isinstance(model, UNetXYOptions) and not model.dropout:
            raise ValueError("data.inference.uncertainty needs a network with dropout: give model.dropout")
        if data.inference.uncertainty is not None and data.inference.mean == "logits":
            raise ValueError("data.inference: uncertainty is of means of probabilities; mean is logits")
        return self
