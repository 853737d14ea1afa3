import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from weft.config.training import Ema
from weft.engine.averaging import Averaging, decay_at
from weft.engine.fit import fit
from weft.engine.logs import Interrupted
from weft.engine.model_file import read_model

State = dict[str, torch.Tensor]


def identical(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_decay_warms_up() -> None:
    assert [decay_at(Ema(decay=0.9), step) for step in (1, 2, 8, 80, 81, 1000)] == pytest.approx(
        [2 / 11, 3 / 12, 0.5, 0.9, 0.9, 0.9]
    )
    assert decay_at(Ema(decay=0.9, warmup=False), 1) == 0.9


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.Linear(2, 2))


def started(net: nn.Module, settings: Ema) -> Averaging:
    averaging = Averaging(net, settings)
    averaging.on_train_start(trainer(0), Any)
    return averaging


def trainer(step: int) -> Any:
    return SimpleNamespace(global_step=step)


def disturb(net: nn.Module) -> None:
    """As a step does: other trainable weights and statistics."""
    with torch.no_grad():
        for tensor in net.state_dict(keep_vars=True).values():
            if tensor.requires_grad or not isinstance(tensor, nn.Parameter):
                tensor.add_(torch.randn(tensor.shape).to(tensor.dtype) if tensor.is_floating_point() else 1)


@pytest.mark.parametrize("settings", [Ema(), Ema(decay=0.6), Ema(decay=0.9, warmup=False)])
def test_averages_are_those_of_a_plain_loop(settings: Ema) -> None:
    net = network()
    net[2].requires_grad_(False)
    averaging = started(net, settings)
    expected = {name: tensor.double() for name, tensor in net.state_dict().items()}
    for step in range(1, 40):
        disturb(net)
        for _ in range(2):  # the second micro-batch of a step changes nothing
            averaging.on_train_batch_end(trainer(step), Any, None, None, 0)
        d = min(settings.decay, (1 + step) / (10 + step)) if settings.warmup else settings.decay
        for name, tensor in net.state_dict().items():
            expected[name] = d * expected[name] + (1 - d) * tensor.double()
    deployed = averaging.deployed_state()
    assert list(deployed) == list(net.state_dict())
    for name in ("0.weight", "0.bias", "1.weight", "1.running_mean", "1.running_var", "3.weight"):
        torch.testing.assert_close(deployed[name].double(), expected[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(deployed[name], net.state_dict()[name])
    assert torch.equal(deployed["2.weight"], network()[2].weight)  # frozen
    assert deployed["1.num_batches_tracked"] == net[1].num_batches_tracked == 39


def test_a_constant_is_its_own_average_to_the_last_bit() -> None:
    net = network()
    averaging = started(net, Ema())
    for step in range(1, 30):
        averaging.on_train_batch_end(trainer(step), Any, None, None, 0)
    assert identical(averaging.deployed_state(), network().state_dict())


def test_swapped_in_for_a_validation_and_back() -> None:
    net = network()
    averaging = started(net, Ema(decay=0.5, warmup=False))
    disturb(net)
    averaging.on_train_batch_end(trainer(1), Any, None, None, 0)
    own, averages = copy.deepcopy(net.state_dict()), copy.deepcopy(averaging.deployed_state())
    for leave in ("on_validation_end", "on_exception"):
        averaging.on_validation_start(trainer(1), Any)
        assert identical(net.state_dict(), averages)
        assert identical(averaging.deployed_state(), averages)
        getattr(averaging, leave)(trainer(1), Any, *([KeyboardInterrupt()] if leave == "on_exception" else []))
        assert identical(net.state_dict(), own)
    averaging.on_exception(trainer(1), Any, KeyboardInterrupt())  # not in a validation: nothing to give back
    assert identical(net.state_dict(), own)
    assert identical(averaging.deployed_state(), averages)


def test_state_is_plain_tensors_and_restores(tmp_path: Path) -> None:
    net = network()
    averaging = started(net, Ema())
    disturb(net)
    averaging.on_train_batch_end(trainer(1), Any, None, None, 0)
    torch.save(averaging.state_dict(), tmp_path / "s.pt")
    again = Averaging(net, Ema())
    again.load_state_dict(torch.load(tmp_path / "s.pt", weights_only=True))
    again.on_train_start(trainer(1), Any)
    for callback in (averaging, again):
        callback.on_train_batch_end(trainer(2), Any, None, None, 0)
    assert identical(averaging.deployed_state(), again.deployed_state())


# --- in a training -----------------------------------------------------------------------------------------


class Watching:
    """The toy task, keeping the weights of each training step and of each validation; may signal or raise there."""

    def __init__(self, toy: Any, stop_at: int = -1, validation: bool = False, number: int = signal.SIGTERM) -> None:
        self.toy, self.stop_at, self.in_validation, self.number = toy, stop_at, validation, number
        self.net: nn.Module = nn.Identity()
        self.trained: list[State] = []
        self.validated: list[State] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def network(self) -> nn.Module:
        self.net = self.toy.network()
        return self.net

    def loss(self, *arguments: Any) -> Any:
        self.trained.append(copy.deepcopy(self.net.state_dict()))
        if len(self.trained) == self.stop_at and not self.in_validation:
            os.kill(os.getpid(), self.number)
        return self.toy.loss(*arguments)

    def validate(self, *arguments: Any) -> Any:
        self.validated.append(copy.deepcopy(self.net.state_dict()))
        if len(self.validated) == self.stop_at and self.in_validation:
            raise Stopped
        return self.toy.validate(*arguments)


class Stopped(Exception):
    pass


@pytest.fixture
def run(shards: Any, make_stage: Any, tmp_path: Path) -> Callable[..., State]:
    def run(name: str, task: Any, seed: int = 0, **training: Any) -> State:
        output = tmp_path / name
        stage = make_stage(**{"ema": {"decay": 0.8}} | training)
        stage = stage.model_copy(update={"evaluation": stage.evaluation.model_copy(update={"batch_size": 9})})
        fit(task, stage, seed, shards, shards, output, output / "work", training)
        return read_model(output / "model.ckpt").state

    return run


def test_validation_and_deploy_use_the_averages_and_training_its_own(run: Any, toy: Any) -> None:
    averaged, plain = Watching(toy), Watching(toy)
    deployed = run("a", averaged, monitor="accuracy", mode="max")
    run("b", plain, monitor="accuracy", mode="max", ema=None)
    assert len(averaged.trained) == 12
    assert all(map(identical, averaged.trained, plain.trained))  # a validation leaves no trace in the weights
    at_validation = averaged.validated[-3:]
    assert any(identical(deployed, state) for state in at_validation)
    assert not any(map(identical, at_validation, plain.validated[-3:]))
    # The averages at step 4, from the weights after steps 1 to 4; those after step k are seen at the next loss.
    expected = averaged.trained[0]["layers.0.weight"].double()
    for step in range(1, 5):
        d = min(0.8, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * averaged.trained[step]["layers.0.weight"].double()
    torch.testing.assert_close(at_validation[0]["layers.0.weight"].double(), expected)


@pytest.mark.parametrize(("step", "validation"), [(3, False), (2, True)])
def test_stopped_and_resumed_has_the_same_averages(run: Any, toy: Any, step: int, validation: bool) -> None:
    whole = run("whole", toy)
    with pytest.raises(Stopped if validation else Interrupted):
        run("parts", Watching(toy, step, validation))
    assert identical(run("parts", toy), whole)


def test_an_interrupted_validation_leaves_the_network_its_own_weights(run: Any, toy: Any) -> None:
    averaged, plain = Watching(toy, 2, validation=True), Watching(toy, 2, validation=True)
    for name, task, ema in (("a", averaged, {"decay": 0.8}), ("b", plain, None)):
        with pytest.raises(Stopped):
            run(name, task, ema=ema)
    assert not identical(averaged.validated[-1], plain.validated[-1])
    assert identical(averaged.net.state_dict(), plain.net.state_dict())


def test_a_validation_after_the_last_step_has_the_averages_too(run: Any, toy: Any) -> None:
    after, within = Watching(toy), Watching(toy)
    run("a", after, iterations=5, validate_every=3)
    run("b", within, iterations=5, validate_every=5)
    assert identical(after.validated[-1], within.validated[-1])


def test_averages_with_accumulation_are_of_steps(run: Any, toy: Any) -> None:
    watching = Watching(toy)
    run("a", watching, iterations=2, validate_every=2, accumulate=3)
    first, second = (watching.trained[i]["layers.0.weight"].double() for i in (0, 3))
    assert torch.equal(watching.trained[1]["layers.0.weight"].double(), first)
    average = 2 / 11 * first + 9 / 11 * second
    after = watching.net.state_dict()["layers.0.weight"].double()
    torch.testing.assert_close(watching.validated[-1]["layers.0.weight"].double(), 0.25 * average + 0.75 * after)
