"""The image-segmentation YAML of "Train Segmentation" (seg_baseline.yaml)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.rules import Drops, Maps, Noted, Open, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.stages import Defaults, Part, Plan
from weft.io.class_files import CLASSES, is_unlabelled, read_classes
from weft.io.fetch import KNOWN
from weft.io.image_files import find_images

_OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop"}
_METRICS = {
    "val/mIoU": "mean_iou",
    "val/loss": "loss",
    "val/pixel_accuracy": "accuracy",
    "val/Dice": "mean_dice",
    "val/FWIoU": "frequency_weighted_iou",
}


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


def _step(source: Source) -> float | None:
    """Steps of an epoch, where the training images are there to be counted."""
    folder = _folder(source, "train")
    if folder is None or not folder.is_dir():
        return None
    return len(find_images(folder)) / _batch(source)


def _batch(source: Source) -> int:
    """Images of a step."""
    batch: int = source.get("training.batch_size", default=1)
    return batch * int(source.get("training.accumulate_grad_batches", default=1))


def _warmup(value: float, source: Source) -> Noted | Open | int:
    """Schedules count optimiser steps; how many an epoch has is for the dataset to say."""
    if not value:
        return 0
    steps = _step(source)
    if steps is not None:
        return Noted(math.ceil(value * steps), f"{value:g} epochs of {steps:g} steps")
    return Open(f"{value:g} · images of train / {_batch(source)}, in steps")


def _folder(source: Source, split: str) -> Path | None:
    """The images of a split, as the file names it."""
    root = source.get("dataset.root")
    return None if root is None else Path(root) / "images" / source.get(f"dataset.{split}_split", default=split)


def _splits(value: str, source: Source) -> dict[str, dict[str, list[str]]]:
    return {split: {"files": [str(_folder(source, split))]} for split in ("train", "val", "test")}


def _classes(value: int, source: Source) -> Noted:
    """Names of so many classes: those of classes.txt where that is there."""
    said = Path(source.get("dataset.root", default=".")) / CLASSES
    if not said.is_file():
        return Noted([f"class_{k}" for k in range(value)], f"no {said} to name them")
    names = [name for name in read_classes(said).values() if not is_unlabelled(name)]
    if len(names) != value:
        raise Unfit(f"{said} names {len(names)} classes; nearest that works: {len(names)}")
    return Noted(names, f"names of {said}")


def _pretrained(value: bool | str, source: Source) -> Noted | None:
    """Weights are a file here, which `weft fetch` downloads where there is a network."""
    if value is False:
        return None
    backbone = source.get("model.backbone", default="resnet34")
    if value is True and backbone not in KNOWN:
        raise Unfit(
            f"no weights are known for {backbone}; nearest that work: the path of a file, or {', '.join(KNOWN)}"
        )
    path = KNOWN[backbone].path if value is True else value
    start = {"from": path, "part": "all", "except": ["body.encoder.fc", "*.num_batches_tracked"]}
    return Noted({"body.encoder": start}, f"weft fetch {backbone}" if value is True else "")


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


def _epochs(value: float, source: Source) -> Several:
    steps = _step(source)
    every = Open(f"images of train / {_batch(source)}: once an epoch, which patience counts in too")
    return Several(
        {"training.epochs": value, "training.validate_every": every if steps is None else max(1, round(steps))}
    )


_RESULTS = "everything lies in the folder of the experiment, below results/"

TABLE: dict[str, Rule] = {
    "experiment_name": Maps("experiment:name"),
    "dataset.root": Maps("dataset:splits", _splits, "its folders images/{train,val,test}; masks lie in masks/…"),
    "dataset.train_split": PartOf("dataset.root"),
    "dataset.val_split": PartOf("dataset.root"),
    "dataset.test_split": PartOf("dataset.root"),
    "dataset.num_classes": Maps("data.classes", _classes, "their names, those of classes.txt"),
    "dataset.image_size": Maps("data.size", says="rows, columns"),
    "dataset.normalization.mean": Maps("data.mean", says="of each channel"),
    "dataset.normalization.std": Maps("data.std", says="of each channel"),
    "augmentations.horizontal_flip": Maps("data.augment.horizontal_flip"),
    "augmentations.vertical_flip": Maps("data.augment.vertical_flip"),
    "augmentations.color_jitter.brightness": Maps("data.augment.brightness"),
    "augmentations.color_jitter.contrast": Maps("data.augment.contrast"),
    "augmentations.color_jitter.saturation": Maps("data.augment.saturation"),
    "augmentations.color_jitter.hue": Maps("data.augment.hue"),
    "augmentations.random_crop.size": Maps("data.crop", says="rows, columns"),
    "augmentations.random_crop.padding": Maps("data.crop_padding"),
    "model.name": Maps("model.name"),
    "model.backbone": Maps("model.backbone"),
    "model.pretrained": Maps("init", _pretrained, "weights from a file, which weft fetch downloads"),
    "model.dropout": Maps("model.dropout"),
    "optimizer.name": Maps("optimizer.name", _optimizer, ", ".join(_OPTIMIZERS)),
    "optimizer.lr": Maps("optimizer.lr"),
    "optimizer.weight_decay": Maps("optimizer.weight_decay", says="not of biases and norms"),
    "optimizer.*": Maps("optimizer.options.*"),
    "scheduler.name": Maps("schedule.name", _schedule, "cosine, constant"),
    "scheduler.warmup_epochs": Maps("schedule.warmup", _warmup, "epochs there, steps here"),
    "scheduler.max_epochs": PartOf("scheduler.name"),
    "training.epochs": Maps("training.epochs, validate_every", _epochs, "validated after each epoch"),
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

_DEFAULTS: Defaults = {
    "data.augment.horizontal_flip": (False, "there off by default"),
    "training.batch_size": (8, "there the default"),
}


def _plan(source: Source) -> Plan:
    needs = {"truth": ["picture", "mask"]}
    return Plan({"unet": Part("image_segmentation", needs=needs, defaults=_DEFAULTS)})


IMAGE_SEGMENTATION = Dialect(
    name="image_segmentation",
    title="Train Segmentation",
    table=TABLE,
    plan=_plan,
    signs=(("dataset.num_classes", "dataset.image_size"), ("experiment_name", "checkpointing")),
    dataset={"source": ("files", ""), "kind": ("images", "")},
)
