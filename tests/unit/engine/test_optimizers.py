from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from weft.config.training import Optimizer
from weft.engine.optimizers import build_optimizer, parameter_groups
from weft.errors import WeftError
from weft.sparse.norm import VoxelBatchNorm
from weft.tasks.segmentation.options import ModelOptions, Options
from weft.tasks.segmentation.task import Segmentation


class Mixture(nn.Module):
    """One of each kind of parameter."""

    no_decay = ("token",)

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.scale = nn.Parameter(torch.ones(4))
        self.matrix = nn.Parameter(torch.zeros(2, 4))
        self.linear = nn.Linear(4, 1)
        self.conv = nn.Conv2d(1, 2, 3)
        self.norms = nn.ModuleList([nn.BatchNorm1d(4), nn.LayerNorm([2, 4]), nn.GroupNorm(2, 4), VoxelBatchNorm(4)])
        self.embedding = nn.Embedding(3, 4)
        self.attention = nn.MultiheadAttention(4, 2)


def named(network: nn.Module, groups: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """(lr, weight decay) of each parameter in a group."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_only_weight_matrices_decay(toy: Any) -> None:
    network = Mixture()
    given = named(network, parameter_groups(toy, network, Optimizer(lr=0.1, weight_decay=0.05)))
    names = dict(network.named_parameters()).keys()
    decaying = {"matrix", "linear.weight", "conv.weight", "attention.in_proj_weight", "attention.out_proj.weight"}
    assert {name for name, (_, decay) in given.items() if decay == 0.05} == decaying
    assert {name for name, (_, decay) in given.items() if decay == 0} == names - decaying


def test_all_decay_when_told_to(toy: Any) -> None:
    network = Mixture()
    everything = parameter_groups(toy, network, Optimizer(weight_decay=0.05, decay_all=True))
    assert [group["weight_decay"] for group in everything] == [0.05]
    assert len(everything[0]["params"]) == len(list(network.parameters()))


def test_groups_are_the_same_whatever_the_decay(toy: Any) -> None:
    network = Mixture()
    members = [
        [[id(p) for p in group["params"]] for group in parameter_groups(toy, network, Optimizer(weight_decay=decay))]
        for decay in (0.0, 0.1)
    ]
    assert members[0] == members[1]
    assert len(members[0]) == 2


def test_a_step_without_gradient_shrinks_the_weights_only(toy: Any) -> None:
    network = toy.network()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = build_optimizer(toy, network, Optimizer(name="AdamW", lr=0.1, weight_decay=0.5))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        share = 0.95 if name in {"layers.0.weight", "layers.4.weight"} else 1.0  # 1 - lr * decay
        torch.testing.assert_close(parameter.detach(), share * before[name])


def test_frozen_parameters_are_left_out(toy: Any) -> None:
    network = toy.network()
    network.layers[0].requires_grad_(False)
    assert not {"layers.0.weight", "layers.0.bias"} & named(network, parameter_groups(toy, network, Optimizer())).keys()
    network.requires_grad_(False)
    with pytest.raises(WeftError, match="every parameter of the network is frozen"):
        build_optimizer(toy, network, Optimizer())


class Layered:
    """The toy task with two layers of its network and a head; what remains is the batch norm."""

    def __init__(self, toy: Any) -> None:
        self.name, self.toy = "layered", toy

    def layers(self, network: Any) -> list[list[nn.Module]]:
        first, _, _, _, last = network.layers
        return [[first], [last]]

    def lr_multipliers(self, network: Any) -> list[tuple[nn.Module, float]]:
        return []


def test_layers_learn_slower_towards_the_input(toy: Any) -> None:
    network = toy.network()
    settings = Optimizer(lr=0.3, layer_decay=2, head_multiplier=10)
    given = {name: lr for name, (lr, _) in named(network, parameter_groups(Layered(toy), network, settings)).items()}
    assert given == pytest.approx(
        {
            "layers.0.weight": 0.3,  # the only layer below the head: L = 1, lr / 2^0
            "layers.0.bias": 0.3,
            "layers.1.weight": 0.15,  # not named: lr / 2^L
            "layers.1.bias": 0.15,
            "layers.4.weight": 3.0,
            "layers.4.bias": 3.0,
        }
    )


def test_a_module_has_a_rate_of_its_own(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = toy.network()
    monkeypatch.setattr(toy, "lr_multipliers", lambda network: [(network.layers[4], 3.0)])
    given = {name: lr for name, (lr, _) in named(network, parameter_groups(toy, network, Optimizer(lr=0.1))).items()}
    assert {name: lr for name, lr in given.items() if lr != 0.1} == pytest.approx(
        {"layers.4.weight": 0.3, "layers.4.bias": 0.3}
    )


def test_layers_of_the_segmentation_network() -> None:
    task = Segmentation(Options(model=ModelOptions(filters=2, depth=3, reps=1, ghost=True)))
    network = task.network()
    given = named(network, parameter_groups(task, network, Optimizer(lr=1.0, weight_decay=0.1, layer_decay=2)))
    assert given.keys() == dict(network.named_parameters()).keys()
    lr = {name: lr for name, (lr, _) in given.items()}
    # Below the heads: stem, three levels of the encoder, two of the decoder. L = 6.
    expected = {"trunk.stem": 32, "trunk.encoder.0": 16, "trunk.encoder.1": 8, "trunk.encoder.2": 4}
    expected |= {"trunk.down.0": 8, "trunk.down.1": 4, "trunk.up.1": 2, "trunk.decoder.1": 2}
    expected |= {"trunk.up.0": 1, "trunk.decoder.0": 1, "head": 1, "ghost_head": 1}
    for prefix, divisor in expected.items():
        assert {rate for name, rate in lr.items() if name.startswith(f"{prefix}.")} == {1 / divisor}
    assert given["trunk.stem.weight"][1] == 0.1
    assert given["head.layers.1.module.bias"][1] == 0


def test_layers_that_overlap_or_are_not_there(toy: Any) -> None:
    with pytest.raises(WeftError, match=r"optimizer\.layer_decay: task 'toy' does not say which layers"):
        build_optimizer(toy, toy.network(), Optimizer(layer_decay=2))

    class Twice(Layered):
        def layers(self, network: Any) -> list[list[nn.Module]]:
            return [[network.layers[0]], [network]]

    with pytest.raises(WeftError, match=r"two layers of layers\(\) have the same parameter 'layers\.0\.weight'"):
        build_optimizer(Twice(toy), toy.network(), Optimizer(layer_decay=2))


CLASSES = ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "SGD"]


@pytest.mark.parametrize("name", [*CLASSES, "Rprop"])
def test_any_class_of_torch_gets_its_groups_and_steps(toy: Any, name: str) -> None:
    network = toy.network()
    decay = 0.0 if name == "Rprop" else 0.1
    optimizer = build_optimizer(toy, network, Optimizer(name=name, lr=0.01, weight_decay=decay))
    assert type(optimizer).__name__ == name
    before = [parameter.detach().clone() for parameter in network.parameters()]
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_the_one_pass_form_gives_the_same_weights(toy: Any) -> None:
    weights = []
    for fused in (True, False):
        torch.manual_seed(0)
        network = toy.network()
        optimizer = build_optimizer(toy, network, Optimizer(name="AdamW", lr=0.01, weight_decay=0.1), fused)
        assert bool(optimizer.param_groups[0]["fused"]) == fused
        for _ in range(3):
            for parameter in network.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
        weights.append(network.state_dict())
    torch.testing.assert_close(*weights)


def test_the_one_pass_form_is_refused_where_gradients_are_scaled(toy: Any) -> None:
    with pytest.raises(WeftError, match=r"^optimizer\.options: fused cannot be used with training\.precision 16-mixed"):
        build_optimizer(toy, toy.network(), Optimizer(name="AdamW", options={"fused": True}), fused=False)
    spared = build_optimizer(toy, toy.network(), Optimizer(name="AdamW", options={"fused": False}), fused=False)
    assert not spared.param_groups[0]["fused"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "Adamm"}, r"optimizer\.name: .*no optimiser 'Adamm' \(did you mean 'Adam'\?\); it has: ASGD"),
        ({"name": "LBFGS"}, "LBFGS cannot be used here: it evaluates a batch several times"),
        ({"name": "SparseAdam"}, "SparseAdam cannot be used here: it takes sparse gradients"),
        ({"name": "Muon"}, r"optimizer\.options: Muon: Muon only supports 2D parameters"),
        ({"name": "Rprop", "weight_decay": 0.1}, r"optimizer\.weight_decay: Rprop has none"),
        ({"name": "SGD", "options": {"momentun": 0.9}}, r"optimizer\.options: SGD: .*momentun"),
        ({"name": "SGD", "options": {"lr": 0.9}}, r"optimizer\.options: SGD: .*multiple values .*'lr'"),
        ({"name": "Adam", "options": {"betas": [2, 0.9]}}, r"optimizer\.options: Adam: Invalid beta"),
        ({"name": "Adam", "options": {"foreach": True, "fused": True}}, r"optimizer\.options: Adam: .*fused.*foreach"),
    ],
)
def test_optimisers_that_cannot_be_built(toy: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(WeftError, match=message):
        build_optimizer(toy, toy.network(), Optimizer(**settings))


def test_options_reach_the_optimiser(toy: Any) -> None:
    settings = Optimizer(name="Adam", options={"betas": [0.5, 0.9], "foreach": True})
    group = build_optimizer(toy, toy.network(), settings).param_groups[0]
    assert (group["betas"], group["foreach"], group["fused"]) == ((0.5, 0.9), True, None)


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_moments_of_a_checkpoint_take_the_memory_order_of_their_weights(toy: Any, name: str) -> None:
    """Those of weights that lay otherwise once; the one-pass forms do not look."""
    options = {"momentum": 0.9} if name == "SGD" else {}
    settings = Optimizer(name=name, lr=0.1, options=options)

    def net(layout: torch.memory_format) -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(4, 6, 3).to(memory_format=layout)

    def step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        for parameter in network.parameters():
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape))
        optimizer.step()

    networks = [net(torch.contiguous_format), net(torch.channels_last)]
    first, resumed = (build_optimizer(toy, network, settings) for network in networks)
    step(networks[0], first, 1)
    networks[1].load_state_dict(networks[0].state_dict())
    resumed.load_state_dict(deepcopy(first.state_dict()))
    for network, optimizer in zip(networks, (first, resumed), strict=True):
        step(network, optimizer, 2)
    assert not networks[1].weight.is_contiguous()
    assert torch.allclose(networks[0].weight, networks[1].weight, atol=1e-6)
