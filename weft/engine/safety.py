"""When a training fails: what went wrong, with which events, and what to change, in one line."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from weft.config.experiment import Stage
from weft.engine.checkpoint_file import DiskFull, write_checked
from weft.engine.corpus import TrainingCorpus
from weft.engine.distributed import gather, rank, sum_over_ranks
from weft.engine.randomness import torch_seed
from weft.engine.reading import event_name, file_name, from_loader, row_name
from weft.engine.trainee import Trainee
from weft.errors import WeftError

_NAMED = 16
"""so many events are named in an error; the dump has all"""
_SKIPPED = 50
"""so many steps in a row may the scaler of float16 leave out; by then its scale is 2^-50 of what it was"""
_CPU_MEMORY = re.compile(r"DefaultCPUAllocator|can't allocate memory|not enough memory")


class Guard(Callback):
    """Measures the norm of the gradients, and stops at the first loss or gradient that is not finite, before it reaches
    the weights.

    The device is asked once a step, when all of the step is computed, and all ranks get the same answer. The batch is
    kept as ``bad_batch_step<N>.pt`` in ``folder``, with the weights that it met and the seed of torch's generators: all
    that it takes to see it again. Checkpoints are as they were.
    """

    def __init__(self, folder: Path, corpus: TrainingCorpus) -> None:
        self.folder, self.corpus = folder, corpus
        self._batches: dict[int, Any] = {}
        self._terms: dict[int, dict[str, Tensor]] = {}
        """of each micro-batch of the step, on the device"""
        self._parameters: dict[str, torch.nn.Parameter] = {}
        self._skipped = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Trainee)
        self._parameters = dict(pl_module.network.named_parameters())  # once: it goes through all modules

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, Trainee)
        if batch_idx % pl_module.settings.accumulate == 0:
            self._batches, self._terms = {}, {}
        self._batches[batch_idx] = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        assert isinstance(pl_module, Trainee)
        self._terms[max(self._batches)] = pl_module.batch_terms

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        assert isinstance(pl_module, Trainee)
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norms = torch._foreach_norm(gradients) if gradients else [torch.zeros((), device=pl_module.device)]
        pl_module.gradient_norm = torch.linalg.vector_norm(torch.stack(norms))
        terms = [term for terms in self._terms.values() for term in terms.values()]
        sums = sum_over_ranks(torch.stack([torch.stack(terms).sum(), pl_module.gradient_norm]))
        loss_finite, gradients_finite = map(math.isfinite, sums.tolist())
        if not loss_finite:
            bad = [t for t, terms in self._terms.items() if not all(map(torch.isfinite, terms.values()))]
            self._stop(trainer, pl_module, "the loss is not finite", bad)
        elif trainer.precision != "16-mixed":
            if not gradients_finite:
                what = f"gradients are not finite: {self._bad_gradients()}"
                self._stop(trainer, pl_module, what, list(self._batches))
        else:  # the scaler leaves such a step out and takes a smaller scale, which mostly helps
            self._skipped = 0 if gradients_finite else self._skipped + 1
            if self._skipped == _SKIPPED:
                what = f"{_SKIPPED} steps in a row left out, gradients are not finite: {self._bad_gradients()}"
                self._stop(trainer, pl_module, what, list(self._batches), "training.precision bf16-mixed or 32-true")

    def _bad_gradients(self) -> str:
        bad = [name for name, p in self._parameters.items() if p.grad is not None and not p.grad.isfinite().all()]
        return f"of {', '.join(bad[:4])}{' and others' if len(bad) > 4 else ''}" if bad else "in their norm"

    def _stop(
        self,
        trainer: Trainer,
        trainee: Trainee,
        what: str,
        micro_batches: Sequence[int],
        advice: str = "a lower optimizer.lr or training.clip_norm",
    ) -> None:
        """All ranks call it; those with bad micro-batches keep them, and all raise the same."""
        said = self._keep(trainer, trainee, what, micro_batches) if micro_batches else None
        raise WeftError(f"{next(filter(None, gather(said)), what)}; {advice} may help")

    def _keep(self, trainer: Trainer, trainee: Trainee, what: str, micro_batches: Sequence[int]) -> str:
        step = trainer.global_step + 1
        terms = {name: float(value) for name, value in self._terms[micro_batches[-1]].items()}
        batches = [self._batches[t] for t in micro_batches]
        events = [event for batch in batches for event in batch.events]
        path = self.folder / f"bad_batch_step{step}{f'_rank{rank()}' if rank() else ''}.pt"
        content: dict[str, Any] = {
            "what": what,
            "step": step,
            "micro_batches": list(micro_batches),
            "torch_seeds": [torch_seed(trainee.seed, t, rank()) for t in micro_batches],
            "terms": terms,
            "events": [event_name(self.corpus, *event) for event in events],
            "batches": [plain(batch) for batch in batches],
            "weights": plain(trainee.network.state_dict()),
        }
        try:
            write_checked(path, content)
            kept = f"the batch and the weights are kept, torch.load('{path}', weights_only=True) shows them"
        except DiskFull:
            kept = "there was no space to keep the batch"
        except OSError as error:
            kept = f"the batch could not be kept ({error})"
        named: dict[int, list[str]] = {}
        for file, row in events[:_NAMED]:
            named.setdefault(file, []).append(row_name(self.corpus, file, row))
        where = "; ".join(f"{file_name(self.corpus, file)}: {', '.join(rows)}" for file, rows in named.items())
        more = f" and {len(events) - _NAMED} more" if len(events) > _NAMED else ""
        return (
            f"step {step}, micro-batch {', '.join(map(str, micro_batches))}: {what} "
            f"({', '.join(f'{name} {value:g}' for name, value in terms.items())}); events of {where}{more}; {kept}"
        )


def plain(item: Any) -> Any:
    """A batch as dictionaries, lists, CPU tensors, numbers and text, which load without any class."""
    if isinstance(item, Tensor):
        return item.detach().cpu()
    if isinstance(item, np.ndarray):
        return torch.from_numpy(item) if item.dtype.kind in "biuf" else item.tolist()
    if isinstance(item, np.generic):
        return item.item()
    if is_dataclass(item):
        return {field.name: plain(getattr(item, field.name)) for field in fields(item)}
    if isinstance(item, Mapping):
        return {str(key): plain(value) for key, value in item.items()}
    if isinstance(item, Sequence) and not isinstance(item, str):
        return [plain(value) for value in item]
    return item if item is None or isinstance(item, bool | int | float | str) else str(item)


@contextmanager
def failures_explained(stage: Stage, corpus: TrainingCorpus) -> Iterator[None]:
    """Make one line of memory that has run out and of loader processes that have failed or died."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise WeftError(_out_of_memory(stage, error, _figures(str(error)))) from error
    except MemoryError as error:
        raise WeftError(_out_of_memory(stage, error, f"no memory left ({error})")) from error
    except (RuntimeError, WeftError) as error:
        if _CPU_MEMORY.search(str(error)):
            raise WeftError(_out_of_memory(stage, error, " ".join(str(error).split()))) from error
        explained = from_loader(error, corpus)
        if explained is None:
            raise
        raise explained from error


def _figures(text: str) -> str:
    """The figures in what torch says, without its advice on the allocator."""
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(text.split()))
    figures = [sentence for sentence in sentences if re.search(r"\d (?:[KMGT]i?B|bytes)", sentence)]
    return " ".join(figures[:5] or sentences[:1]).rstrip(".")


def _out_of_memory(stage: Stage, error: BaseException, figures: str) -> str:
    frames = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    training, advice = stage.require_training(), []
    if "validation_step" in frames:
        where, key, size = "in validation", "evaluation.batch_size", stage.evaluation.batch_size
        advice += [f"{key}={size // 2}"] if size > 1 else []
    else:
        where, size = "in training", training.batch_size
        if size > 1:
            half = -(-size // 2)
            same = f" training.accumulate={2 * training.accumulate}" if size % 2 == 0 else ""
            kept = " (as many samples a step)" if same else ""
            advice += [f"training.batch_size={half}{same}{kept}"]
        if training.precision == "32-true" and stage.resources.gpu:
            advice += ["training.precision=bf16-mixed"]
    if not stage.resources.gpu:
        advice += ["more resources.mem_mb"]
    return f"out of memory {where}: {figures}; try {' or '.join([*advice, 'a smaller network'])}"
