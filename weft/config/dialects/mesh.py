"""NoMeFormer's mesh configuration groups: mesh_segmentation §13; recipe in §9."""

from __future__ import annotations

import os
from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.rules import Drops, Maps, Noted, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.stages import Defaults, Part, Plan

#: Pixels that a conversion keeps under a face where nothing else is said.
_KEPT = 256


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
    if not value:
        return None
    return Noted({"encoder": path}, "paths.checkpoint_pertrain, as a model of weft: a file of theirs has other tensors")


def _unfrozen(value: Any, source: Source) -> Any:
    if value == "all" or not source.get("training.use_pretrained", default=False):
        return None
    blocks = source.get("model.num_attention_blocks")
    if not isinstance(value, int) or blocks is None or not 0 <= value <= blocks:
        raise Unfit(f"expected 0 to model.num_attention_blocks ({blocks}); nearest that works: all")
    if value == blocks:
        return None
    before = ["encoder.stem", "encoder.summary", *(["encoder.fourier"] if source.get("model.fourier") else [])]
    frozen = [*before, *(f"encoder.blocks.{i}" for i in range(blocks - value))]
    return Noted(frozen, f"the encoder but for the last {value} of {blocks} blocks")


def _optimizer(value: str, source: Source) -> str:
    names = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}
    if value.lower() not in names:
        raise Unfit(f"no such optimiser; nearest that work: {', '.join(names.values())}")
    return names[value.lower()]


def _epochs(value: float, source: Source) -> Noted:
    """An epoch there draws every run of clusters of every mesh, here one sample of every mesh."""
    clusters, run = source.get("model.n_clusters"), source.get("training.clusters_per_batch")
    if not clusters or not run:
        return Noted(value, "of one sample a mesh; model.n_clusters or training.clusters_per_batch is not given")
    samples = max(1, clusters // run)
    return Noted(value * samples, f"{value:g} epochs of {samples} samples a mesh")


def _splits(value: str, source: Source) -> dict[str, dict[str, list[str]]]:
    validation = source.get("paths.val_mesh_dir")
    if validation is None:
        raise Unfit("no paths.val_mesh_dir beside it, whose meshes choose the best weights")
    return {"train": {"files": [value]}, "val": {"files": [validation]}}


def _labels(value: str, source: Source) -> str | None:
    """Where labels lie, seen from the meshes: the same in training and validation."""
    places = {}
    for split in ("", "val_"):
        labels, meshes = source.get(f"paths.{split}label_dir"), source.get(f"paths.{split}mesh_dir")
        if labels is not None and meshes is not None:
            place = os.path.relpath(labels, meshes)
            # labels/train beside meshes/train: one place for both.
            own = os.path.basename(os.path.normpath(meshes))
            places[split] = "/".join("{folder}" if part == own else part for part in place.split(os.sep))
    if len(set(places.values())) > 1:
        said = " and ".join(places.values())
        raise Unfit(f"labels lie elsewhere, seen from the meshes, than in validation ({said}); nearest that works: one")
    place = next(iter(places.values()), ".")
    return None if place == "." else f"{place}/{{name}}.txt"


def _classes(value: int, source: Source) -> Several:
    """Labels 0, 1, … but for the one that is ignored, as classes."""
    ignored = source.get("training.ignore_index")
    labels = [label for label in range(value) if label != ignored]
    if len(labels) < 2:
        raise Unfit("expected two classes that are not ignored; nearest that works: 2")
    names = [f"class_{label}" for label in labels]
    return Several(
        {
            "data.classes": Noted(names, "the file does not name them"),
            "dataset:meshes.classes": names,
            "dataset:meshes.label_map": {label: k for k, label in enumerate(labels)},
        }
    )


def _positions(value: bool, source: Source) -> Noted:
    if not value:
        return Noted("none", "")
    if source.get("model.use_texture", default=False):
        return Noted("bbox", "as there with textures")
    return Noted("cluster", "as there without textures")


def _texture(value: bool, source: Source) -> dict[str, Any] | None:
    if not value:
        return None
    fusion = source.get("model.fusion_method", default="gated")
    if fusion not in ("gated", "concat", "add"):
        raise Unfit(f"no fusion_method '{fusion}'; nearest that work: gated, concat, add")
    return {"width": source.get("model.texture_embed_dim", default=64), "fusion": fusion}


def _pixels(value: int, source: Source) -> Several | None:
    if not source.get("model.use_texture", default=False):
        return None
    kept = {"dataset:meshes.max_pixels": value} if value > _KEPT else {}
    return Several({"data.pixels": value, **kept})


def _fourier(value: bool, source: Source) -> dict[str, int] | None:
    if value and not source.get("model.use_pe", default=True):
        raise Unfit("model.use_pe is false, which leaves no positions; nearest that works: false")
    return {"frequencies": 8} if value else None


def _relative(value: bool, source: Source) -> dict[str, bool] | None:
    return {"values": source.get("model.faces_per_cluster", default=200) <= 256} if value else None


def _augment(value: dict[str, Any] | None, source: Source) -> dict[str, Any] | Noted:
    """One of R, S, N, F each; a fifth of the samples is varied."""
    value = value or {}
    known = ("rotation_range", "scale_range", "noise_std", "flip_probability", "mode")
    for key in value:
        if key not in known:
            raise Unfit(f"unknown key '{key}'; known here: {', '.join(known)}")
    mode = str(value.get("mode", "RSNF")).upper()
    if set(mode) - set("RSNF"):
        raise Unfit(f"mode '{mode}' is none of R, S, N, F; nearest that works: RSNF")
    made: dict[str, Any] = {"probability": 0.2, "rotate": 0, "scale": None, "mirror": [], **_OFF}
    if "R" in mode and "rotation_range" in value:
        turn = value["rotation_range"]
        made["rotate"] = max(map(abs, turn)) if isinstance(turn, list) else abs(turn)
    if "S" in mode and "scale_range" in value:
        low, high = _between(value["scale_range"])
        made["scale"] = {"low": low, "high": high}
    if "N" in mode and "noise_std" in value:
        made["jitter"] = value["noise_std"]
    if "F" in mode and value.get("flip_probability", 0) > 0:
        made["mirror"] = ["x", "y"]
        if value["flip_probability"] != 0.5:
            return Noted(made, f"mirrors half of the varied samples, there {value['flip_probability']:g} of them")
    return made


def _between(value: Any) -> tuple[float, float]:
    """Two factors, or one number that a factor is off 1 by."""
    if isinstance(value, list) and len(value) == 2 and 0 < value[0] <= value[1]:
        return value[0], value[1]
    if isinstance(value, int | float) and 0 <= value < 1:
        return 1 - value, 1 + value
    raise Unfit("scale_range: expected two factors or a number below 1; nearest that works: [0.9, 1.1]")


#: What is built in there, of views of a mesh.
_OFF = {"colour": None, "texture_drop": 0}
_RESULTS = "everything lies in the folder of the experiment, below results/"
_PIXELS = "pixels are found in the textures that the meshes name, beside them"

TABLE: dict[str, Rule] = {
    "paths.mesh_dir": Maps("dataset:splits", _splits, "the meshes of the splits train and val"),
    "paths.val_mesh_dir": PartOf("paths.mesh_dir"),
    "paths.label_dir": Maps("dataset:products.labels", _labels, "seen from the meshes"),
    "paths.val_label_dir": PartOf("paths.label_dir"),
    **{f"paths.{prefix}json_dir": Drops("clusters are found here") for prefix in ("", "val_")},
    **{f"paths.{prefix}texture_dir": Drops(_PIXELS) for prefix in ("", "val_")},
    "paths.log_dir": Drops(_RESULTS),
    "paths.checkpoint_dir": Drops(_RESULTS),
    "paths.checkpoint_pertrain": PartOf("training.use_pretrained"),
    "training.epochs": Maps("training.epochs", _epochs, "times the runs of clusters of a mesh"),
    "training.batch_size": Maps("training.batch_size"),
    "training.clusters_per_batch": Maps("data.clusters.per_sample"),
    "training.accumulation_steps": Maps("training.accumulate"),
    "training.resume": Drops("weft train --resume goes on with everything"),
    "training.use_pretrained": Maps("init", _start, "the encoder from paths.checkpoint_pertrain"),
    "training.num_unfrozen_encoder_layers": Maps("freeze", _unfrozen, "of pretrained weights: all before these blocks"),
    "training.weight_decay": Maps("optimizer.weight_decay", says="not of biases, norms and tokens"),
    "training.use_ema": Maps("training.ema", _ema),
    "training.ema_decay": PartOf("training.use_ema"),
    "training.ignore_index": PartOf("model.n_classes"),
    "training.layer_wise_lr_decay": Maps(
        "optimizer.head_multiplier, layer_decay", _layers, "[factor of the head, factor between layers]"
    ),
    "model.feature_dim": Drops("follows from the features that are chosen"),
    "model.embedding_dim": Maps("model.width"),
    "model.num_heads": Maps("model.heads"),
    "model.num_attention_blocks": Maps("model.blocks"),
    "model.n_classes": Maps(
        "data.classes", _classes, "and meshes.classes, meshes.label_map of the dataset; the ignored one is left out"
    ),
    "model.n_clusters": Drops("clusters have a most of faces, no number a mesh; it tells how long an epoch is"),
    "model.faces_per_cluster": Maps("data.clusters.faces", says="there the mean, here the most"),
    "model.use_pe": Maps("data.features.positions", _positions, "with textures bbox, else cluster"),
    "model.dropout": Maps("model.dropout"),
    "model.include_normals": Maps("data.features.normals"),
    "model.additional_geometrical_features": Maps("data.features.surface"),
    "model.use_texture": Maps("model.texture", _texture, "with its width and fusion"),
    "model.texture_embed_dim": PartOf("model.use_texture"),
    "model.fusion_method": PartOf("model.use_texture"),
    "model.max_texture_pixels": Maps("data.pixels", _pixels, "above 256 the dataset's meshes.max_pixels too"),
    "model.fourier": Maps("model.fourier", _fourier),
    "model.relative_positional_encoding": Maps("model.relative", _relative, "of values for up to 256 faces a cluster"),
    "model.use_hierarchical": Maps(
        "model.block", lambda value, source: "two_stage" if value else "local_global", "two_stage or local_global"
    ),
    "augmentation": Maps("data.augment", _augment, "what its mode (some of R, S, N, F) asks for, in degrees and m"),
    "optimizer.type": Maps("optimizer.name", _optimizer, "AdamW, Adam, SGD"),
    "optimizer.learning_rate": Maps("optimizer.lr, schedule.floor", _rate, "the schedule goes down to 1e-6"),
}


def _defaults(textured: bool, pretrained: bool) -> Defaults:
    built_in = "there built in"
    return {
        "schedule.name": ("cosine_legacy", "there built in: T_max is half of the epochs, so the rate rises again"),
        "training.precision": ("auto-mixed", built_in),
        "training.monitor": ("mean_f1", built_in),
        "training.mode": ("max", built_in),
        "evaluation.splits": (["val"], "the file names no other meshes"),
        "model.norm": ("post", built_in),
        "model.activation": ("relu", built_in),
        "model.head": ("mlp2" if textured else "linear", built_in),
        "model.initialisation": ("truncated_normal" if pretrained else "xavier", built_in),
        "data.features.scaling": ("mesh", "there built in: shares of the range over a mesh"),
        "data.features.surface": (False, "there the default"),
        "data.augment": ({"probability": 0, **_OFF}, "there off by default"),
    }


def _plan(source: Source) -> Plan:
    textured = bool(source.get("model.use_texture", default=False))
    surface = source.get("model.additional_geometrical_features", default=False)
    more = {"face_surface": surface, "face_pixels": textured}
    reads = ["vertices", "faces", "face_labels", *(name for name, read in more.items() if read)]
    defaults = _defaults(textured, bool(source.get("training.use_pretrained", default=False)))
    return Plan({"faces": Part("mesh_segmentation", needs={"truth": reads}, defaults=defaults)})


MESH = Dialect(
    name="mesh",
    title="NoMeFormer",
    table=TABLE,
    plan=_plan,
    signs=(("paths.mesh_dir",), ("model.num_attention_blocks",), ("model.embedding_dim", "model.faces_per_cluster")),
    differs=(
        "the rate changes with every step, not every epoch",
        "the averaged weights are those that deploy uses",
        "faces attend to the summaries of all clusters, as was meant there",
        "samples are clusters near each other, not runs of a list",
    ),
    dataset={
        "source": ("files", ""),
        "kind": ("meshes", ""),
        "meshes.ground": ("plane", "there one plane through the lowest vertices"),
    },
)
