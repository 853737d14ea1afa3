"""Options of the networks on volumes and of their losses. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from weft.config.strict import Strict

Classes = Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)]
Triple = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Spacing = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]

_VARIANTS: dict[str, dict[str, Any]] = {
    "0pad": {"padding": "zero"},
    "stridedconv": {"downsampling": "strided"},
    "dilated": {"dilation": 2},
    "dropout": {"dropout": 0.2},
}
"""what the endings of a name of the unet_xy family stand for, such as unet_xy_zoom_0pad_stridedconv"""


def _spelled_out(given: Any) -> Any:
    """Options with the endings of their name, if it has any, as what they stand for; without a name, unet_xy."""
    if isinstance(given, dict) and "name" not in given:
        return given | {"name": "unet_xy"}
    name = given.get("name") if isinstance(given, dict) else None
    for plain in ("unet_xy_zoom", "unet_xy"):
        if not isinstance(name, str) or not name.startswith(plain + "_"):
            continue
        endings = name[len(plain) + 1 :].split("_")
        if all(ending in _VARIANTS for ending in endings):
            implied = {key: value for ending in endings for key, value in _VARIANTS[ending].items()}
            for key, value in implied.items():
                if given.get(key, value) != value:
                    raise ValueError(f"name '{name}' means {key}: {value}, but {key} is {given[key]}")
            return given | implied | {"name": plain}
    return given


class UNetXYOptions(Strict):
    """The U-Nets that pool in x and y only (spec §2.1-2.2, §2.5).

    A name may end in _0pad, _stridedconv, _dilated or _dropout for ``padding: zero``, ``downsampling: strided``,
    ``dilation: 2`` and ``dropout: 0.2``.
    """

    name: Literal["unet_xy", "unet_xy_zoom"] = Field(
        "unet_xy",
        description="unet_xy for structures of a few voxels; unet_xy_zoom shrinks x and y first, for large ones",
    )
    zoom_ratio: int | None = Field(
        None, ge=1, description="of unet_xy_zoom: about the mean diameter of the objects in voxels / 150; default 3"
    )
    channels: int = Field(1, ge=1, description="channels of the image")
    classes: Classes = Field(
        (2, 2, 2),
        max_length=3,
        description="classes of the output and of its auxiliary heads; one number: no such heads",
    )
    base_channels: int = Field(32, ge=1, description="channels of the first convolution; 32 is full width")
    padding: Literal["valid", "zero"] = Field(
        "valid", description="zero: outputs are as large as inputs, and less certain at the border"
    )
    downsampling: Literal["max", "strided"] = Field("max", description="max pooling, or a strided convolution")
    dilation: int = Field(1, ge=1, description="in x and y, of the convolutions at the bottom: they see further")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of channels dropped after each block; for uncertainty")
    affine: bool = Field(False, description="whether batch normalisation has a scale and offset to learn")

    @model_validator(mode="before")
    @classmethod
    def _variant(cls, given: Any) -> Any:
        return _spelled_out(given)

    @model_validator(mode="after")
    def _zoom(self) -> UNetXYOptions:
        if self.name == "unet_xy" and self.zoom_ratio is not None:
            raise ValueError("zoom_ratio is of unet_xy_zoom; unet_xy does not zoom")
        return self

    @property
    def zoom(self) -> int | None:
        """The ratio in effect; None for ``unet_xy``."""
        return None if self.name == "unet_xy" else self.zoom_ratio or 3


class ResidualUNetOptions(Strict):
    """A residual U-Net whose strides and kernels follow from the voxel size (Isensee et al. 2021 and 2024).

    Axes much coarser than the finest are neither pooled nor convolved until the others have caught up.
    """

    name: Literal["residual_unet"] = "residual_unet"
    spacing: Spacing = Field(description="µm, size of a voxel in z, y, x, as in the images")
    patch: Triple = Field(description="voxels in z, y, x that the network is planned for; it admits others too")
    channels: int = Field(1, ge=1, description="channels of the image")
    classes: Classes = Field(
        (2, 2, 2), description="classes of the output and of its auxiliary heads, which see it coarser and coarser"
    )
    base_channels: int = Field(32, ge=1, description="channels of the first level; they double at each")
    most_channels: int = Field(320, ge=1, description="channels of a level, at most")
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 3, 4, 6, 6, 6), min_length=1, description="residual blocks of each level; the last for further levels too"
    )
    smallest_edge: int = Field(4, ge=1, description="voxels that an axis keeps at the bottom, at least")


class MonaiOptions(Strict):
    """A network of MONAI, by the name of its class."""

    name: Literal["BasicUNet", "UNet", "DynUNet", "VNet", "SegResNet", "SegResNetVAE"] = Field(
        description="class in monai.networks.nets"
    )
    channels: int = Field(1, ge=1, description="channels of the image")
    classes: Classes = Field((2,), description="classes of the output; further ones for DynUNet with deep_supervision")
    arguments: dict[str, Any] = Field(
        {},
        description="further arguments of the class; spatial_dims and the channels in and out are set from the above",
    )


NetworkOptions = Annotated[
    Annotated[UNetXYOptions | ResidualUNetOptions | MonaiOptions, Field(discriminator="name")],
    BeforeValidator(_spelled_out),
]
"""Options of any network, told apart by ``name``."""
