from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from weft.config.experiment import Stage
from weft.config.starting import Init, by_part
from weft.engine.fit import fit
from weft.engine.model_file import ModelFile, read_model, save_model
from weft.engine.starting import freeze, initialise, keep_frozen
from weft.engine.weights import read_weights, state_hash
from weft.errors import WeftError

Shards = list[dict[str, Path]]
State = dict[str, Tensor]


def network(width: int = 4, seed: int = 0) -> nn.Module:
    """A trunk of two blocks, and a head."""
    torch.manual_seed(seed)
    block = lambda: nn.Sequential(OrderedDict(linear=nn.Linear(width, width), norm=nn.BatchNorm1d(width)))  # noqa: E731
    trunk = nn.Sequential(OrderedDict(low=block(), high=block()))
    return nn.Sequential(OrderedDict(trunk=trunk, drop=nn.Dropout(0.5), head=nn.Linear(width, 2)))


def saved(path: Path, state: State) -> str:
    torch.save(state, path)
    return str(path)


def inits(given: Any) -> dict[str, Init]:
    return {part: Init.model_validate(init) for part, init in by_part(given).items()}


def loaded(init: Any, files: dict[str, str], width: int = 4) -> State:
    """State of a network of seed 0 after its init."""
    net = network(width)
    initialise(net, inits(init), files)
    return net.state_dict()


def same(a: State, b: State, prefix: str = "") -> bool:
    names = [name for name in b if name.startswith(prefix)]
    assert names
    return all(torch.equal(a[name], b[name]) for name in names)


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, State]:
    """A file of the weights of another network of the same shape, all tensors unlike those of seed 0."""
    state = {name: value + 1 for name, value in network(seed=1).state_dict().items()}
    return saved(tmp_path / "other.pt", state), state


def test_the_whole_network(source: tuple[str, State]) -> None:
    path, state = source
    assert same(loaded("stage", {"stage": path}), state)
    assert same(loaded({"all": {"from": path}}, {path: path}), state)


def test_a_part_of_the_same_name_and_nothing_else(source: tuple[str, State]) -> None:
    path, state = source
    ours, fresh = loaded({"trunk": "stage"}, {"stage": path}), network().state_dict()
    assert same(ours, state, "trunk.")
    assert same(ours, fresh, "head.")


def test_a_part_of_another_name_a_whole_file_and_a_single_tensor(tmp_path: Path, source: tuple[str, State]) -> None:
    path, state = source
    swapped = loaded({"trunk.low": {"from": "s", "part": "trunk.high"}}, {"s": path})
    assert torch.equal(swapped["trunk.low.linear.weight"], state["trunk.high.linear.weight"])
    assert same(swapped, network().state_dict(), "trunk.high.")
    bare = {name.removeprefix("head."): value for name, value in state.items() if name.startswith("head.")}
    file = saved(tmp_path / "head.pt", bare)
    assert same(loaded({"head": {"from": file, "part": "all"}}, {file: file}), state, "head.")
    one = loaded({"head.bias": path}, {path: path})
    assert torch.equal(one["head.bias"], state["head.bias"])
    assert torch.equal(one["head.weight"], network().state_dict()["head.weight"])


def test_the_innermost_init_decides_whatever_the_order(tmp_path: Path, source: tuple[str, State]) -> None:
    path, state = source
    third = {name: value + 5 for name, value in state.items()}
    # The source of the whole need not fit where another init decides: it may lack tensors and have others.
    odd = {name: value for name, value in state.items() if name != "trunk.high.norm.bias"}
    odd |= {"trunk.high.linear.weight": torch.zeros(9, 9), "trunk.high.more": torch.zeros(1)}
    files = {"whole": saved(tmp_path / "odd.pt", odd), "inner": saved(tmp_path / "third.pt", third), "source": path}
    for order in (["all", "trunk.high"], ["trunk.high", "all"]):
        init = {part: {"all": "whole", "trunk.high": "inner"}[part] for part in order}
        ours = loaded(init, files)
        assert same(ours, third, "trunk.high.")
        assert same(ours, state, "trunk.low.")
        assert same(ours, state, "head.")


def test_except_leaves_tensors_to_the_init_around_it_or_as_they_were_drawn(
    tmp_path: Path, source: tuple[str, State]
) -> None:
    path, state = source
    fresh, third = network().state_dict(), {name: value + 5 for name, value in state.items()}
    ours = loaded({"all": {"from": path, "except": ["head", "*.norm"]}}, {path: path})
    assert same(ours, fresh, "head.")
    assert same(ours, fresh, "trunk.low.norm.")
    assert same(ours, state, "trunk.low.linear.")
    nested = {"all": "outer", "trunk": {"from": "inner", "except": ["trunk.low"]}}
    ours = loaded(nested, {"outer": path, "inner": saved(tmp_path / "third.pt", third)})
    assert same(ours, third, "trunk.high.")
    assert same(ours, state, "trunk.low.")
    # What the network lacks can be left out too.
    more = saved(tmp_path / "more.pt", state | {"seeds.weight": torch.zeros(3)})
    assert same(loaded({"all": {"from": more, "except": ["seeds"]}}, {more: more}), state)


def test_every_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(
    tmp_path: Path, source: tuple[str, State]
) -> None:
    state = dict(source[1])
    del state["head.bias"]
    state |= {"trunk.low.norm.bias": torch.zeros(7), "trunk.extra": torch.zeros(1)}
    file, net = saved(tmp_path / "bad.pt", state), network()
    with pytest.raises(WeftError) as error:
        initialise(net, inits("first"), {"first": file})
    assert str(error.value) == (
        f"init.all: first ({file}) does not fit the network: head.bias is missing; trunk.extra is not in the network; "
        "trunk.low.norm.bias has shape (7,), the network (4,)"
    )
    assert same(net.state_dict(), network().state_dict())


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"trunc": "s"}, r"init\.trunc: the network has no such module \(did you mean 'trunk'\?\); it has: trunk"),
        ({"head": {"from": "s", "part": "heads"}}, r"init\.head: s has no module 'heads' \(did you mean 'head'\?\)"),
        ({"all": {"from": "s", "except": ["haed"]}}, r"init\.all\.except: 'haed' matches nothing \(did you mean"),
    ],
)
def test_names_that_are_not_there(source: tuple[str, State], init: Any, message: str) -> None:
    with pytest.raises(WeftError, match=message):
        loaded(init, {"s": source[0]})


def test_files_that_hold_weights(tmp_path: Path, source: tuple[str, State]) -> None:
    path, state = source
    model = tmp_path / "model.ckpt"
    save_model(model, ModelFile(state, "toy", {}, {}))
    files = [
        Path(path),
        model,
        Path(saved(tmp_path / "best.ckpt", {"step": 3, "state": state})),
        Path(saved(tmp_path / "foreign.ckpt", {"global_step": 1, "state_dict": state, "optimizer": {}})),
    ]
    for file in files:
        assert same(read_weights(file), state)
        assert state_hash(read_weights(file)) == state_hash(state)
    changed = state | {"head.bias": state["head.bias"] + 1e-6}
    assert state_hash(changed) != state_hash(state)


def test_files_that_hold_none(tmp_path: Path) -> None:
    with pytest.raises(WeftError, match=r"nowhere\.pt: no such file"):
        read_weights(tmp_path / "nowhere.pt")
    with pytest.raises(WeftError, match=r"expected a model\.ckpt, a checkpoint or a state dict, found epoch, loss"):
        read_weights(Path(saved(tmp_path / "a.pt", {"epoch": 1, "loss": torch.zeros(1)})))
    torch.save(network(), tmp_path / "pickled.pt")
    with pytest.raises(WeftError, match=r"pickled\.pt: not a file of tensors and plain data"):
        read_weights(tmp_path / "pickled.pt")


# --- freezing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "frozen", "still"),
    [
        (["trunk"], {"trunk.low.linear.weight", "trunk.high.norm.bias"}, {"trunk.low.norm", "trunk"}),
        (["trunk.*"], {"trunk.low.linear.weight", "trunk.high.norm.bias"}, {"trunk.low.norm", "trunk.high.norm"}),
        (["*.norm", "drop"], {"trunk.low.norm.weight", "trunk.high.norm.bias"}, {"trunk.low.norm", "drop"}),
        (["*.bias"], {"head.bias", "trunk.low.norm.bias"}, set()),
    ],
)
def test_patterns_freeze_parameters_and_the_mode_of_modules(
    patterns: list[str], frozen: set[str], still: set[str]
) -> None:
    net = network()
    modules = freeze(net, patterns)
    assert frozen <= {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert net.get_parameter("head.weight").requires_grad
    for mode in (True, False, True):
        net.train(mode)
        keep_frozen(modules)
    quiet = {name for name, module in net.named_modules() if not module.training}
    assert still <= quiet
    assert "" not in quiet
    assert "head" not in quiet
    if not still:
        assert not quiet


def test_freezing_nothing_or_everything_is_an_error() -> None:
    with pytest.raises(WeftError, match=r"freeze: 'trunc\.\*' matches no module or parameter \(did you mean 'trunk"):
        freeze(network(), ["trunc.*"])
    with pytest.raises(WeftError, match=r"freeze: trunk, head leaves nothing to train"):
        freeze(network(), ["trunk", "head"])


# --- in a training ----------------------------------------------------------------------------------------


@pytest.fixture
def train(toy: Any, make_stage: Any, shards: Shards, tmp_path: Path) -> Callable[..., Path]:
    def train(name: str, weights: dict[str, str] | None = None, seed: int = 0, **keys: Any) -> Path:
        training = keys.pop("training", {})
        document = make_stage(**training).model_dump(mode="json") | keys
        output = tmp_path / name
        stage = Stage.model_validate(document)
        fit(toy, stage, seed, shards, shards[1:], output, output / "work", document, weights=weights)
        return output

    return train


def model(output: Path) -> State:
    return read_model(output / "model.ckpt").state


def test_a_frozen_part_is_bit_for_bit_what_it_started_from(train: Callable[..., Path]) -> None:
    first = train("first", seed=1)
    weights = {"first": str(first / "model.ckpt")}
    # layers: 0 linear, 1 batch norm, 2 relu, 3 dropout, 4 linear
    second = train("second", weights, init="first", freeze=["layers.0", "layers.1"], training={"iterations": 8})
    for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        assert torch.equal(model(second)[f"layers.{name}"], model(first)[f"layers.{name}"])
    assert torch.equal(model(second)["layers.1.num_batches_tracked"], model(first)["layers.1.num_batches_tracked"])
    assert not torch.equal(model(second)["layers.4.weight"], model(first)["layers.4.weight"])
    # Without freezing the statistics do move, through validations as well.
    third = train("third", weights, init="first", training={"iterations": 8})
    assert not torch.equal(model(third)["layers.1.running_mean"], model(first)["layers.1.running_mean"])


def test_frozen_dropout_drops_nothing(train: Callable[..., Path], toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    loss = toy.loss

    def watched(output: Tensor, *rest: Any) -> Any:
        modes.append({name: module.training for name, module in made[-1].named_modules()})
        return loss(output, *rest)

    made: list[nn.Module] = []
    build = toy.network
    monkeypatch.setattr(toy, "network", lambda: made.append(build()) or made[-1])
    monkeypatch.setattr(toy, "loss", watched)
    train("a", freeze=["layers.3", "layers.0"], training={"iterations": 6, "validate_every": 2})
    during = [mode for mode in modes if mode[""]]
    assert len(during) == 6
    assert not any(mode["layers.3"] or mode["layers.0"] for mode in during)
    assert all(mode["layers.1"] for mode in during)


def test_needs_alone_start_the_whole_network(train: Callable[..., Path]) -> None:
    first = train("first", seed=1)
    still = {"optimizer": {"name": "SGD", "lr": 1e-12}, "training": {"iterations": 1, "validate_every": 1}}
    second = train("second", {"a": str(first / "model.ckpt")}, seed=5, needs={"a": {"weights": "best"}}, **still)
    torch.testing.assert_close(model(second)["layers.0.weight"], model(first)["layers.0.weight"], atol=1e-9, rtol=0)


def test_other_weights_under_the_same_name_are_other_work(train: Callable[..., Path], tmp_path: Path) -> None:
    folders = []
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):  # a and c are the same weights in different files
        source = train(name, seed=seed) / "model.ckpt"
        train("second", {"source": str(source)}, init="source", training={"iterations": 4})
        folders.append({path.name for path in (tmp_path / "second" / "work").iterdir()})
    assert [len(names) for names in folders] == [1, 2, 2]


def test_a_work_folder_as_a_source(train: Callable[..., Path], toy: Any) -> None:
    first = train("first", seed=1)
    (work,) = (first / "work").iterdir()
    assert same(read_weights(work / "best.ckpt"), model(first))
    assert read_weights(work / "last.ckpt").keys() == model(first).keys()


def test_a_checkpoint_with_averages_gives_these(train: Callable[..., Path]) -> None:
    first = train("first", training={"iterations": 4, "ema": {"decay": 0.9}})
    (work,) = (first / "work").iterdir()
    assert same(read_weights(work / "last.ckpt"), model(first))  # the last validation is the only one, so the best too
    raw = torch.load(work / "last.ckpt", weights_only=True)["state_dict"]
    assert not torch.equal(raw["network.layers.0.weight"], model(first)["layers.0.weight"])
