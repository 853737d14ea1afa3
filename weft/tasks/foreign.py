"""A checkpoint of another tool's whole chain, split into the model files of the stages of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weft import tasks
from weft.config import run_of
from weft.config.dataset import Dataset
from weft.config.experiment import Experiment
from weft.config.layout import Layout
from weft.config.plan import Run
from weft.engine.fixed import settle
from weft.engine.foreign_weights import Summary, Target, import_chain, read_checkpoint
from weft.errors import WeftError

JOINT = "joint"


def split_checkpoint(
    experiment: Experiment, dataset: Dataset, layout: Layout, checkpoint: Path, folder: Path | None = None
) -> list[str]:
    """Write what each stage has in the checkpoint; returns what was done, a line each.

    folder: where ``<stage>.ckpt`` go, of a joint training ``<module>.ckpt``; default: where deploy looks for them, and
    then the stages that learn nothing are made ready too. Nothing is written over.
    """
    runs = [run_of(experiment, dataset, layout, name, None) for name in experiment.order()]
    targets: dict[str, Target] = {}
    fixed: list[tuple[Run, Any]] = []
    for run in runs:
        if run.stage.task == JOINT:
            targets |= _modules(run, folder)
            continue
        task = tasks.of(run.stage, f"experiment '{experiment.name}', stage '{run.stage_name}'")
        if task.learned:
            output = Path(run.model) if folder is None else folder / f"{run.stage_name}.ckpt"
            targets[run.stage_name] = Target(task, run.training_options(), output)
        elif folder is None:
            fixed.append((run, task))
    for target in targets.values():
        if target.output.exists():
            raise WeftError(f"{target.output}: exists; remove it or write elsewhere with --to")
    done, left, unused = import_chain(targets, read_checkpoint(checkpoint), checkpoint)
    lines = [_line(targets[name].output, summary) for name, summary in done.items()]
    lines += [summary.unchecked for summary in done.values() if summary.unchecked]
    for run, task in fixed:
        if not Path(run.model).exists():
            settle(task, Path(run.model).parent, run.training_options(), run.seed)
            lines.append(f"{run.model}: stage {run.stage_name} learns nothing")
    lines += [f"nothing for stage {name}: {reason}" for name, reason in left.items()]
    return [*dict.fromkeys(lines), *(f"not used: module {name}, {number} tensors" for name, number in unused.items())]


def _modules(run: Run, folder: Path | None) -> dict[str, Target]:
    """The modules of a joint training that learn; each starts from a file of its own."""
    if folder is None:
        where = f"stage '{run.stage_name}'"
        raise WeftError(f"{where} trains several modules: give --to FOLDER, and the files there to the stage's init")
    found = {}
    for name, module in run.stage.model["modules"].items():
        options = {section: module.get(section, {}) for section in ("model", "loss", "data")}
        task = tasks.build(module["task"], options, f"module '{name}'")
        if task.learned:
            found[name] = Target(task, {"task": module["task"], **options}, folder / f"{name}.ckpt")
    return found


def _line(output: Path, summary: Summary) -> str:
    return f"{output}: {summary.parameters:,} parameters of {summary.tool}, module {summary.module}"
