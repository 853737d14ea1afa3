"""Weights that another tool has trained, as a ``model.ckpt`` of ours.

A task lists where other tools keep the tensors of its network (`Task.foreign_layout`); reading, renaming and checking
are the same for all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from weft.config.dialects import DIALECTS, Dialect, translate
from weft.config.loading import ConfigError
from weft.engine.model_file import ModelFile, load_weights, save_model
from weft.engine.task import Task
from weft.errors import WeftError
from weft.io.provenance import collect, write_record

#: Counters that torch's batch norm carries along and nothing depends on.
_COUNTERS = "num_batches_tracked"


class Checkpoint(NamedTuple):
    """What a training of another tool has left."""

    state: dict[str, Tensor]
    step: int | None
    config: dict[str, Any] | None
    """the resolved configuration, where the file has it (SPINE's format 2)"""
    sha256: str


class Summary(NamedTuple):
    """What was taken over for one network."""

    tool: str
    module: str
    """prefix of the tensors that were taken, ``""`` for a file of this network alone"""
    parameters: int
    unused: dict[str, int]
    """tensors of other modules in the file, counted by module"""
    unchecked: str
    """what the file does not say of the training, though the outputs depend on it; "" where it says all"""


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint of SPINE (both formats) or lartpc_mlreco3d, or a bare state dict.

    Only tensors and plain data are unpickled. A ``.sha256`` file beside it, as SPINE writes, is checked.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeftError(f"{path}: cannot be read: {error.strerror}") from None
    sidecar = path.with_name(path.name + ".sha256")
    if sidecar.is_file() and sidecar.read_text().split()[:1] != [digest]:
        raise WeftError(f"{path}: does not have the checksum that {sidecar.name} says; fetch the file again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise WeftError(f"{path}: not a checkpoint of tensors and plain data ({reason})") from None
    if not isinstance(content, dict):
        raise WeftError(f"{path}: expected a mapping with 'state_dict', found {type(content).__name__}")
    state = content.get("state_dict", content)
    tensors = {
        str(name).removeprefix("module."): value
        for name, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise WeftError(f"{path}: expected 'state_dict' with tensors; the file has: {', '.join(map(str, content))}")
    step = content.get("global_step")
    config = content.get("config")
    return Checkpoint(
        tensors, step if isinstance(step, int) else None, config if isinstance(config, dict) else None, digest
    )


def rename(
    state: Mapping[str, Tensor],
    names: Mapping[str, str],
    source: str,
    module: str | None = None,
    usual: Collection[str] = (),
) -> tuple[dict[str, Tensor], str, dict[str, int]]:
    """The tensors of ``state`` under our names, the prefix they had there, and how many other modules have.

    names: ``{our name: theirs}`` below the module. module: its prefix in the file; found where there is only one, or
    only one of those that it is ``usual`` under. Every tensor that is missing, or that the module has and we do not
    expect, is named in the error.
    """
    prefix = _prefix(state, next(iter(names.values())), source, module, usual)
    wanted = {prefix + theirs for theirs in names.values()}
    problems = [f"{name} is missing" for name in wanted - state.keys()]
    others: Counter[str] = Counter()
    for name in state.keys() - wanted:
        if not name.startswith(prefix):
            others[name.partition(".")[0]] += 1
        elif not name.endswith(_COUNTERS):
            problems.append(f"{name} is not in the network")
    if problems:
        raise WeftError(f"{source} does not fit the network: {'; '.join(sorted(problems))}")
    return {ours: state[prefix + theirs] for ours, theirs in names.items()}, prefix.rstrip("."), dict(others)


def _found(state: Mapping[str, Tensor], first: str) -> list[str]:
    """What precedes a tensor ``first`` in the file, with the dot."""
    return sorted(name[: -len(first)] for name in state if name == first or name.endswith("." + first))


def _prefix(state: Mapping[str, Tensor], first: str, source: str, module: str | None, usual: Collection[str]) -> str:
    """What precedes the tensor ``first`` of the module that is meant."""
    found = _found(state, first)
    listed = ", ".join(prefix.rstrip(".") or "(top level)" for prefix in found)
    if not found:
        modules = ", ".join(sorted({name.partition(".")[0] for name in state}))
        raise WeftError(f"{source}: no tensor '{first}', neither at the top level nor in a module; it has: {modules}")
    if module is not None:
        if module + "." not in found:
            raise WeftError(f"{source}: no such network in module '{module}'; it is in: {listed}")
        return module + "."
    known = [prefix for prefix in found if prefix.rstrip(".") in usual]
    if len(found) > 1 and len(known) == 1:
        return known[0]
    if len(found) > 1:
        raise WeftError(f"{source}: several modules have such a network, choose one with --module: {listed}")
    return found[0]


class _Taken(NamedTuple):
    """A network with the weights of another tool, not yet written."""

    model: ModelFile
    summary: Summary


def import_weights(
    task: Task[Any],
    checkpoint: Checkpoint,
    source: Path,
    output: Path,
    options: Mapping[str, Any],
    module: str | None = None,
) -> Summary:
    """Write ``checkpoint`` as the model file of ``task``, with ``model.json`` beside it.

    options: what the run depends on, for the provenance. Raises WeftError where a tensor is missing, unexpected, or
    of another shape, every such tensor being named, and where the file says that the network was another one.
    """
    taken = _take(task, checkpoint, source, options, module)
    _write(taken.model, output)
    return taken.summary


class Target(NamedTuple):
    """One network of a chain, and where its model file goes."""

    task: Task[Any]
    options: Mapping[str, Any]
    output: Path


def import_chain(
    targets: Mapping[str, Target], checkpoint: Checkpoint, source: Path
) -> tuple[dict[str, Summary], dict[str, str], dict[str, int]]:
    """Split a checkpoint of a whole chain into the model files of its stages.

    Returns what was taken over by stage, why nothing was for the others, and how many tensors no stage took, by
    module. All networks are made before the first is written. Raises WeftError as :func:`import_weights` does, and
    where the file has no network of any stage.
    """
    taken: dict[str, _Taken] = {}
    left: dict[str, str] = {}
    for name, target in targets.items():
        layout = target.task.foreign_layout()
        if layout is None:
            left[name] = f"task '{target.task.name}' with these options reads no weights of other tools"
        elif not (prefixes := _of_stage(target, checkpoint.state)):
            left[name] = "the file has no such network"
        else:
            taken[name] = _take(target.task, checkpoint, source, target.options, prefixes)
    modules = Counter(name.partition(".")[0] for name in checkpoint.state)
    if not taken:
        raise WeftError(f"{source}: no network of a stage is in it; it has: {', '.join(sorted(modules))}")
    for name, made in taken.items():
        _write(made.model, targets[name].output)
        modules.pop(made.summary.module.partition(".")[0], None)
    return {name: made.summary for name, made in taken.items()}, left, dict(modules)


def _of_stage(target: Target, state: Mapping[str, Tensor]) -> str | None:
    """The module of a stage in a file of the whole chain."""
    layout = target.task.foreign_layout()
    assert layout is not None
    found = [prefix.rstrip(".") for prefix in _found(state, next(iter(layout.names.values())))]
    known = [prefix for prefix in found if prefix in _usual(target.task, layout.tool)]
    return known[0] if known else None


def _usual(task: Task[Any], tool: str) -> tuple[str, ...]:
    """The modules under which checkpoints of a tool keep the network of a task."""
    instance = task.options.model_dump(include={"model"}).get("model", {}).get("instance")
    return DIALECTS[tool].modules.get(f"{task.name} {instance}" if instance else task.name, ())


def _take(
    task: Task[Any], checkpoint: Checkpoint, source: Path, options: Mapping[str, Any], module: str | None
) -> _Taken:
    layout = task.foreign_layout()
    if layout is None:
        raise WeftError(f"task '{task.name}' reads no weights of other tools")
    usual = _usual(task, layout.tool)
    state, prefix, unused = rename(checkpoint.state, layout.names, str(source), module, usual)
    unchecked = _same_training(DIALECTS[layout.tool], checkpoint.config, source, task, options)
    network = task.network()
    own = network.state_dict()
    # A kernel of one voxel has no axis of offsets in MinkowskiEngine.
    state = {
        name: tensor[None] if name in own and tensor.ndim + 1 == own[name].ndim and own[name].shape[0] == 1 else tensor
        for name, tensor in state.items()
    }
    load_weights(network, state, str(source))
    record = collect(
        config=options,
        inputs={str(source): checkpoint.sha256},
        task=task.name,
        imported_from=layout.tool,
        best_step=checkpoint.step,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = ModelFile(weights, task.name, task.options.model_dump(mode="json"), record)
    return _Taken(model, Summary(DIALECTS[layout.tool].title, prefix, record["parameters"], unused, unchecked))


def _write(model: ModelFile, output: Path) -> None:
    write_record(output.with_suffix(".json"), model.provenance)
    save_model(output, model)


#: Options that no tensor tells, though outputs depend on them.
_UNTOLD = (("model", "leak"), ("model", "norm_eps"), ("data", "charge"))


def _same_training(
    dialect: Dialect, config: dict[str, Any] | None, source: Path, task: Task[Any], options: Mapping[str, Any]
) -> str:
    """Compare what the checkpoint says of its training with the stage's options; returns what could not be compared."""
    here = {f"{section}.{key}": options.get(section, {}).get(key) for section, key in _UNTOLD}
    here = {key: value for key, value in here.items() if value is not None}
    reason = "the file does not say"
    if config is not None:
        try:
            stages = translate(dialect, source, config, form="staged").experiment.plain()["stages"].values()
        except ConfigError as error:
            reason = str(error)
        else:
            instance = options.get("model", {}).get("instance")
            same = [s for s in stages if s["task"] == task.name and s["model"].get("instance") == instance]
            for section, key in _UNTOLD if len(same) == 1 else ():
                was, name = same[0].get(section, {}).get(key), f"{section}.{key}"
                if was is not None and here.get(name, was) != was:
                    raise WeftError(f"{source}: trained with {name} {was}, the experiment has {here[name]}")
            if len(same) == 1:
                return ""
            reason = "its configuration has no such stage"
    return f"taken from the experiment: {', '.join(f'{key} {value}' for key, value in here.items())} ({reason})"
