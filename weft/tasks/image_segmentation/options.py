"""Options of the segmentation of pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from weft.config.loading import closest
from weft.config.strict import Strict
from weft.images.augment_options import AugmentOptions
from weft.images.crf_options import CrfOptions
from weft.tasks.image_segmentation.backbones import NAMES
from weft.tasks.image_segmentation.baseline_options import BaselineOptions
from weft.tasks.image_segmentation.loss_options import LossOptions

Pixels = Annotated[int, Field(ge=1, le=65536)]
Positive = Annotated[float, Field(gt=0)]


class ModelOptions(Strict):
    """A U-Net whose way down is a network by name."""

    name: Literal["unet"] = Field("unet", description="MONAI's FlexibleUNet")
    backbone: str = Field(
        "resnet34", description="its encoder: resnet10 … resnet200, efficientnet-b0 … -b8, light, or one of yours"
    )
    decoder_channels: tuple[Pixels, Pixels, Pixels, Pixels, Pixels] = Field(
        (256, 128, 64, 32, 16), description="features on the way up, from the coarsest level on"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the features that the way up drops in training")

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"no backbone '{name}'{closest(name, list(NAMES))}; there are: {', '.join(NAMES)}")
        return name


class InferenceOptions(Strict):
    """How whole pictures are predicted, and what becomes of the prediction."""

    window: tuple[Pixels, Pixels] = Field(
        (512, 512), description="rows, columns that the network sees at once, multiples of 32; smaller pictures: one"
    )
    overlap: float = Field(0.25, ge=0, lt=1, description="of neighbouring windows, share of their size")
    weight: Literal["gaussian", "constant"] = Field("gaussian", description="of a window's pixels in the blend")
    batch_size: int = Field(1, ge=1, description="windows at a time")
    crf: CrfOptions | None = Field(
        None, description="refine probabilities by a conditional random field; {} takes the defaults"
    )
    closing: int = Field(0, ge=0, le=100, description="pixels, radius of the gaps in a class that are closed; 0: none")
    opening: int = Field(
        0,
        ge=0,
        le=100,
        description="pixels, radius of spots that go to the next best class, after closing; 0: none",
    )

    @model_validator(mode="after")
    def _legal(self) -> InferenceOptions:
        if any(n % 32 for n in self.window):
            raise ValueError(f"window: {list(self.window)}: expected multiples of 32")
        return self


class DataOptions(Strict):
    """What the network sees of a picture, in training and after."""

    classes: tuple[str, ...] = Field(
        ("background", "foreground"), min_length=2, description="names of the classes, in the order of classes.txt"
    )
    mean: tuple[float, ...] = Field(
        (0.485, 0.456, 0.406), min_length=1, description="of each channel, of full scale; one value: grey pictures"
    )
    std: tuple[Positive, ...] = Field((0.229, 0.224, 0.225), min_length=1, description="standard deviation, likewise")
    size: tuple[Pixels, Pixels] | None = Field(
        None, description="rows, columns that pictures are brought to, in training and after; null: as they are"
    )
    fit: Literal["resize", "centre_crop"] = Field(
        "resize",
        description="how: resized, and predictions resized back; or cut out of the middle, nothing else being "
        "predicted or judged",
    )
    crop: tuple[Pixels, Pixels] | None = Field(
        None, description="rows, columns of a random part that is trained on; null: the whole picture"
    )
    crop_padding: int = Field(0, ge=0, le=4096, description="pixels around a picture that a crop may reach into")
    augment: AugmentOptions = AugmentOptions()
    inference: InferenceOptions = InferenceOptions()

    @property
    def channels(self) -> int:
        return len(self.mean)

    @model_validator(mode="after")
    def _fit_together(self) -> DataOptions:
        if len(self.mean) != len(self.std):
            raise ValueError(f"std: {len(self.std)} values, mean has {len(self.mean)}: one for each channel")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: each name once")
        if self.crop is None and self.crop_padding:
            raise ValueError("crop_padding: is of crop, which is null")
        return self


class Options(Strict):
    """Segmentation of pictures."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        weights = self.loss.class_weights
        if weights is not None and len(weights) != len(self.data.classes):
            raise ValueError(f"loss.class_weights: {len(weights)} for {len(self.data.classes)} classes")
        return self
