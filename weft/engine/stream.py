"""Batches by number. A loader asks for batch t and gets it whole, made in the worker that was asked."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from weft.engine.corpus import TrainingCorpus
from weft.engine.determinism import seed_generators
from weft.engine.randomness import batch_events, draw_generator, loader_seed, view_generator
from weft.engine.reading import reading
from weft.engine.task import Batch, Sample, Task
from weft.errors import WeftError
from weft.reco.feed import Events


class TrainingBatches(Dataset[Batch]):
    """Micro-batch t as a pure function of (seed, t): which events, and how each is augmented.

    Of a global batch, rank r of w takes positions r, r+w, ...; ``batch_size`` is the global one.
    """

    def __init__(
        self, task: Task[Any], corpus: TrainingCorpus, seed: int, batch_size: int, rank: int = 0, world: int = 1
    ) -> None:
        self.task, self.corpus, self.seed = task, corpus, seed
        self.batch_size, self.rank, self.world = batch_size, rank, world
        if batch_size < world:
            raise WeftError(f"training.batch_size: {batch_size} samples cannot be shared by {world} processes")

    def __getitem__(self, t: int) -> Batch:
        seed_generators(loader_seed(self.seed, t, self.rank))
        chosen = batch_events(self.seed, t, self.batch_size, len(self.corpus))
        samples = []
        for position in range(self.rank, self.batch_size, self.world):
            picked = self.task.pick(self.seed, t * self.batch_size + position, len(self.corpus))
            index, rng = picked or (int(chosen[position]), draw_generator(self.seed, t, position))
            with reading(self.corpus, index, f"micro-batch {t}", t):
                sample = self.task.sample(self.corpus[index], self.corpus.locate(index), labels=True)
                samples.append(self.task.draw(sample, rng))
        # Positions are below the batch size: the generators of ranks are keyed by what lies above.
        mixed = self.task.mix(samples, draw_generator(self.seed, t, self.batch_size + self.rank))
        return self.task.collate(mixed)


class EventBatches(Dataset[Batch]):
    """Whole events in order, ``batch_size`` at a time, or fewer so that there is a batch for each rank.

    view: 0 is every event as it is; others are as training would vary it, by the event's identity and this number.
    """

    def __init__(
        self,
        task: Task[Any],
        corpus: Events,
        batch_size: int,
        labels: bool,
        events: int | None = None,
        world: int = 1,
        view: int = 0,
    ) -> None:
        self.task, self.corpus, self.labels, self.view = task, corpus, labels, view
        self.events = len(corpus) if events is None else min(events, len(corpus))
        if self.events < world:
            raise WeftError(f"{self.events} validation events cannot be shared by {world} processes")
        self.batch_size = min(batch_size, max(1, self.events // world))

    def __len__(self) -> int:
        return -(-self.events // self.batch_size)

    def __getitem__(self, k: int) -> Batch:
        rows = range(k * self.batch_size, min((k + 1) * self.batch_size, self.events))
        return self.task.collate([self._sample(i, k) for i in rows])

    def _sample(self, index: int, k: int) -> Sample:
        with reading(self.corpus, index, f"batch {k}"):
            file, row = self.corpus.locate(index)
            sample = self.task.sample(self.corpus[index], (file, row), self.labels)
            if not self.view:
                return sample
            uid = int(self.corpus.store(file).events["uid"][row])
            return self.task.draw(sample, view_generator(uid, self.view))


class Count(Sampler[int]):
    """The numbers start ... stop-1. Its length is ``stop``, as if it had begun at zero: the training loop counts
    the batches it has seen over the whole run, resumed or not."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop


def share(batches: int, rank: int, world: int) -> range:
    """The batches that one rank goes through: a run, so that those of all ranks end to end are all in order."""
    return range(batches * rank // world, batches * (rank + 1) // world)


def loader(
    batches: Dataset[Batch], count: Sampler[int] | range, workers: int, pin_memory: bool = False
) -> DataLoader[Batch]:
    """A loader of the numbered batches; the number of workers does not change what it yields."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=count,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker if workers else None,
        # Forked workers share what is loaded; started otherwise they would run the main script again.
        multiprocessing_context="fork" if workers else None,
    )


def _start_worker(worker: int) -> None:
    # Ctrl-C reaches the whole process group; loader processes live until the step is finished and saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        _obey_only(os.getppid())
    torch.set_num_threads(1)


def _obey_only(parent: int) -> None:
    """End on SIGTERM only if ``parent`` sent it: at its time limit Slurm sends one to every process of a job."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
