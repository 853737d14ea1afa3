from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from weft.engine.corpus import Corpus
from weft.engine.precision import choose_precision, loss_terms
from weft.engine.task import Batch, Sample, Task
from weft.engine.trainee import Trainee
from weft.errors import WeftError
from weft.tasks.segmentation.options import ModelOptions, Options
from weft.tasks.segmentation.task import Segmentation

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def gpu_with(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16 or including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")


@pytest.mark.parametrize("bfloat16", [True, False])
def test_the_precision_that_a_device_has(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    gpu_with(monkeypatch, bfloat16)
    assert choose_precision("auto-mixed", CPU) == "32-true"
    assert choose_precision("auto-mixed", GPU) == ("bf16-mixed" if bfloat16 else "16-mixed")
    assert choose_precision("32-true", GPU) == choose_precision("32-true", CPU) == "32-true"
    assert choose_precision("bf16-mixed", CPU) == "bf16-mixed"
    assert choose_precision("16-mixed", GPU) == "16-mixed"


def test_what_a_device_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_with(monkeypatch, bfloat16=False)
    with pytest.raises(WeftError, match="16-mixed needs a GPU"):
        choose_precision("16-mixed", CPU)
    with pytest.raises(WeftError, match="Tesla V100 has no bfloat16; use 16-mixed or 32-true"):
        choose_precision("bf16-mixed", GPU)


class Outputs(NamedTuple):
    logits: Tensor
    extra: dict[str, list[Tensor | None]]


class Recording:
    """A task that notes what its loss gets."""

    name = "recording"

    def __init__(self, result: torch.dtype = torch.float32) -> None:
        self.seen: Any = None
        self.result = result

    def loss(self, output: Any, batch: Any, counts: Any) -> Any:
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        self.seen = output, product.dtype
        return {"a": (torch.zeros(()), 1.0), "b": (torch.zeros((), dtype=self.result), 1.0)}


def batch() -> Any:
    return Batch(torch.zeros(1, 4), torch.zeros(1, 1), torch.tensor([0, 1]), [(0, 0)])


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_the_loss_sees_float32_and_computes_in_it(half: torch.dtype) -> None:
    task: Any = Recording()
    index, exact = torch.tensor([1]), torch.ones(1, dtype=torch.float64)
    output = Outputs(torch.ones(2, dtype=half), {"x": [torch.ones(1, dtype=half), None, index, exact]})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss_terms(task, output, batch(), None)
    (seen, product) = task.seen
    assert isinstance(seen, Outputs)
    assert seen.logits.dtype == seen.extra["x"][0].dtype == product == torch.float32
    assert seen.extra["x"][1:] == [None, index, exact]


def test_a_term_of_half_precision_is_named() -> None:
    task: Any = Recording(torch.bfloat16)
    with pytest.raises(WeftError, match="task 'recording': the loss term 'b' is computed in bfloat16"):
        loss_terms(task, torch.zeros(1), batch(), None)


def segmentation_batch(task: Task[Any]) -> Batch:
    rng = np.random.default_rng(0)
    cells = rng.choice(12**3, 400, replace=False)
    coords = np.stack([cells % 12, cells // 12 % 12, cells // 144], 1).astype(np.int32)
    charge = rng.exponential(1, (400, 1)).astype(np.float32)
    labels = rng.integers(0, 5, 400).astype(np.int8)
    return task.collate([Sample({"coords": coords, "charge": charge, "semantics": labels}, (0, 0))])


@pytest.mark.parametrize("validating", [False, True])
def test_the_segmentation_loss_is_float32_under_bfloat16(validating: bool) -> None:
    torch.manual_seed(0)
    task = Segmentation(Options(model=ModelOptions(filters=4, depth=2, reps=1)))
    network, sample = task.network().train(not validating), segmentation_batch(task)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(sample)
        assert output.semantic.dtype == torch.bfloat16
        if validating:
            terms = task.validate(network, sample)[0]
        else:
            terms = loss_terms(task, output, sample, task.counts(sample))
    total, weight = terms["semantic"]
    assert total.dtype == torch.float32
    expected = torch.nn.functional.cross_entropy(
        output.semantic.detach().float(), sample.targets["semantics"].long(), reduction="sum"
    )
    assert float(total.detach()) == pytest.approx(float(expected), rel=1e-6)
    assert weight == 400


def test_a_training_step_has_a_float32_loss_and_gradients(toy: Any, make_stage: Any, shards: Any) -> None:
    trainee = Trainee(toy, toy.network(), make_stage(precision="bf16-mixed"), 0, 1, Corpus(shards))
    rng = np.random.default_rng(0)
    arrays = {
        "coords": rng.integers(0, 9, (30, 3), np.int32),
        "charge": rng.exponential(1, (30, 1)).astype(np.float32),
        "semantics": rng.integers(0, 2, (30, 1), np.int8),
    }
    given = toy.collate([Sample(arrays, (0, 0))])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert trainee.network(given).dtype == torch.bfloat16
        loss = trainee.training_step(given, 0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in trainee.network.parameters())


def test_clipping_by_value_bounds_every_element(
    toy: Any, make_stage: Any, shards: list[dict[str, Path]], tmp_path: Path
) -> None:
    from weft.config.schedule import ConstantSchedule
    from weft.config.training import Optimizer
    from weft.engine.fit import fit
    from weft.engine.model_file import read_model
    from weft.engine.randomness import initial_seed

    torch.manual_seed(initial_seed(0))
    first = toy.network().state_dict()
    stage = make_stage(iterations=1, validate_every=1, clip_value=1e-3)
    plain = {"optimizer": Optimizer(name="SGD", lr=1.0), "schedule": ConstantSchedule()}
    fit(toy, stage.model_copy(update=plain), 0, shards, shards, tmp_path, tmp_path / "work", {})
    state = read_model(tmp_path / "model.ckpt").state
    moved = torch.cat([(state[name] - first[name]).flatten() for name, _ in toy.network().named_parameters()]).abs()
    assert moved.max() == pytest.approx(1e-3, rel=1e-3)
    assert (moved > 0.9e-3).sum() > 5
    assert ((moved > 0) & (moved < 0.9e-3)).sum() > 5
