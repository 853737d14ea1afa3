"""Options of the network on faces. No torch in here."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field, model_validator

from weft.config.strict import Strict

#: Faces of a cluster up to which relative positions may add to values: that costs faces² · width numbers a cluster.
VALUES_FACES = 256


class FourierOptions(Strict):
    """Sines and cosines of the positions of corners, in place of the positions (spec §7.1)."""

    frequencies: int = Field(8, ge=1, le=16, description="2^k periods, k from 0 to this less one")
    period: float | None = Field(
        None,
        gt=0,
        description="of the lowest frequency, in units of data.features.positions: m, or the box around the mesh; "
        "null: 64 m of a cluster, 256 m of a mesh, 1 box",
    )


class RelativeOptions(Strict):
    """Attention that sees where faces, and clusters, lie from each other (spec §7.4c)."""

    values: bool = Field(
        False, description=f"add to values too, not to logits only; for at most {VALUES_FACES} faces a cluster"
    )
    scale: float = Field(10.0, gt=0, description="m that are 1 to the network")


class TextureOptions(Strict):
    """How the pixels of a face become one vector, and how it joins the geometry (spec §7.6, §7.7)."""

    fusion: Literal["gated", "concat", "add"] = Field("gated", description="how texture and geometry become one")
    width: int = Field(64, ge=1, description="channels of the texture")
    heads: int = Field(2, ge=1, description="of its attention; width is a multiple")
    blocks: int = Field(1, ge=1, description="attention blocks over the pixels of a face")
    positions: Literal["none", "bary", "uv"] = Field(
        "none", description="where a pixel lies, seen with its colour: in the triangle, or in the texture"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="in these blocks")
    chunk: int = Field(8192, ge=1, description="faces at a time; of several chunks a training recomputes each")

    @model_validator(mode="after")
    def _heads_fit(self) -> TextureOptions:
        return _divides(self)


class ModelOptions(Strict):
    """A transformer on clusters of faces with a summary of each cluster (spec §7).

    NoMeFormer (ISPRS Annals X-G-2025, 365) has the block `local_global`, its successor with textures (arXiv 2604.01836)
    `two_stage`. Published sizes are width 128, heads 4, blocks 6, and width 256, heads 8, blocks 8.
    """

    block: Literal["local_global", "two_stage"] = Field(
        "local_global",
        description="how clusters see each other: each face attends to the summaries of all, or the summaries attend "
        "to each other and are added to the faces",
    )
    stages: Literal[2, 3] = Field(2, description="of two_stage; 3: a second attention inside of clusters")
    gate: bool = Field(False, description="of two_stage: a learned gate between face and summary in place of their sum")
    width: int = Field(128, ge=1, description="channels of a face")
    heads: int = Field(4, ge=1, description="of each attention; width is a multiple")
    blocks: int = Field(6, ge=1, description="blocks, one after the other")
    hidden: int = Field(2, ge=1, description="hidden channels of a feed-forward layer, in multiples of width")
    summary: Literal["token", "mean"] = Field(
        "token", description="what stands for a cluster: a token that attends to its faces, or their mean"
    )
    norm: Literal["pre", "post"] = Field(
        "pre", description="layer norm before each layer, or after, as NoMeFormer has it"
    )
    activation: Literal["gelu", "relu"] = Field("gelu", description="of the feed-forward layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="of features, of attention and in feed-forward layers")
    drop_path: float = Field(0.0, ge=0, lt=1, description="share of samples of which the last block's layers are left "
                             "out; of earlier blocks less, in proportion")  # fmt: skip
    relative: RelativeOptions | None = Field(None, description="relative positions; {} takes the defaults")
    fourier: FourierOptions | None = Field(None, description="Fourier features of positions; {} takes the defaults")
    texture: TextureOptions | None = Field(None, description="read the texture of faces; {} takes the defaults")
    head: Literal["linear", "mlp2", "mlp3"] = Field("mlp2", description="layers from a face to its class")
    initialisation: Literal["truncated_normal", "xavier"] = Field(
        "truncated_normal", description="of fresh weight matrices; those of the head are always xavier"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> ModelOptions:
        if self.block != "two_stage":
            for name, asked in (("stages: 3", self.stages == 3), ("gate", self.gate)):
                if asked:
                    raise ValueError(f"{name} is of block two_stage, and the block is {self.block}")
        if self.width < 4 and self.head != "linear":
            raise ValueError(f"width {self.width} is too small for the head {self.head}: expected 4 or more")
        return _divides(self)


Checked = TypeVar("Checked", TextureOptions, ModelOptions)


def _divides(options: Checked) -> Checked:
    if options.width % options.heads:
        raise ValueError(f"width {options.width} is no multiple of heads {options.heads}")
    return options
