"""Train one stage with one seed, or fit its baseline."""

from __future__ import annotations

import json
import logging
import math
import shutil
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from threadpoolctl import threadpool_limits

from weft.config.experiment import Stage
from weft.engine.accumulation import Steps
from weft.engine.checkpoints import BEST, LAST, Checkpoints
from weft.engine.corpus import TRUTH, Corpus
from weft.engine.device import choose_device
from weft.engine.logbook import LOG, Logbook, write_rows
from weft.engine.model_file import ModelFile, load_weights, read_model, save_model
from weft.engine.randomness import initial_seed
from weft.engine.stream import Count, EventBatches, TrainingBatches, loader
from weft.engine.task import Batch, Task
from weft.engine.trainee import Trainee
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.provenance import collect, config_hash

Shards = Sequence[Mapping[str, str | Path]]


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
    resume: bool = True,
    threads: int | None = None,
) -> None:
    """Train and leave ``model.ckpt``, ``model.json`` and ``log.csv`` in the folder ``output``.

    train, validation: shards as ``{alias: file}``.
    work: folder of checkpoints; each hash of ``options`` (all that the result depends on) and of the inputs has a
        folder of its own there, and only its own last checkpoint is resumed.
    weights: model files of other stages to start from; each must fit the network as a whole.
    Raises :class:`weft.engine.logs.Interrupted` after SIGINT or SIGTERM, with everything saved; a repeated call goes on
    from there.
    """
    if threads:
        torch.set_num_threads(threads)
    corpus, held_out = Corpus(train, stage.providers), Corpus(validation, stage.providers)
    _require_events(corpus, "train")
    _require_events(held_out, "val")
    for part in (corpus, held_out):
        part.require([*task.reads, *(f"{TRUTH}/{label}" for label in task.labels)])
    inputs = corpus.content_hashes() | held_out.content_hashes()
    steps = _steps(stage, len(corpus))
    folder = work / config_hash({"options": options, "inputs": sorted(inputs.values())})[:16]

    torch.manual_seed(initial_seed(seed))
    network = task.network()
    for name, path in (weights or {}).items():
        load_weights(network, read_model(Path(path)).state, f"weights of stage '{name}' ({path})")
    trainee = Trainee(task, network, stage, seed, steps, held_out)
    settings = stage.training
    logbook = Logbook(folder, settings, len(corpus))
    checkpoints = Checkpoints(folder, settings)
    last = folder / LAST if resume and (folder / LAST).is_file() else None
    start = 0
    if last is not None:
        start = int(torch.load(last, map_location="cpu", weights_only=True)["global_step"])
        print(f"resuming at step {start} from {last}", flush=True)
    if start < steps:
        pin = stage.resources.gpu > 0
        events = settings.validation_events
        validation_batches = EventBatches(task, held_out, stage.evaluation.batch_size, labels=True, events=events)
        batches = TrainingBatches(task, corpus, seed, settings.batch_size)
        validate = loader(validation_batches, Count(0, len(validation_batches)), 0, pin)
        micro_batches = Count(start * settings.accumulate, steps * settings.accumulate)
        feed: Iterable[Batch] = loader(batches, micro_batches, settings.workers, pin)
        if settings.accumulate > 1:
            feed = Steps(feed, task, settings.accumulate)
        trainee.validation_counts = _total_counts(task, validation_batches)
        with _quiet_lightning(), _signals_put_back():
            trainer = _trainer(stage, steps, folder, [logbook, checkpoints])
            trainer.fit(
                trainee,
                feed,
                validate,
                ckpt_path=last,
                weights_only=True,
            )
            if logbook.validated < trainer.global_step:
                trainer.validate(trainee, validate, verbose=False)
    best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
    _finish(task, options, seed, inputs, output, folder, best)


def fit_baseline(
    task: Task[Any],
    train: Shards,
    output: Path,
    options: Mapping[str, Any],
    seed: int,
    providers: Mapping[str, str] | None = None,
    threads: int | None = None,
) -> None:
    """Fit the task's baseline on the training events; leaves the same three files as :func:`fit`.

    providers: ``{product: alias}``, where the stage's needs say to look for a product.
    """
    corpus = Corpus(train, providers)
    _require_events(corpus, "train")
    baseline = task.baseline()
    with threadpool_limits(threads):
        baseline.fit(corpus, seed)
    _write_json(
        output / "model.json",
        collect(config=options, seeds={"run": seed}, inputs=corpus.content_hashes(), task=task.name),
    )
    write_rows(output / LOG, [])
    baseline.save(output / "model.ckpt")


def _require_events(corpus: Corpus, split: str) -> None:
    if not len(corpus):
        raise WeftError(f"split '{split}' has no events")


def _steps(stage: Stage, events: int) -> int:
    training = stage.training
    if training.iterations is not None:
        return training.iterations
    assert training.epochs is not None
    return max(1, math.ceil(training.epochs * events / (training.batch_size * training.accumulate)))


def _trainer(stage: Stage, steps: int, folder: Path, callbacks: list[Any]) -> Trainer:
    settings = stage.training
    device = choose_device(stage.resources.gpu)
    if settings.precision == "16-mixed" and device.type == "cpu":
        raise WeftError("training.precision: 16-mixed needs a GPU; on CPU there are 32-true and bf16-mixed")
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        precision=settings.precision,
        gradient_clip_val=settings.clip_norm,
        accumulate_grad_batches=settings.accumulate,
        val_check_interval=min(settings.validate_every, steps) * settings.accumulate,
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
        for message in (".*many workers.*", ".*not resumable.*", ".*treespec.*", ".*`srun` command.*"):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def _signals_put_back() -> Iterator[None]:
    """Undo what Lightning and :class:`Checkpoints` do to the handlers of signals, also after an error."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _total_counts(task: Task[Any], batches: EventBatches) -> torch.Tensor | None:
    """The numbers that loss weights depend on over all of the validation, so that its batches do not matter."""
    total = None
    for k in range(len(batches)):
        counts = task.counts(batches[k])
        if counts is None:
            return None
        total = counts if total is None else total + counts
    return total


def _finish(
    task: Task[Any],
    options: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, str],
    output: Path,
    folder: Path,
    best: Mapping[str, Any],
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    record = collect(
        config=options,
        seeds={"run": seed},
        inputs=inputs,
        task=task.name,
        best_step=best["step"],
        parameters=sum(tensor.numel() for name, tensor in best["state"].items() if _is_weight(name)),
    )
    shutil.copyfile(folder / LOG, output / LOG)
    _write_json(output / "model.json", record)
    save_model(
        output / "model.ckpt",
        ModelFile(best["state"], task.name, task.options.model_dump(mode="json"), record),
    )


def _is_weight(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n")
