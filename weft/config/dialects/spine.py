"""SPINE (uresnet.cfg, uresnet_ppn): spine_full_chain §3.1; keys and defaults of release 1.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.lartpc import IMAGE_STAGE, LARCV_FILES, charge_and_labels, saves, splits
from weft.config.dialects.rules import (
    Drops,
    Later,
    Maps,
    Noted,
    Only,
    PartOf,
    Refuses,
    Rule,
    Several,
    Source,
    Table,
    Unfit,
)
from weft.config.dialects.spine_language import load_spine
from weft.config.dialects.spine_points import POINTS, alone, alone_number, check, freeze, is_joint, task
from weft.config.dialects.torch_names import schedule

_NETWORK = "model.modules.uresnet"
_SCHEMA = "io.loader.dataset.schema"

#: The products of ours, what in the model reads them, and by which parser from which tree.
_READ = {
    "charge": ("model.network_input.data", "sparse3d", "sparse_event"),
    "semantics": ("model.loss_input.seg_label", "sparse3d", "sparse_event"),
    "particles": ("model.loss_input.point_label", "particle_points", "particle_event"),
    "clusters": ("model.loss_input.clust_label", "cluster3d", "cluster_event"),
}
#: The loss of the PPN calls its label points otherwise.
_ALSO = {"model.loss_input.point_label": "model.loss_input.ppn_label"}
_PARSERS = {
    "sparse3d": {"parser", "sparse_event", "sparse_event_list", "num_features", "feature_only", "lexsort"},
    "particle_points": {"parser", "particle_event", "sparse_event", "include_point_tagging"},
    "cluster3d": {
        *("parser", "cluster_event", "particle_event", "sparse_semantics_event", "sparse_value_event"),
        *("add_particle_info", "clean_data"),
    },
}


def _length(value: Any, source: Source) -> Any:
    return Several({"training.epochs": 1}) if value == -1 else Several({"training.iterations": value})


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


def _activation(value: Any, source: Source) -> float:
    block: Mapping[str, Any] = {"name": value} if isinstance(value, str) else value
    name = block.get("name", block.get("provider"))
    if name == "relu":
        return 0.0
    if name != "lrelu":
        raise Unfit(f"the network has leaky ReLUs, not '{name}'; nearest that work: lrelu, relu")
    _only(block, {"name", "provider", "negative_slope", "inplace"}, "activation")
    return block.get("negative_slope", 0.01)


def _norm(value: Any, source: Source) -> Several:
    block: Mapping[str, Any] = {"name": value} if isinstance(value, str) else value
    name = block.get("name", block.get("provider"))
    if name != "batch_norm":
        raise Unfit(f"the network has batch norms, not '{name}'; nearest that works: batch_norm")
    _only(block, {"name", "provider", "eps", "momentum"}, "norm_layer")
    return Several({"model.norm_eps": block.get("eps", 1e-5), "model.norm_momentum": block.get("momentum", 0.1)})


def _only(block: Mapping[str, Any], known: set[str], key: str) -> None:
    for name in block:
        if name not in known:
            raise Unfit(f"unknown key '{key}.{name}'; known here: {', '.join(sorted(known))}")


def _balance(value: bool, source: Source) -> float | None:
    kept = alone(value, source)
    return None if kept is None else float(kept)


def _module_weights(value: str, source: Source) -> Noted:
    """Weights of the U-ResNet alone: in a joint training of two of its modules."""
    start: Any = {"trunk": value, "head": value} if is_joint(source) else value
    return Noted(start, "weft import-weights first, and its result here")


def _weights(value: str, source: Source) -> Noted:
    return Noted(value, "weft import-weights first, and its result here")


def _files(value: Any, source: Source) -> Several:
    return splits(value, source.get("validation.file_keys"), source.get("io.loader.dataset.limit_num_files"))


def _schema(value: Mapping[str, Any], source: Source) -> Several:
    """The products that the network and its loss read, by the trees that the parsers name."""
    products, read = {}, []
    for product, (name, parser, tree) in _READ.items():
        entry = source.get(name, _ALSO.get(name, name))
        if entry is None:
            continue
        if entry not in value:
            raise Unfit(f"{name} is '{entry}', which the schema does not have; it has: {', '.join(value)}")
        block = value[entry]
        if block.get("parser") != parser:
            raise Unfit(f"{entry}.parser: {product} come from {parser}; nearest that works: {parser}")
        _only(block, _PARSERS[parser], entry)
        trees = block.get(f"{tree}_list") or [block.get(tree)]
        if len(trees) != 1 or trees[0] is None:
            raise Unfit(f"{entry}: one {tree} is read, {len(trees)} are given; nearest that works: {trees[0]}")
        products[product] = trees[0]
        read.append(entry)
    unread = [name for name in value if name not in read]
    note = f"not read by the U-ResNet or its loss: {', '.join(unread)}" if unread else ""
    return Several({"dataset:products": Noted(charge_and_labels(products), note)})


def _train(table: Table) -> dict[str, Rule]:
    """The training block sits at the top level, in older files in ``base``."""
    return {f"{place}.{key}": rule for place in ("train", "base.train") for key, rule in table.items()}


def _check(source: Source) -> None:
    if source.get("train") is not None and source.get("base.train") is not None:
        raise Unfit("train: given at the top level and in base; SPINE takes one of them")
    if source.get("io.loader") is None or source.get("train", "base.train") is None:
        raise Unfit("an inference configuration, without io.loader or train: it is `weft deploy` that does this here")
    if source.get(_NETWORK) is None:
        raise Unfit(f"no {_NETWORK}: of SPINE's models this release has the U-ResNet")
    check(source)


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
    "base.epochs": Maps("training.epochs"),
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
            "save_epoch": Refuses("cadences are in optimiser steps; nearest that works: save_step"),
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
    _SCHEMA: Maps("dataset:products", _schema, "trees of the network's input and of its labels"),
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
    "build": Later("building particles and interactions"),
    "post": Later("post-processing"),
    "ana": Drops("weft evaluate writes the score tables"),
    "model.name": Maps("task", task, "uresnet_ppn becomes points, with model.semantic"),
    "model.provider": Maps("task", task, "uresnet_ppn becomes points, with model.semantic"),
    "model.weight_path": Maps("init", _weights, "after weft import-weights"),
    "model.weight_list": Drops(_INFERENCE),
    "model.network_input": PartOf(_SCHEMA),
    "model.loss_input": PartOf(_SCHEMA),
    "model.to_numpy": Drops(_INFERENCE),
    "model.time_dependent_loss": Only((False,), "the loss does not change with time"),
    "model.dtype": Only(("float32",), "see training.precision for mixed precision"),
    "model.detect_anomaly": Drops("a loss that is not finite stops the training and names its events"),
    "model.find_unused_parameters": Drops("every parameter of this network is used"),
    f"{_NETWORK}.num_input": Only((1,), "the network reads the charge"),
    f"{_NETWORK}.num_classes": Only((5,), "shower, track, Michel, delta, low-energy; ghosts by model.ghost"),
    f"{_NETWORK}.filters": Maps("model.filters"),
    f"{_NETWORK}.depth": Maps("model.depth"),
    f"{_NETWORK}.reps": Maps("model.reps"),
    f"{_NETWORK}.input_kernel": Maps("model.input_kernel"),
    f"{_NETWORK}.data_dim": Only((3,), "voxels have three coordinates"),
    f"{_NETWORK}.allow_bias": Only((False,), "convolutions have no bias: a norm follows each"),
    f"{_NETWORK}.activation": Maps("model.leak", _activation, "lrelu's negative_slope; 0 for relu"),
    f"{_NETWORK}.norm_layer": Maps("model.norm_eps, model.norm_momentum", _norm, "batch_norm"),
    f"{_NETWORK}.spatial_size": Drops("the network does not depend on it"),
    f"{_NETWORK}.ghost": Maps("model.ghost", alone),
    f"{_NETWORK}.lattice": Refuses("a random phase of the strided grid is data.shift; nearest that works: null"),
    f"{_NETWORK}.weight_path": Maps("init", _module_weights, "after weft import-weights"),
    f"{_NETWORK}.model_name": Drops("weft import-weights finds the module in the file, or takes it by --module"),
    f"{_NETWORK}.freeze_weights": Maps("freeze", freeze, "with a PPN: trunk and head"),
    f"{_NETWORK}_loss.loss": Only(("ce",), "the loss is cross-entropy"),
    f"{_NETWORK}_loss.ghost_label": Only((-1,), "ghosts are told apart by model.ghost, in a head of their own"),
    f"{_NETWORK}_loss.alpha": Maps("loss.semantic_weight"),
    f"{_NETWORK}_loss.beta": Maps("loss.ghost_weight", alone_number),
    f"{_NETWORK}_loss.balance_loss": Maps("loss.balance", _balance, "true is 1, false 0"),
    f"{_NETWORK}_loss.upweight_points": Maps("loss.upweight_points", alone),
    f"{_NETWORK}_loss.upweight_radius": Maps("loss.point_radius", alone_number, "voxels"),
    **POINTS,
    "model.modules.*": Later("the other modules of SPINE's chain"),
}

SPINE = Dialect(
    name="spine",
    title="SPINE",
    stage="uresnet",
    table=TABLE,
    defaults={
        **IMAGE_STAGE,
        **LARCV_FILES,
        "model.input_kernel": (3, "SPINE's default"),
        "model.leak": (0.01, "SPINE's default"),
        "model.norm_eps": (1e-5, "SPINE's default"),
        "model.norm_momentum": (0.1, "SPINE's default"),
    },
    signs=(("io", "model"), ("base", "io"), ("include",), ("__meta__",)),
    differs=(
        "every epoch is a new permutation of single events; random_sequence draws runs of neighbours",
        "events of val choose the best weights; SPINE keeps the last",
        "IoU and precision are scored beside the accuracies",
    ),
    read=load_spine,
    check=_check,
)
