"""SPINE: spine_full_chain §3.1; keys and defaults of release 1.4. Its networks have tables of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.lartpc import LARCV_FILES, saves, splits
from weft.config.dialects.rules import Drops, Maps, Noted, Only, PartOf, Refuses, Rule, Several, Source, Table, Unfit
from weft.config.dialects.spine_build import BUILD, POST
from weft.config.dialects.spine_chain import plan
from weft.config.dialects.spine_fragments import FRAGMENTS
from weft.config.dialects.spine_grappa import GRAPPA, INSTANCE
from weft.config.dialects.spine_grappa_loss import GRAPPA_LOSS
from weft.config.dialects.spine_language import load_spine
from weft.config.dialects.spine_modes import CHAIN_TABLE
from weft.config.dialects.spine_points import POINTS
from weft.config.dialects.spine_schema import SCHEMA, schema
from weft.config.dialects.spine_tidy import tidy
from weft.config.dialects.spine_uresnet import URESNET, name_of
from weft.config.dialects.stages import Plan
from weft.config.dialects.torch_names import schedule


def _trains(source: Source) -> bool:
    return source.get("train", "base.train") is not None


def _length(value: Any, source: Source) -> Any:
    if not _trains(source):
        return Noted(None, "of the inference, not of a training")
    return Several({"training.epochs": 1}) if value == -1 else Several({"training.iterations": value})


def _epochs(value: float, source: Source) -> Any:
    return value if _trains(source) else Noted(None, "of the inference, not of a training")


def _seed(value: Any, source: Source) -> list[int] | Noted:
    return [value] if value >= 0 else Noted([0], "there the clock, which cannot be repeated")


def _minibatch(value: int, source: Source) -> int:
    """SPINE's batch_size is that of all processes together, minibatch_size that of one."""
    if source.get("io.loader.batch_size") is not None:
        raise Unfit("batch_size is given too; SPINE takes exactly one of them")
    return value * max(1, source.get("base.world_size", default=0))


def _gpus(value: Any, source: Source) -> int:
    gpus = [gpu for gpu in value.split(",") if gpu.strip()] if isinstance(value, str) else value
    return len(gpus) if isinstance(gpus, list) else 1


def _optimizer(value: Any, source: Source) -> str:
    if value in {"AdaBound", "AdaBoundW"}:
        raise Unfit(f"torch has no {value}; nearest that works: {'AdamW' if value.endswith('W') else 'Adam'}")
    return value


def _decay(value: Any, source: Source) -> Several:
    return Several({"optimizer.weight_decay": value, **({"optimizer.decay_all": True} if value else {})})


def _schedule(value: Mapping[str, Any], source: Source) -> Several:
    given = dict(value)
    name = given.pop("name", given.pop("provider", None))
    interval = given.pop("interval", "step")
    monitor = given.pop("monitor", None)
    if interval != "step" and name != "ReduceLROnPlateau":
        raise Unfit(f"a scheduler is stepped with every optimiser step, not every {interval}; nearest: interval: step")
    lr = source.get("train.optimizer.lr", "base.train.optimizer.lr", default=1e-3)
    made = schedule(name, given, source.get("base.iterations"), lr)
    return Several({**made.values, **({"training.monitor": monitor} if monitor else {})})


def _weights(value: str, source: Source) -> Noted | Several:
    """Weights of all modules; those of a module by itself have the last word."""
    made = plan(source)
    parts = [name for name, part in made.parts.items() if part.learned]
    if len(parts) == 1:
        return Noted(value, "weft import-weights first, and its result here")
    modules = source.get("model.modules", default={})
    own = {made.aliases.get(name, name) for name, block in modules.items() if (block or {}).get("weight_path")}
    folder = PurePath(value).with_suffix("")
    note = f"after weft import-weights {value} --to {folder}"
    return Several({f"{name}:init": Noted(str(folder / f"{name}.ckpt"), note) for name in parts if name not in own})


def _files(value: Any, source: Source) -> Several:
    return splits(value, source.get("validation.file_keys"), source.get("io.loader.dataset.limit_num_files"))


def _train(table: Table) -> dict[str, Rule]:
    """The training block sits at the top level, in older files in ``base``."""
    return {f"{place}.{key}": rule for place in ("train", "base.train") for key, rule in table.items()}


def _plan(source: Source) -> Plan:
    if source.get("train") is not None and source.get("base.train") is not None:
        raise Unfit("train: given at the top level and in base; SPINE takes one of them")
    whole = name_of(source) == "full_chain"
    if source.get("io.loader") is None or not (_trains(source) or whole):
        raise Unfit("an inference configuration, without io.loader or train: it is `weft deploy` that does this here")
    made = plan(source)
    if _trains(source):
        return made
    why = "the file does not train; SPINE's trainings have 25"
    parts = {
        name: replace(part, defaults={**part.defaults, "training.epochs": (25, why)}) if part.learned else part
        for name, part in made.parts.items()
    }
    return replace(made, parts=parts)


_STREAM = "events are drawn in a new permutation every epoch, keyed by the seed"
_RESULTS = "everything lies in the folder of the experiment, below results/"
_INFERENCE = "for inference: weft deploy"
_ENTRIES = "a choice of entries is a manifest here: weft inspect --manifest, and `manifest` in the dataset"

_CHOSEN = (
    "n_entry n_skip entry_list skip_entry_list run_event_list skip_run_event_list entry_fraction_range entry_filter"
)

TABLE: dict[str, Rule] = {
    "base.world_size": Maps("resources.gpu", says="processes, one a GPU; 0 is CPU"),
    "base.gpus": Maps("resources.gpu", _gpus, "their number; which ones is for the scheduler or CUDA_VISIBLE_DEVICES"),
    "base.iterations": Maps("training.iterations", _length, "−1 becomes epochs: 1"),
    "base.epochs": Maps("training.epochs", _epochs),
    "base.seed": Maps("experiment:seeds", _seed, "one seed; a negative one, the clock, becomes 0"),
    "base.log_step": Maps("training.log_every"),
    "base.dtype": Only(("float32",), "see training.precision for mixed precision"),
    "base.unwrap": Drops("predictions are always per event"),
    "base.log_dir": Drops(_RESULTS),
    "base.overwrite_log": Drops("a log belongs to its run: resumed or begun anew, never appended by accident"),
    "base.prefix_log": Drops(_RESULTS),
    "base.csv_buffer_size": Drops("log.csv is written with every row"),
    "base.parent_path": Drops("paths are as given, from the working folder"),
    "base.distributed": Drops("follows from resources.gpu"),
    "base.ddp": Drops("follows from resources.gpu"),
    "base.split_output": Drops(_INFERENCE),
    "base.tensorboard": Drops("TensorBoard's files are always written, below the run's work folder"),
    "base.graceful_stop_file": Drops("SIGTERM and Ctrl-C save and leave with exit code 75"),
    "base.verbosity": Drops("there is one level"),
    "base.torch_sharing_strategy": Drops("batches are made whole in one worker"),
    **_train(
        {
            "weight_prefix": Drops(_RESULTS),
            "save_step": Maps(
                "training.save_every, validate_every", saves, "there no validation comes with a checkpoint"
            ),
            "save_epoch": Drops("cadences are in optimiser steps: training.validate_every"),
            "optimizer.name": Maps("optimizer.name", _optimizer, "any class of torch.optim"),
            "optimizer.provider": Maps("optimizer.name", _optimizer, "any class of torch.optim"),
            "optimizer.lr": Maps("optimizer.lr"),
            "optimizer.weight_decay": Maps("optimizer.weight_decay", _decay, "of all parameters: decay_all"),
            "optimizer.*": Maps("optimizer.options.*"),
            "lr_scheduler": Maps(
                "schedule", _schedule, "StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR, plateau"
            ),
            "restore_optimizer": Drops("weft train --resume goes on with everything"),
            "resume": Drops("weft train --resume goes on with everything"),
            "scheduler_resume": Drops("weft train --resume goes on with everything"),
            "gradient_tracking": Drops("the norm of the gradient is in log.csv"),
        }
    ),
    "validation.early_stopping.monitor": Maps("training.monitor"),
    "validation.early_stopping.mode": Maps("training.mode"),
    "validation.early_stopping.patience": Maps("training.patience"),
    "validation.early_stopping.min_delta": Maps("training.min_delta"),
    "validation.best_checkpoint": Drops("model.ckpt is always the best by training.monitor"),
    "validation.fraction": Drops("all of the val split; training.validation_events takes its first events"),
    "validation.file_keys": PartOf("io.loader.dataset.file_keys"),
    "io.loader.batch_size": Maps("training.batch_size", says="of all processes together"),
    "io.loader.minibatch_size": Maps("training.batch_size", _minibatch, "times world_size"),
    "io.loader.shuffle": Drops(_STREAM),
    "io.loader.sampler": Only(("random_sequence",), _STREAM),
    "io.loader.num_workers": Maps("training.workers"),
    "io.loader.collate_fn": Only(("all",), "events lie end to end, with offsets"),
    "io.loader.dtype": Only(("float32",), "see training.precision for mixed precision"),
    "io.loader.entry_list": Refuses(_ENTRIES),
    "io.loader.dataset.name": Only(("larcv",), "the files are LArCV's ROOT"),
    "io.loader.dataset.provider": Only(("larcv",), "the files are LArCV's ROOT"),
    "io.loader.dataset.file_keys": Maps(
        "dataset:files, splits",
        _files,
        "split train; without validation.file_keys nine tenths of it, the rest val and test",
    ),
    "io.loader.dataset.file_list": Refuses("give the files themselves; nearest that works: file_keys"),
    "io.loader.dataset.limit_num_files": PartOf("io.loader.dataset.file_keys"),
    **{f"io.loader.dataset.{key}": Refuses(_ENTRIES) for key in _CHOSEN.split()},
    **{
        f"io.loader.dataset.{key}": Drops("the converter reads the trees that the dataset names")
        for key in ("tree_keys", "max_print_files", "create_run_map", "run_info_key", "allow_missing")
    },
    "io.loader.dataset.dtype": Only(("float32",), "see training.precision for mixed precision"),
    "io.loader.dataset.overlay_methods": Refuses("events are not overlaid; nearest that works: null"),
    SCHEMA: Maps("dataset:products", schema, "trees of the network's input and of its labels"),
    "io.loader.dataset.augment.flip": Maps(
        "data.flip", lambda value, source: Noted(True, "each axis with probability ½"), "each axis with probability ½"
    ),
    "io.loader.dataset.augment.rotate": Maps(
        "data.rotate", lambda value, source: Noted(True, "a random order of the axes"), "a random order of the axes"
    ),
    "io.loader.dataset.augment.translate": Maps(
        "data.shift",
        lambda value, source: Noted(16, "0 to 16 voxels along each axis"),
        "0 to 16 voxels along each axis",
    ),
    "io.loader.dataset.augment.*": Refuses("no such augmentation; there are data.flip, rotate, shift, charge_jitter"),
    "io.reader": Drops(_INFERENCE),
    "io.writer": Drops(_INFERENCE),
    "geo": Drops("voxels carry their box and size, in cm"),
    **BUILD,
    **POST,
    "ana": Drops("weft evaluate writes the score tables"),
    "model.name": Drops("the stages say what they do: task"),
    "model.provider": Drops("the stages say what they do: task"),
    "model.weight_path": Maps("init", _weights, "after weft import-weights"),
    "model.weight_list": Drops(_INFERENCE),
    "model.network_input": PartOf(SCHEMA),
    "model.loss_input": PartOf(SCHEMA),
    "model.to_numpy": Drops(_INFERENCE),
    "model.time_dependent_loss": Only((False,), "the loss does not change with time"),
    "model.dtype": Only(("float32",), "see training.precision for mixed precision"),
    "model.detect_anomaly": Drops("a loss that is not finite stops the training and names its events"),
    "model.find_unused_parameters": Drops("every parameter of this network is used"),
    **URESNET,
    **POINTS,
    **FRAGMENTS,
    **GRAPPA,
    **GRAPPA_LOSS,
    **CHAIN_TABLE,
    "model.modules.predict_points.use_numpy": Drops("points are found once, when fragments are made"),
    "model.modules.predict_points.contained_first": Only((True,), "points of the cluster's own voxels come first"),
    "model.modules.predict_points.anchor_points": Only((True,), "points are voxels of the cluster"),
    "model.modules.predict_points.enhance_track_points": Only((False,), "tracks end at their farthest voxels"),
    "model.modules.predict_points.approx_farthest_points": Drops("farthest voxels are exact"),
    "model.modules.adapt_labels": Drops("labels are those of the majority of voxels"),
    "model.modules.interaction_vertexing": Refuses("vertices are those of the reconstruction; nearest: null"),
    "model.modules.uresnet_deghost": Refuses("ghosts are told apart by model.ghost; nearest that works: null"),
    "model.modules.uresnet_deghost_loss": Refuses("ghosts are told apart by model.ghost; nearest that works: null"),
    "model.modules.calibration": Refuses("charge is taken as it is; nearest that works: null"),
    "model.modules.image_particle": Refuses("particles are judged by GrapPA; nearest that works: null"),
    "model.modules.image_particle_loss": Refuses("particles are judged by GrapPA; nearest that works: null"),
}

SPINE = Dialect(
    name="spine",
    title="SPINE",
    table=TABLE,
    plan=_plan,
    dataset=LARCV_FILES,
    signs=(("io", "model"), ("base", "io"), ("include",), ("__meta__",)),
    differs=(
        "every epoch is a new permutation of single events; random_sequence draws runs of neighbours",
        "events of val choose the best weights; SPINE keeps the last",
        "IoU and precision are scored beside the accuracies",
    ),
    modules={
        "segmentation": ("uresnet", "uresnet_ppn.uresnet"),
        "points": ("uresnet_ppn",),
        "spice": ("spice",),
        "graph_spice": ("graph_spice",),
        **{f"grappa {instance}": (module,) for module, instance in INSTANCE.items()},
    },
    read=load_spine,
    tidy=tidy,
)
