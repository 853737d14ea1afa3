"""lartpc_mlreco3d of 2020 (full_chain.cfg): spine_full_chain §1.10 and §3.2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.lartpc import LARCV_FILES, charge_and_labels, saves, splits
from weft.config.dialects.mlreco_chain import CHAIN, plan, start_of_all
from weft.config.dialects.mlreco_points import POINTS, freeze, ghost, starts
from weft.config.dialects.rules import Drops, Maps, Noted, Only, PartOf, Refuses, Rule, Several, Source, Unfit
from weft.config.dialects.torch_names import schedule

_NETWORK = "model.modules.uresnet_lonely"

#: Parsers whose trees become products of the event store: (as network input, as label), by position.
_PARSERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "parse_sparse3d_scn": (("charge",), ("semantics",)),
    "parse_sparse3d": (("charge",), ("semantics",)),
    "parse_cluster3d_clean_full": ((), ("clusters", "particles", "semantics")),
    "parse_particle_points": ((), ("", "particles")),
}


def _schema(value: Mapping[str, list[str]], source: Source) -> Several:
    """The trees of the network's input and of its labels: lists of a parser and trees, in the order of the model."""
    products: dict[str, str] = {}
    inputs, labels = source.get("model.network_input", default=[]), source.get("model.loss_input", default=[])
    for name in (*inputs, *labels):
        if name not in value:
            raise Unfit(f"the model reads '{name}', which the schema does not have; it has: {', '.join(value)}")
    for name, (parser, *trees) in value.items():
        if parser not in _PARSERS:
            raise Unfit(f"{name}: parser '{parser}' has no product here; parsers that have: {', '.join(_PARSERS)}")
        kinds = _PARSERS[parser][name not in inputs]
        if len(trees) < len(kinds):
            raise Unfit(f"{name}: {parser} reads {len(kinds)} trees, {len(trees)} are given")
        if name in inputs and len(trees) != 1:
            raise Unfit(f"{name}: the network reads one charge, {len(trees)} trees are given")
        for kind, tree in zip(kinds, trees, strict=False):
            if kind and products.setdefault(kind, tree) != tree:
                raise Unfit(f"{name}: {kind} from {tree} and from {products[kind]}; nearest that works: one of them")
    return Several({"dataset:products": charge_and_labels(products)})


def _gpus(value: Any) -> int:
    """``gpus`` is a text: '' is the CPU, '0,1' are two."""
    return len([gpu for gpu in str(value).split(",") if gpu.strip()])


def _batch(value: int, source: Source) -> Several:
    """The mini-batch rule: a step sees ``batch_size`` events, ``minibatch_size`` at a time on every GPU."""
    devices = max(1, _gpus(source.get("trainval.gpus", default="")))
    each = source.get("iotool.minibatch_size", "iotool.sampler.minibatch_size")
    if value % devices:
        raise Unfit(
            f"{value} events do not divide over {devices} devices; nearest that works: {value - value % devices}"
        )
    together = devices * each if each is not None and each > 0 else value
    if together > value or value % together:
        fits = [size for size in range(1, value // devices + 1) if value % (devices * size) == 0]
        nearest = min(fits, key=lambda size: abs(size - each))
        raise Unfit(
            f"{value} events are not a whole number of mini-batches of {each} on {devices} devices; "
            f"nearest that works: minibatch_size {nearest}"
        )
    batches = value // together
    note = f"{value} events a step, {together} at a time"
    return Several(
        {
            "training.batch_size": together,
            **({"training.accumulate": Noted(batches, note)} if batches > 1 else {}),
        }
    )


def _schedule(value: Mapping[str, Any], source: Source) -> Several:
    lr = source.get("trainval.optimizer.args.lr", default=1e-3)
    return schedule(value.get("name", ""), value.get("args") or {}, source.get("trainval.iterations"), lr)


def _optimizer(value: str, source: Source) -> str:
    if value == "AdaBound":
        raise Unfit("torch has no AdaBound; nearest that works: Adam")
    return value


def _decay(value: float, source: Source) -> Several:
    return Several({"optimizer.weight_decay": value, **({"optimizer.decay_all": True} if value else {})})


_RESULTS = "everything lies in the folder of the experiment, below results/"
TABLE: dict[str, Rule] = {
    "iotool.batch_size": Maps(
        "training.batch_size, training.accumulate",
        _batch,
        "batch_size = accumulate · training.batch_size; the latter is minibatch_size times GPUs",
    ),
    "iotool.minibatch_size": PartOf("iotool.batch_size"),
    "iotool.shuffle": Drops("events are drawn in a new permutation every epoch, keyed by the seed"),
    "iotool.num_workers": Maps("training.workers"),
    "iotool.collate_fn": Only(("CollateSparse",), "events lie end to end, with offsets"),
    "iotool.sampler.name": Only(
        ("RandomSequenceSampler",), "every epoch is a permutation; there runs of events are drawn with replacement"
    ),
    "iotool.sampler.seed": Drops("one seed for all: seeds"),
    "iotool.sampler.minibatch_size": PartOf("iotool.batch_size"),
    "iotool.dataset.name": Only(("LArCVDataset",), "the files are LArCV's ROOT"),
    "iotool.dataset.data_keys": Maps(
        "dataset:files, splits",
        lambda value, source: splits(value, None, source.get("iotool.dataset.limit_num_files")),
        "nine tenths become split train, the rest val and test",
    ),
    "iotool.dataset.limit_num_files": PartOf("iotool.dataset.data_keys"),
    "iotool.dataset.schema": Maps("dataset:products", _schema, "trees of the network's input and of the labels"),
    "model.name": Drops("the stages say what they do: task"),
    "model.network_input": PartOf("iotool.dataset.schema"),
    "model.loss_input": PartOf("iotool.dataset.schema"),
    "model.keep_output": Drops("the products of a task are fixed"),
    f"{_NETWORK}.model_path": Maps("uresnet:init", starts, "weights of this module; all of its tensors"),
    f"{_NETWORK}.freeze_weights": Maps("uresnet:freeze", freeze, "with a PPN: trunk and head"),
    f"{_NETWORK}.num_strides": Maps("uresnet:model.depth"),
    f"{_NETWORK}.filters": Maps("uresnet:model.filters"),
    f"{_NETWORK}.reps": Maps("uresnet:model.reps"),
    f"{_NETWORK}.num_classes": Only((5,), "shower, track, Michel, delta, low-energy; ghosts by model.ghost"),
    f"{_NETWORK}.data_dim": Only((3,), "voxels have three coordinates"),
    f"{_NETWORK}.spatial_size": Drops("the network does not depend on it"),
    f"{_NETWORK}.ghost": Maps("uresnet:model.ghost", ghost),
    f"{_NETWORK}.features": Only((1,), "the network reads the charge"),
    **POINTS,
    **CHAIN,
    "trainval.seed": Maps(
        "experiment:seeds",
        lambda value, source: [value] if value >= 0 else Noted([0], "there the clock, which cannot be repeated"),
        "one seed; a negative one, the clock, becomes 0",
    ),
    "trainval.gpus": Maps("resources.gpu", lambda value, source: _gpus(value), "their number; '' is the CPU"),
    "trainval.weight_prefix": Drops(_RESULTS),
    "trainval.unwrapper": Drops("predictions are always per event"),
    "trainval.concat_result": Drops("ragged products have offsets and need no list of exceptions"),
    "trainval.iterations": Maps("training.iterations"),
    "trainval.epochs": Maps("training.epochs"),
    "trainval.report_step": Maps("training.log_every"),
    "trainval.checkpoint_step": Maps(
        "training.save_every, validate_every", saves, "there no validation comes with a checkpoint"
    ),
    "trainval.log_dir": Drops(_RESULTS),
    "trainval.model_path": Maps("init", start_of_all, "weights of all modules"),
    "trainval.train": Only((True,), "this is for training; with weights it is weft deploy that predicts"),
    "trainval.debug": Drops("an error names the file, the event and the key"),
    "trainval.restore_optimizer": Drops("weft train --resume goes on with everything"),
    "trainval.optimizer.name": Maps("optimizer.name", _optimizer, "any class of torch.optim"),
    "trainval.optimizer.args.lr": Maps("optimizer.lr"),
    "trainval.optimizer.args.weight_decay": Maps("optimizer.weight_decay", _decay, "of all parameters: decay_all"),
    "trainval.optimizer.args.*": Maps("optimizer.options.*"),
    "trainval.lr_scheduler": Maps(
        "schedule", _schedule, "StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR, plateau"
    ),
    "trainval.time_dependent_loss": Refuses("the loss does not change with time; nearest that works: null"),
}


LARTPC_MLRECO3D = Dialect(
    name="lartpc_mlreco3d",
    title="lartpc_mlreco3d",
    table=TABLE,
    plan=plan,
    dataset=LARCV_FILES,
    signs=(("iotool",), ("trainval",)),
    differs=(
        "every epoch is a permutation of single events; there runs of events are drawn with replacement",
        "the loss is a mean over the voxels of a step; there over events, of means over their voxels",
        "events of val choose the best weights; there the last are kept",
    ),
)
