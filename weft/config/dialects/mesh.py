"""NoMeFormer's mesh configuration groups: mesh_segmentation §13; recipe in §9."""

from __future__ import annotations

from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.rules import Drops, Maps, Noted, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.stages import Defaults, Plan, alone


def _rate(value: float, source: Source) -> Several:
    return Several({"optimizer.lr": value, "schedule.floor": Noted(1e-6 / value, "down to 1e-6")})


def _layers(value: list[float], source: Source) -> Several:
    if not (isinstance(value, list) and len(value) == 2):
        raise Unfit("expected the factor of the head and that between layers; nearest that works: [10, 2]")
    return Several({"optimizer.head_multiplier": value[0], "optimizer.layer_decay": value[1]})


def _ema(value: bool, source: Source) -> dict[str, float] | None:
    return {"decay": source.get("training.ema_decay", default=0.9999)} if value else None


def _start(value: bool, source: Source) -> Noted | None:
    path = source.get("paths.checkpoint_pertrain")
    if value and path is None:
        raise Unfit("paths.checkpoint_pertrain is missing; nearest that works: false")
    return Noted({"encoder": path}, "paths.checkpoint_pertrain") if value else None


def _unfrozen(value: Any, source: Source) -> Any:
    if value == "all":
        return None
    blocks = source.get("model.num_attention_blocks")
    if not isinstance(value, int) or blocks is None or not 0 <= value <= blocks:
        raise Unfit(f"expected 0 to model.num_attention_blocks ({blocks}); nearest that works: all")
    frozen = [f"encoder.blocks.{i}" for i in range(blocks - value)]
    return Noted(frozen, f"all but the last {value} of {blocks} blocks") if frozen else None


def _optimizer(value: str, source: Source) -> str:
    names = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}
    if value.lower() not in names:
        raise Unfit(f"no such optimiser; nearest that work: {', '.join(names.values())}")
    return names[value.lower()]


_DATA = "a dataset of meshes; to be defined"
_RESULTS = "everything lies in the folder of the experiment, below results/"
_FOLDERS = ("mesh_dir", "label_dir", "json_dir", "texture_dir")

TABLE: dict[str, Rule] = {
    **{f"paths.{prefix}{name}": Drops(_DATA) for prefix in ("", "val_") for name in _FOLDERS},
    "paths.log_dir": Drops(_RESULTS),
    "paths.checkpoint_dir": Drops(_RESULTS),
    "paths.checkpoint_pertrain": PartOf("training.use_pretrained"),
    "training.epochs": Maps("training.epochs"),
    "training.batch_size": Maps("training.batch_size"),
    "training.clusters_per_batch": Maps("data.clusters"),
    "training.accumulation_steps": Maps("training.accumulate"),
    "training.resume": Drops("weft train --resume goes on with everything"),
    "training.use_pretrained": Maps("init", _start, "the encoder from paths.checkpoint_pertrain"),
    "training.num_unfrozen_encoder_layers": Maps("freeze", _unfrozen, "patterns of the blocks that are frozen"),
    "training.weight_decay": Maps("optimizer.weight_decay", says="not of biases, norms and tokens"),
    "training.use_ema": Maps("training.ema", _ema),
    "training.ema_decay": PartOf("training.use_ema"),
    "training.ignore_index": Drops("faces without a label are −1 everywhere"),
    "training.layer_wise_lr_decay": Maps(
        "optimizer.head_multiplier, layer_decay", _layers, "[factor of the head, factor between layers]"
    ),
    "model.feature_dim": Drops("follows from the features that are chosen"),
    "model.embedding_dim": Maps("model.width"),
    "model.num_heads": Maps("model.heads"),
    "model.num_attention_blocks": Maps("model.blocks"),
    "model.n_classes": Maps("model.classes"),
    "model.n_clusters": Maps("data.clusters_per_mesh"),
    "model.faces_per_cluster": Maps("data.faces_per_cluster"),
    "model.use_pe": Maps("model.positions"),
    "model.dropout": Maps("model.dropout"),
    "model.include_normals": Maps("data.normals"),
    "model.additional_geometrical_features": Maps("data.extended_features"),
    "model.use_texture": Maps("model.texture"),
    "model.texture_embed_dim": Maps("model.texture_width"),
    "model.fusion_method": Maps("model.fusion"),
    "model.max_texture_pixels": Maps("data.texture_pixels"),
    "model.fourier": Maps("model.fourier"),
    "model.relative_positional_encoding": Maps("model.relative_positions"),
    "model.use_hierarchical": Maps("model.hierarchical"),
    "augmentation.rotation_range": Maps("data.rotation", says="degrees"),
    "augmentation.scale_range": Maps("data.scale"),
    "augmentation.noise_std": Maps("data.noise"),
    "augmentation.flip_probability": Maps("data.flip"),
    "augmentation.mode": Maps("data.augmentation", says="some of R, S, N, F"),
    "optimizer.type": Maps("optimizer.name", _optimizer, "AdamW, Adam, SGD"),
    "optimizer.learning_rate": Maps("optimizer.lr, schedule.floor", _rate, "the schedule goes down to 1e-6"),
}

_DEFAULTS: Defaults = {
    "experiment:dataset": ("meshes", "not defined yet"),
    "schedule.name": ("cosine_legacy", "there built in: T_max is half of the epochs, so the rate rises again"),
    "training.precision": ("auto-mixed", "there built in"),
    "training.monitor": ("mean_f1", "there built in"),
    "training.mode": ("max", "there built in"),
}


def _plan(source: Source) -> Plan:
    return alone("faces", "meshes", _DEFAULTS)


MESH = Dialect(
    name="mesh",
    title="NoMeFormer",
    table=TABLE,
    plan=_plan,
    signs=(("paths.mesh_dir",), ("model.num_attention_blocks",), ("model.embedding_dim", "model.faces_per_cluster")),
    differs=("the rate changes with every step, not every epoch", "the averaged weights are those that deploy uses"),
)
