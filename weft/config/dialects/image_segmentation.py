"""The image-segmentation YAML of "Train Segmentation" (seg_baseline.yaml)."""

from __future__ import annotations

from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.rules import Drops, Maps, Noted, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.stages import Defaults, Plan, alone

_OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop"}
_METRICS = {"val/mIoU": "mean_iou", "val/loss": "loss", "val/pixel_accuracy": "accuracy", "val/Dice": "mean_dice"}


def _optimizer(value: str, source: Source) -> str:
    if value.lower() not in _OPTIMIZERS:
        raise Unfit(f"no such optimiser; nearest that work: {', '.join(_OPTIMIZERS)}")
    return _OPTIMIZERS[value.lower()]


def _metric(value: str, source: Source) -> str:
    if value not in _METRICS:
        raise Unfit(f"no such metric; nearest that work: {', '.join(_METRICS)}")
    return _METRICS[value]


def _schedule(value: str, source: Source) -> str:
    if value not in ("cosine", "constant"):
        raise Unfit("no such schedule; nearest that work: cosine, constant")
    epochs, length = source.get("training.epochs"), source.get("scheduler.max_epochs")
    if value == "cosine" and None not in (epochs, length) and epochs != length:
        raise Unfit(f"a cosine of {length} epochs in a training of {epochs}; nearest that works: max_epochs {epochs}")
    return value


def _warmup(value: float, source: Source) -> Noted | int:
    """Schedules count optimiser steps; how many an epoch has is for the dataset to say."""
    if not value:
        return 0
    batch = source.get("training.batch_size", default=1) * source.get("training.accumulate_grad_batches", default=1)
    return Noted(None, f"schedule.warmup is in steps: {value:g} · images of train / {batch}, once the dataset is known")


def _stopping(value: dict[str, Any], source: Source) -> Several:
    known = {"patience": "training.patience", "metric": "training.monitor", "mode": "training.mode"}
    known["min_delta"] = "training.min_delta"
    for key in value:
        if key not in known:
            raise Unfit(f"unknown key '{key}'; known here: {', '.join(known)}")
    given = {known[key]: one for key, one in value.items()}
    if "metric" in value:
        given["training.monitor"] = _metric(value["metric"], source)
    return Several(given)


_RESULTS = "everything lies in the folder of the experiment, below results/"

TABLE: dict[str, Rule] = {
    "experiment_name": Maps("experiment:name"),
    "dataset.root": Maps("experiment:dataset", lambda value, source: None, "a dataset of images; to be defined"),
    "dataset.train_split": Drops("a dataset's splits are named train, val and test"),
    "dataset.val_split": Drops("a dataset's splits are named train, val and test"),
    "dataset.num_classes": Maps("model.classes"),
    "dataset.image_size": Maps("data.size", says="rows, columns"),
    "dataset.normalization.mean": Maps("data.mean", says="of each channel"),
    "dataset.normalization.std": Maps("data.std", says="of each channel"),
    "augmentations.horizontal_flip": Maps("data.flip"),
    "augmentations.color_jitter.brightness": Maps("data.brightness"),
    "augmentations.color_jitter.contrast": Maps("data.contrast"),
    "augmentations.color_jitter.saturation": Maps("data.saturation"),
    "augmentations.color_jitter.hue": Maps("data.hue"),
    "augmentations.random_crop.size": Maps("data.crop", says="rows, columns"),
    "augmentations.random_crop.padding": Maps("data.crop_padding"),
    "model.name": Maps("model.name"),
    "model.backbone": Maps("model.backbone"),
    "model.pretrained": Maps("model.pretrained"),
    "model.dropout": Maps("model.dropout"),
    "optimizer.name": Maps("optimizer.name", _optimizer, ", ".join(_OPTIMIZERS)),
    "optimizer.lr": Maps("optimizer.lr"),
    "optimizer.weight_decay": Maps("optimizer.weight_decay", says="not of biases and norms"),
    "optimizer.*": Maps("optimizer.options.*"),
    "scheduler.name": Maps("schedule.name", _schedule, "cosine, constant"),
    "scheduler.warmup_epochs": Maps("schedule.warmup", _warmup, "epochs there, steps here"),
    "scheduler.max_epochs": PartOf("scheduler.name"),
    "training.epochs": Maps("training.epochs"),
    "training.batch_size": Maps("training.batch_size"),
    "training.num_workers": Maps("training.workers"),
    "training.amp": Maps(
        "training.precision", lambda value, source: "auto-mixed" if value else "32-true", "true is auto-mixed"
    ),
    "training.seed": Maps("experiment:seeds", lambda value, source: [value], "one seed"),
    "training.gradient_clip_val": Maps("training.clip_norm"),
    "training.accumulate_grad_batches": Maps("training.accumulate"),
    "training.early_stopping": Maps("training.patience, monitor, mode, min_delta", _stopping),
    "checkpointing.dir": Drops(_RESULTS),
    "checkpointing.save_top_k": Maps("training.keep_best"),
    "checkpointing.monitor": Maps("training.monitor", _metric, ", ".join(_METRICS)),
    "checkpointing.mode": Maps("training.mode"),
    "logging.dir": Drops(_RESULTS),
    "logging.log_every_n_steps": Maps("training.log_every"),
}

_DEFAULTS: Defaults = {"experiment:dataset": ("images", "not defined yet")}


def _plan(source: Source) -> Plan:
    return alone("unet", "images", _DEFAULTS)


IMAGE_SEGMENTATION = Dialect(
    name="image_segmentation",
    title="Train Segmentation",
    table=TABLE,
    plan=_plan,
    signs=(("dataset.num_classes", "dataset.image_size"), ("experiment_name", "checkpointing")),
)
