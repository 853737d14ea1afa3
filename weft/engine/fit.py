"""Train one stage with one seed, or fit its baseline."""

from __future__ import annotations

import logging
import math
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning import Callback, Trainer
from threadpoolctl import threadpool_limits

from weft.config.experiment import Stage
from weft.engine.accumulation import Steps
from weft.engine.batch_norm import synchronise_batch_norm
from weft.engine.best import BestWeights
from weft.engine.checkpoint_file import full_disk_named
from weft.engine.checkpoints import CheckedFiles, Checkpoints
from weft.engine.corpus import TRUTH, Corpus, TrainingCorpus, in_turn
from weft.engine.determinism import deterministic, seed_generators
from weft.engine.device import choose_device
from weft.engine.distributed import on_first, rank, speaks, sum_over_ranks, trainer_settings, world_size
from weft.engine.fed import KEY, Makers, feed_of
from weft.engine.fixed import settle
from weft.engine.hold_out import parted
from weft.engine.launch import over_ranks
from weft.engine.log_file import LOG, write_rows
from weft.engine.logbook import Logbook
from weft.engine.logs import Interrupted
from weft.engine.model_file import MEASURED, ModelFile, read_model, save_model
from weft.engine.monitor import MonitorExists
from weft.engine.precision import choose_precision
from weft.engine.profiling import TRACE, Stopwatch, Trace
from weft.engine.randomness import initial_seed
from weft.engine.resume import AUTO, resume_point, warn
from weft.engine.safety import Guard, failures_explained
from weft.engine.schedules import LearningRate
from weft.engine.starting import freeze, initialise
from weft.engine.stopping import StopAtOnce, StopRequest, left_at_once
from weft.engine.stream import Count, EventBatches, TrainingBatches, loader, share
from weft.engine.task import Batch, Task
from weft.engine.trainee import Trainee
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.provenance import CHOSEN, collect, config_hash, write_record
from weft.metrics.scores import HELD_OUT

Shards = Sequence[Mapping[str, str | Path]]


@over_ranks
def fit(
    task: Task[Any],
    stage: Stage,
    seed: int,
    train: Shards,
    validation: Shards,
    output: Path,
    work: Path,
    options: Mapping[str, Any],
    weights: Mapping[str, str] | None = None,
    resume: str | Path = AUTO,
    allow_changes: bool = False,
    threads: int | None = None,
    profile: bool = False,
) -> None:
    """Train and leave ``model.ckpt``, ``model.json`` and ``log.csv`` in the folder ``output``; with
    ``training.hold_out`` also ``held_out.parquet``.

    train, validation: shards as ``{alias: file}``.
    work: folder of checkpoints; each hash of ``options`` (all that the result depends on) and of the inputs has a
        folder of its own there.
    resume, allow_changes: ``auto`` goes on from the last checkpoint in the folder of the same hash, ``none`` begins
        again, a path goes on from that checkpoint (:func:`weft.engine.resume.resume_point`).
    weights: ``{stage or file, as init names it: file}``, what the network starts from (``stage.starts``).
    profile: leave ``trace.json`` of a few steps in the work folder; does not change the result.
    Raises :class:`weft.engine.logs.Interrupted` after SIGINT or SIGTERM, with everything saved; a repeated call goes on
    from there. After a second signal it leaves at once, and what was done since the last checkpoint is lost; before the
    training begins, while data are read, it leaves at the first one.
    """
    if threads:
        torch.set_num_threads(threads)
    settings = stage.require_training()
    feeds = [stage.providers_on(inputs) for inputs in stage.training_inputs]
    fed = [Corpus(train, providers) for providers in feeds]
    held: list[Corpus] = []
    if settings.hold_out is not None:
        fed[0], own = parted(fed[0], settings.hold_out)  # of one kind of input: `both` is refused
        held = [own]
    elif settings.validate_every is not None:
        held = [Corpus(validation, providers) for providers in feeds]
        _require_events(held[0], "val")
    corpus, held_out = in_turn(fed), in_turn(held) if held else None
    _require_events(corpus, "train")
    parts = [corpus] if held_out is None else [corpus, held_out]
    for part in parts:
        part.require([*task.reads, *(f"{TRUTH}/{label}" for label in task.labels)])
    fed_by = feed_of(fed[0], task.reads, feeds[0]).makers
    seed_generators(initial_seed(seed))
    network = task.network()
    if world_size() > 1:
        synchronise_batch_norm(network)
    started_from = initialise(network, stage.starts, weights or {})
    frozen = freeze(network, stage.freeze)
    measured = task.measure(corpus)
    task.prepare(network, measured)
    inputs = dict(started_from)
    for part in parts:
        inputs |= part.content_hashes()
    steps = _steps(stage, len(corpus))
    folder = work / config_hash({"options": options, "inputs": sorted(inputs.values())})[:16]

    trainee = Trainee(task, network, stage, seed, steps, held_out, frozen)
    # What changes the weights and rates comes before what logs and saves them.
    averaging = [] if trainee.averaging is None else [trainee.averaging]
    record = collect(config=options, seeds={"run": seed}, inputs=inputs, task=task.name, ranks=world_size())
    point = on_first(lambda: resume_point(folder, resume, record, allow_changes))
    learning_rate = LearningRate(stage.schedule, settings, steps, point is None or point.comparable)
    stop = StopRequest()
    stopwatch = Stopwatch(choose_device(stage.resources.gpu))
    logbook, best = Logbook(folder, settings, len(corpus), (stopwatch,)), BestWeights(folder, settings, record)
    checkpoints = Checkpoints(folder, settings, record, best, stop, logbook.file)
    start, finished = 0, False
    if point is not None:
        start, finished = point.step, point.finished
        if point.comparable:
            best.restore(point.record["progress"])
        if rank() == 0:
            print(f"resuming at step {start} from {point.path}", flush=True)
            if not point.comparable:
                warn("its best weights do not count: they were chosen by another metric or on other events")
        if start >= steps and not finished:
            raise WeftError(
                f"{point.path}: nothing is left to train, it is of step {start} and the training has {steps}"
            )
    if not finished:
        pin = stage.resources.gpu > 0
        batches = TrainingBatches(task, corpus, seed, settings.batch_size, rank(), world_size())
        first: list[Callback] = []
        validate = None
        if held_out is not None:
            events = settings.validation_events
            validation_batches = EventBatches(task, held_out, stage.evaluation.batch_size, True, events, world_size())
            validate = loader(validation_batches, share(len(validation_batches), rank(), world_size()), 0, pin)
            trainee.validation_counts = _total_counts(task, validation_batches)
            first.append(MonitorExists(settings.monitor, validation_batches))
        micro_batches = Count(start * settings.accumulate, steps * settings.accumulate)
        feed: Iterable[Batch] = loader(batches, micro_batches, settings.workers, pin)
        if settings.accumulate > 1:
            feed = Steps(feed, task, settings.accumulate)
        with (
            full_disk_named(folder),
            _quiet_lightning(),
            stop,
            deterministic(settings.deterministic),
            failures_explained(stage, corpus),
        ):
            first += [*averaging, learning_rate, stopwatch, Guard(folder, corpus)]
            trace = [Trace(folder / TRACE)] if profile else []
            trainer = _trainer(stage, steps, folder, [*first, *trace, logbook, best, checkpoints, stopwatch.rest])
            try:
                trainer.fit(trainee, feed, validate, ckpt_path=None if point is None else point.path, weights_only=True)
                if validate is not None and logbook.validated < trainer.global_step:
                    trainer.validate(trainee, validate, verbose=False)
            except StopAtOnce as signal:
                done = (
                    f"left at once after step {trainer.global_step}; the last checkpoint is of step {checkpoints.step}"
                )
                raise Interrupted(f"{signal} again: {done}, run again to go on from it") from None
    elif profile:
        print("profile: no trace, nothing is left to train; --resume none begins again", flush=True)
    with full_disk_named(output):
        on_first(lambda: _finish(task, options, seed, inputs, fed_by, measured, output, folder, best.path))


@left_at_once()
def fit_baseline(
    task: Task[Any],
    train: Shards,
    output: Path,
    options: Mapping[str, Any],
    seed: int,
    feeds: Sequence[Mapping[str, str]] = ({},),
    threads: int | None = None,
) -> None:
    """Fit the task's baseline on the training events; leaves the same three files as :func:`fit`.

    feeds: ``{product: alias}``, where the stage's needs say to look for a product, of each kind of input that it learns
        from in turn.
    """
    if not speaks():
        return  # one of several that torchrun has started, with nothing to share
    corpus = in_turn([Corpus(train, providers) for providers in feeds])
    if task.fits:
        _require_events(corpus, "train")
    baseline = task.baseline()
    with threadpool_limits(threads):
        baseline.fit(corpus, seed)
    chosen = {CHOSEN: baseline.words} if baseline.words else {}
    write_record(
        output / "model.json",
        collect(config=options, seeds={"run": seed}, inputs=corpus.content_hashes(), task=task.name, **chosen),
    )
    write_rows(output / LOG)
    baseline.save(output / "model.ckpt")


def _require_events(corpus: TrainingCorpus, split: str) -> None:
    if not len(corpus):
        raise WeftError(f"split '{split}' has no events")


def _steps(stage: Stage, events: int) -> int:
    training = stage.require_training()
    if training.iterations is not None:
        return training.iterations
    assert training.epochs is not None
    return max(1, math.ceil(training.epochs * events / (training.batch_size * training.accumulate)))


def _trainer(stage: Stage, steps: int, folder: Path, callbacks: list[Any]) -> Trainer:
    settings = stage.require_training()
    device = choose_device(stage.resources.gpu)
    every = steps if settings.validate_every is None else min(settings.validate_every, steps)
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        **trainer_settings(CheckedFiles()),
        max_steps=steps,
        max_epochs=-1,
        precision=choose_precision(settings.precision, device),
        gradient_clip_val=settings.clip_norm if settings.clip_value is None else settings.clip_value,
        gradient_clip_algorithm="norm" if settings.clip_value is None else "value",
        accumulate_grad_batches=settings.accumulate,
        val_check_interval=every * settings.accumulate,
        limit_val_batches=0 if settings.validate_every is None else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep the log to what this run does; of Lightning's own messages errors remain."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The number of loader processes is the user's to choose, and a batch is a function of its number, so a loader
        # needs no state to go on from the middle of an epoch.
        for message in (
            ".*many workers.*",
            ".*not resumable.*",
            ".*callbacks used to create the checkpoint.*",  # an average of weights that was turned off
            ".*treespec.*",
            ".*`srun` command.*",
            ".*in eval mode.*",
            ".*have no `val_dataloader`.*",  # validations that are turned off
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            logger.setLevel(level)


def _total_counts(task: Task[Any], batches: EventBatches) -> torch.Tensor | None:
    """The numbers that loss weights depend on over all of the validation, so that its batches do not matter."""
    total = None
    for k in share(len(batches), rank(), world_size()):
        counts = task.counts(batches[k])
        if counts is None:
            return None
        total = counts if total is None else total + counts
    return None if total is None else sum_over_ranks(total)


def _finish(
    task: Task[Any],
    options: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, str],
    fed_by: Makers,
    measured: Mapping[str, Any],
    output: Path,
    folder: Path,
    best: Path,
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    weights = read_model(best)
    record = collect(
        config=options,
        seeds={"run": seed},
        inputs=inputs,
        task=task.name,
        ranks=world_size(),
        best_step=weights.provenance["best_step"],
        parameters=sum(tensor.numel() for name, tensor in weights.state.items() if _is_weight(name)),
        **{KEY: fed_by, MEASURED: dict(measured)},
    )
    shutil.copyfile(folder / LOG, output / LOG)
    _write_held_out(output / HELD_OUT, weights.provenance.get(HELD_OUT))
    write_record(output / "model.json", record)
    for name, part in task.parts().items():
        _save_part(output / "modules" / name, name, part, weights.state, seed, record)
    save_model(
        output / "model.ckpt",
        ModelFile(weights.state, task.name, task.options.model_dump(mode="json"), record),
    )


def _write_held_out(path: Path, events: Mapping[str, Sequence[Any]] | None) -> None:
    """The counts of the held-out events in the kept validation; what an earlier training left there goes."""
    if events is None:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary:
        pd.DataFrame(events).to_parquet(temporary, index=False)


def _save_part(
    folder: Path, name: str, part: Task[Any], state: Mapping[str, torch.Tensor], seed: int, record: Mapping[str, Any]
) -> None:
    """A module of the network as a model of its own task, as if it had been trained alone."""
    options = part.options.model_dump(mode="json")
    if not part.learned:
        settle(part, folder, {"task": part.name, **options}, seed)
        return
    folder.mkdir(parents=True, exist_ok=True)
    own = {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}
    save_model(folder / "model.ckpt", ModelFile(own, part.name, options, {**record, "task": part.name, "module": name}))


def _is_weight(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
