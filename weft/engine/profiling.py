"""Where the time of a step goes: in the log always, as a trace when asked."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch.profiler import ProfilerActivity, record_function

from weft.io.atomic import atomic_path

TRACE = "trace.json"
PHASES = ("data", "forward", "backward", "optimizer")


class Stopwatch(Callback):
    """Seconds per step since the last row of the log, by phase: waiting for data, forward, backward, optimiser.

    On a GPU the times are those of its own clock, so nothing waits for it but the reading of a row; the phase ``data``
    is then the time in which it had nothing to do. What callbacks do at the end of a step counts as the optimiser if
    they come before this one (an average of weights), and not at all if they come between it and :attr:`rest`
    (logging, saving); so does validation.
    """

    def __init__(self, device: torch.device) -> None:
        self._now: Any = _event if device.type == "cuda" else time.perf_counter
        self._laps: list[tuple[str, Any, Any]] = []
        self._step = self._row_step = 0
        self.rest = _Rest(self)
        """to be the last of the callbacks"""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = self._row_step = trainer.global_step
        self._laps = []
        self.mark()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._lap("data")

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        self._lap("forward")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._lap("backward")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._lap("optimizer")
        self._step = trainer.global_step

    def mark(self) -> None:
        """From now on time is spent waiting for data."""
        self._since = self._now()

    def _lap(self, phase: str) -> None:
        now = self._now()
        self._laps.append((phase, self._since, now))
        self._since = now

    def row(self) -> dict[str, float]:
        """``seconds_per_step`` and its parts ``seconds_<phase>``, means over the steps since the last call."""
        total: defaultdict[str, float] = defaultdict(float)
        for phase, start, end in self._laps:
            total[phase] += _seconds(start, end)
        steps = max(1, self._step - self._row_step)
        self._laps, self._row_step = [], self._step
        columns = {"seconds_per_step": sum(total.values())} | {f"seconds_{phase}": total[phase] for phase in PHASES}
        return {name: round(seconds / steps, 6) for name, seconds in columns.items()}


class _Rest(Callback):
    """Leaves out what the callbacks between the stopwatch and this one have done."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.stopwatch.mark()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stopwatch.mark()


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(start: Any, end: Any) -> float:
    if isinstance(end, float):
        return float(end - start)
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000


class Trace(Callback):
    """``trace.json`` of a few steps, for chrome://tracing or ui.perfetto.dev, and a table of what took longest.

    The steps before are left out: the first ones allocate memory and compile kernels.
    """

    def __init__(self, path: Path, skip: int = 3, steps: int = 5) -> None:
        self.path, self.skip, self.steps = path, skip, steps
        self._profile: torch.profiler.profile | None = None
        self._phase: Any = None
        self._first = self._step = 0
        self._done = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._profile is None and not self._done:  # not before: the loader has forked its processes by now
            self._first = self._step = trainer.global_step
            activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
            schedule = torch.profiler.schedule(wait=0, warmup=self.skip, active=self.steps, repeat=1)
            self._profile = torch.profiler.profile(
                activities=activities, schedule=schedule, on_trace_ready=self._write, acc_events=True
            )
            self._profile.start()
        self._enter("forward")

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        self._enter("backward")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._enter("optimizer")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._profile is None:
            return
        self._leave()
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            self._profile.step()
            if self._done:
                self._stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()
        if not self._done:
            print(f"profile: no trace, the training was over within the {self.skip} steps before it", flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _enter(self, phase: str) -> None:
        if self._profile is not None:
            self._leave()
            self._phase = record_function(f"weft {phase}")
            self._phase.__enter__()

    def _leave(self) -> None:
        if self._phase is not None:
            self._phase.__exit__(None, None, None)
            self._phase = None

    def _stop(self) -> None:
        """End the recording; what there is of it by now is written."""
        self._leave()
        profile, self._profile = self._profile, None
        if profile is not None:
            profile.stop()

    def _write(self, profile: torch.profiler.profile) -> None:
        if self._step - self._first <= self.skip:
            return
        with atomic_path(self.path) as temporary:
            profile.export_chrome_trace(str(temporary))
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=40))
        print(f"profile: {self.path}, open it at ui.perfetto.dev or chrome://tracing", flush=True)
        self._done = True
