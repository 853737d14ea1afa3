import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from weft.engine.checkpoint_file import DiskFull
from weft.engine.corpus import Corpus
from weft.engine.fit import _trainer, fit
from weft.engine.model_file import read_model
from weft.engine.randomness import torch_seed
from weft.engine.safety import Guard, _figures, plain
from weft.engine.stream import TrainingBatches
from weft.engine.trainee import Trainee
from weft.errors import WeftError
from weft.io.products import Ragged

Shards = list[dict[str, Path]]
Train = Callable[..., Path]


class Altered:
    """The toy task with one method that does something else at one of its calls (counted from 1)."""

    def __init__(self, toy: Any, method: str, call: int, other: Callable[..., Any]) -> None:
        self.toy, self.method, self.call, self.other, self.calls = toy, method, call, other, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.toy, name)
        return self._altered if name == self.method else found

    def _altered(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        method = getattr(self.toy, self.method)
        return self.other(method, *arguments, **options) if self.calls == self.call else method(*arguments, **options)


@pytest.fixture
def train(make_stage: Any, shards: Shards, tmp_path: Path) -> Train:
    def train(task: Any, resources: Any = None, **training: Any) -> Path:
        stage = make_stage(**training)
        if resources:
            stage = stage.model_copy(update={"resources": stage.resources.model_copy(update=resources)})
        fit(task, stage, 0, shards, shards[1:], tmp_path / "out", tmp_path / "out" / "work", {"a": 1})
        return tmp_path / "out"

    return train


def nan_loss(loss: Any, *arguments: Any) -> Any:
    total, weight = loss(*arguments)["semantic"]
    return {"semantic": (total * float("nan"), weight), "other": (total, weight)}


class InfiniteGradient(torch.autograd.Function):
    """One, with an infinite slope."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return value * 0 + 1

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * float("inf")


def infinite_gradient(loss: Any, output: Tensor, *rest: Any) -> Any:
    total, weight = loss(output, *rest)["semantic"]
    return {"semantic": (total.detach() + InfiniteGradient.apply(output.sum()), weight)}


def work(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "out" / "work").iterdir()
    return folder


def test_a_loss_that_is_not_finite_keeps_the_batch_and_the_weights_it_met(
    train: Train, toy: Any, shards: Shards, tmp_path: Path
) -> None:
    with pytest.raises(WeftError) as error:
        train(Altered(toy, "loss", 6, nan_loss), validate_every=4)  # validation calls `validate` of the toy itself
    bad = torch.load(work(tmp_path) / "bad_batch_step6.pt", weights_only=True)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("step 6, micro-batch 5: the loss is not finite (semantic nan, other ")
    assert str(work(tmp_path) / "bad_batch_step6.pt") in str(error.value)
    assert bad["what"] == "the loss is not finite"
    assert (bad["step"], bad["micro_batches"], bad["torch_seeds"]) == (6, [5], [torch_seed(0, 5)])
    expected = TrainingBatches(toy, Corpus(shards), 0, 4)[5]
    (kept,) = bad["batches"]
    for name in ("coords", "features", "offsets"):
        assert torch.equal(kept[name], getattr(expected, name))
    assert torch.equal(kept["targets"]["semantics"], expected.targets["semantics"])
    assert [tuple(event) for event in kept["events"]] == expected.events
    for (file, row), name in zip(expected.events, bad["events"], strict=True):
        assert name == f"{shards[file]['truth']}, event {row} (run 0, subrun 0, event {row})"
        assert f"{row} (run 0, subrun 0, event {row})" in str(error.value)
    # The weights are those before the step, and the checkpoint of step 4 is as it was.
    network = toy.network()
    network.load_state_dict(bad["weights"])
    assert torch.load(work(tmp_path) / "last.ckpt", weights_only=True)["global_step"] == 4
    assert not (tmp_path / "out" / "model.ckpt").exists()
    # Run again without the fault, the training goes on from there to the same end.
    train(toy, validate_every=4)
    state = read_model(tmp_path / "out" / "model.ckpt").state
    assert all(torch.isfinite(value).all() for value in state.values())


def test_many_terms_without_a_label_teach_nothing(train: Train, toy: Any, tmp_path: Path) -> None:
    """Terms that share what they have of the output: their sum of 0 over a weight of 0 is 0, and so is its gradient."""

    def unlabelled(loss: Any, output: Tensor, *rest: Any) -> Any:
        nothing = output.sum() * 0.0
        return {f"term {k}": (nothing, torch.tensor(0.0)) for k in range(5)}

    train(Altered(toy, "loss", 3, unlabelled))
    state = read_model(tmp_path / "out" / "model.ckpt").state
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize("clip", [None, 1.0])
def test_gradients_that_are_not_finite_do_not_reach_the_weights(
    train: Train, toy: Any, tmp_path: Path, clip: float | None
) -> None:
    with pytest.raises(WeftError, match=r"^step 3, micro-batch 2: gradients are not finite: of layers\.0\.weight, lay"):
        train(Altered(toy, "loss", 3, infinite_gradient), clip_norm=clip)
    bad = torch.load(work(tmp_path) / "bad_batch_step3.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in bad["weights"].values())
    assert np.isfinite(bad["terms"]["semantic"])


def test_gradients_name_all_micro_batches_of_their_step_and_a_loss_its_own(
    train: Train, toy: Any, tmp_path: Path
) -> None:
    class Weighted(type(toy)):  # type: ignore[misc]
        def weights(self, batch: Any, counts: Any) -> dict[str, float]:
            return {"semantic": float(len(batch.features))}

    task = Weighted(toy.options)
    calls = []
    loss = task.loss

    def at_third(output: Tensor, *rest: Any) -> Any:
        calls.append(1)
        return infinite_gradient(loss, output, *rest) if len(calls) == 3 else loss(output, *rest)

    task.loss = at_third
    with pytest.raises(WeftError, match=r"^step 2, micro-batch 2, 3: gradients are not finite"):
        train(task, accumulate=2)
    bad = torch.load(work(tmp_path) / "bad_batch_step2.pt", weights_only=True)
    assert len(bad["batches"]) == 2
    assert len(bad["events"]) == 8
    calls.clear()

    def nan_at_third(*arguments: Any) -> Any:
        calls.append(1)
        total, weight = loss(*arguments)["semantic"]
        return {"semantic": (total * (float("nan") if len(calls) == 3 else 1), weight)}

    task.loss = nan_at_third
    with pytest.raises(WeftError, match=r"^step 2, micro-batch 2: the loss is not finite"):
        train(task, accumulate=2)
    assert torch.load(work(tmp_path) / "bad_batch_step2.pt", weights_only=True)["micro_batches"] == [2]


def test_the_forward_pass_is_not_waited_for(toy: Any, make_stage: Any, shards: Shards, tmp_path: Path) -> None:
    corpus = Corpus(shards)
    guard, trainee = Guard(tmp_path, corpus), Trainee(toy, toy.network(), make_stage(), 0, 12, corpus)
    trainee.batch_terms = {"semantic": torch.zeros((), device="meta")}  # whose values cannot be had
    guard.on_train_batch_start(None, trainee, None, 0)  # type: ignore[arg-type]
    guard.on_before_backward(None, trainee, torch.zeros(()))  # type: ignore[arg-type]


def test_a_batch_that_cannot_be_kept_does_not_hide_why(
    train: Train, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for failure, said in [
        (DiskFull("no space left"), "there was no space to keep the batch"),
        (PermissionError(13, "Permission denied"), r"the batch could not be kept \(\[Errno 13\] Permission denied\)"),
    ]:
        monkeypatch.setattr("weft.engine.safety.write_checked", raising(failure))
        with pytest.raises(WeftError, match=rf"^step 1, .*: the loss is not finite .*; {said}; a lower"):
            train(Altered(toy, "loss", 1, nan_loss))
    assert not list(tmp_path.rglob("bad_batch*"))


def test_a_step_without_any_gradient_has_none(train: Train, toy: Any) -> None:
    def elsewhere(loss: Any, *arguments: Any) -> Any:
        total, weight = loss(*arguments)["semantic"]
        return {"semantic": (total.detach() + torch.zeros((), requires_grad=True), weight)}

    log = pd.read_csv(train(Altered(toy, "loss", 2, elsewhere), iterations=3) / "log.csv")
    norms = log[log.split == "train"].grad_norm
    assert norms.iloc[1] == 0
    assert (norms.iloc[[0, 2]] > 0).all()


# --- float16 ----------------------------------------------------------------------------------------------


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings in float16 with its scaler, which Lightning only has for GPUs."""

    def scaled(*arguments: Any) -> Any:
        trainer = _trainer(*arguments)
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
        return trainer

    monkeypatch.setattr("weft.engine.fit._trainer", scaled)


class OftenInfinite:
    """The toy task with an infinite gradient at some of its steps."""

    def __init__(self, toy: Any, *steps: range) -> None:
        self.toy, self.steps, self.calls = toy, steps, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def loss(self, *arguments: Any) -> Any:
        self.calls += 1
        bad = any(self.calls in steps for steps in self.steps)
        return infinite_gradient(self.toy.loss, *arguments) if bad else self.toy.loss(*arguments)


def test_steps_that_float16_leaves_out_are_borne(train: Train, toy: Any, half: None) -> None:
    output = train(OftenInfinite(toy, range(1, 50), range(51, 100)), iterations=100, validate_every=100)
    log = pd.read_csv(output / "log.csv")
    assert log.grad_norm.dropna().pipe(np.isfinite).sum() == 2  # steps 50 and 100
    assert all(torch.isfinite(value).all() for value in read_model(output / "model.ckpt").state.values())


def test_float16_that_leaves_out_every_step_ends(train: Train, toy: Any, half: None, tmp_path: Path) -> None:
    said = r"^step 53, micro-batch 52: 50 steps in a row left out, gradients are not finite: of layers\.0\.weight, lay"
    with pytest.raises(WeftError, match=rf"{said}.*; training\.precision bf16-mixed or 32-true may help$"):
        train(OftenInfinite(toy, range(4, 100)), iterations=100, validate_every=100)
    assert torch.load(work(tmp_path) / "bad_batch_step53.pt", weights_only=True)["micro_batches"] == [52]


def test_a_loss_that_is_not_finite_ends_float16_at_once(train: Train, toy: Any, half: None) -> None:
    with pytest.raises(WeftError, match=r"^step 2, micro-batch 1: the loss is not finite"):
        train(Altered(toy, "loss", 2, nan_loss))


# --- plain data -------------------------------------------------------------------------------------------


def test_any_batch_becomes_plain_data(tmp_path: Path) -> None:
    @dataclasses.dataclass
    class Odd:
        numbers: Any
        ragged: Any
        names: tuple[str, ...] = ("a",)
        nothing: None = None

    odd = Odd({"x": np.float32(2), 3: np.arange(3)}, Ragged.of([np.zeros(2), np.ones(1)]))
    torch.save(plain(odd), tmp_path / "odd.pt")
    again = torch.load(tmp_path / "odd.pt", weights_only=True)
    assert again["numbers"]["x"] == 2
    assert again["numbers"]["3"].tolist() == [0, 1, 2]
    assert again["names"] == ["a"]
    assert again["ragged"]["values"].tolist() == [0, 0, 1]


# --- memory -----------------------------------------------------------------------------------------------

CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 1.21 GiB is free."
    " Including non-PyTorch memory, this process has 14.56 GiB memory in use. Of the allocated memory 12.00 GiB is "
    "allocated by PyTorch, and 1.10 GiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is "
    "large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for "
    "Memory Management  (https://docs.pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)


def raising(error: Exception) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error

    return method


def test_the_figures_of_a_full_gpu() -> None:
    assert _figures(CUDA).startswith("Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which")
    assert _figures(CUDA).endswith("1.10 GiB is reserved by PyTorch but unallocated")
    assert _figures("CUDA out of memory") == "CUDA out of memory"


def test_memory_that_ran_out_says_what_to_change(train: Train, toy: Any) -> None:
    full = torch.OutOfMemoryError(CUDA)
    with pytest.raises(WeftError, match=r"^out of memory in training: Tried to allocate 2\.00 GiB\.") as error:
        train(Altered(toy, "loss", 2, raising(full)))
    assert "training.batch_size=2 training.accumulate=2 (as many samples a step)" in str(error.value)
    assert "PYTORCH_CUDA_ALLOC_CONF" not in str(error.value)
    with pytest.raises(WeftError, match=r"try training\.batch_size=2 or more resources\.mem_mb or a smaller network$"):
        train(Altered(toy, "loss", 1, raising(MemoryError("Unable to allocate 3 GiB"))), batch_size=3)
    on_cpu = RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory: 9 bytes.")
    with pytest.raises(WeftError, match=r"^out of memory in training: .*DefaultCPUAllocator: can't allocate memory"):
        train(Altered(toy, "loss", 1, raising(on_cpu)))
    with pytest.raises(WeftError, match=r"^out of memory in validation: Tried .*; try evaluation\.batch_size=4 or"):
        train(Altered(toy, "validate", 1, raising(full)))


# --- loader processes -------------------------------------------------------------------------------------


class FailingEvents:
    """The toy task, failing in its own way at one event of the training."""

    def __init__(self, toy: Any, event: tuple[int, int], fail: Callable[[], Any]) -> None:
        self.toy, self.event, self.fail = toy, event, fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def sample(self, event: Any, index: tuple[int, int], labels: bool) -> Any:
        if index == self.event:
            self.fail()
        return self.toy.sample(event, index, labels)


EVENT = r"0\.h5, event 4 \(run 0, subrun 0, event 4\)"


def end(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail(error: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("charge"), r"KeyError: 'charge' \(.*test_safety\.py:\d+\)"),
        (WeftError("data.h5: damaged"), r"data\.h5: damaged"),
    ],
)
def test_an_event_that_cannot_be_read_is_named(
    train: Train, toy: Any, workers: int, error: Exception, said: str
) -> None:
    with pytest.raises(WeftError, match=rf"^micro-batch \d+, .*{EVENT}: {said}$") as raised:
        train(FailingEvents(toy, (0, 4), fail(error)), workers=workers)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            end(signal.SIGKILL),
            r"was ended by SIGKILL \(Killed\) while .*out of memory: ask for fewer training\.workers",
        ),
        (end(signal.SIGSEGV), r"was ended by SIGSEGV \(Segmentation fault\) while .*; a library crashed"),
        (end(signal.SIGBUS), r"was ended by SIGBUS \(Bus error\) while .*; the shared memory"),
        (lambda: os._exit(3), r"ended without a word while .*; training\.workers=0 shows why"),
    ],
)
def test_the_death_of_a_loader_is_told_with_its_cause_and_event(
    train: Train, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Callable[[], None], said: str
) -> None:
    # How often torch looks whether its processes live: 5 s, unless told otherwise here.
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.5,))
    with pytest.raises(WeftError, match=rf"^training\.workers: loader process \d+ {said}") as error:
        train(FailingEvents(toy, (0, 4), action), workers=2)
    assert "while making micro-batch " in str(error.value)
    assert f"{tmp_path / 'data' / '0.h5'}, event 4 (run 0, subrun 0, event 4)" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_event_of_the_validation_is_named(train: Train, toy: Any) -> None:
    with pytest.raises(WeftError, match=r"^batch 0, .*1\.h5, event 2 \(run 0, subrun 0, event 2\): bad$"):
        train(FailingEvents(toy, (0, 2), fail(WeftError("bad"))))


def test_errors_of_another_kind_stay_as_they_are(train: Train, toy: Any) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(Altered(toy, "loss", 1, raising(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))))
